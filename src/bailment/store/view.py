"""A read-only look at an issuer's log, beside the process that writes it.

Listings, receipts and exports read this way: they take no lock, and nothing they do can hold up
an access.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bailment.access.fold import Fold
from bailment.access.register import Register
from bailment.ledger.checkpoint import Checkpoint
from bailment.ledger.note import Verifier
from bailment.store.folder import Folder
from bailment.store.log import recover, stored_checkpoint
from bailment.store.people import People
from bailment.store.reader import LogReader
from bailment.store.secrets import load_secrets
from bailment.store.staging import Staging
from bailment.store.vault import Vault


class Known(Protocol):
    """What names are looked up in."""

    @property
    def register(self) -> Register: ...

    @property
    def people(self) -> People: ...


@dataclass(frozen=True, slots=True)
class View:
    """The log as it was when it was opened."""

    folder: Folder
    reader: LogReader
    fold: Fold
    people: People
    checkpoint: Checkpoint
    note: bytes
    verifier: Verifier

    @property
    def register(self) -> Register:
        """What is known after the last entry."""
        return self.fold.register


def open_view(folder: Folder) -> View:
    """Open the log for reading."""
    folder.require()
    secrets = load_secrets(folder)
    staging = Staging(folder.staging, read_only=True)
    try:
        checkpoint = stored_checkpoint(staging, secrets)
        head = staging.head()
    finally:
        staging.close()
    reader = LogReader(folder, Vault(folder.keys, secrets.kek, read_only=True))
    fold = recover(folder, reader, checkpoint)
    note = head.checkpoint if head else b""
    people = People(fold.register, reader)
    return View(folder, reader, fold, people, checkpoint, note, secrets.log.public)
