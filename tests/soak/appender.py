"""The processes of the kill soak: one prepares a log, many append to it and die, one checks it.

    python appender.py prepare FOLDER
    python appender.py append FOLDER      tells on its standard output what it was told
    python appender.py check FOLDER SEEN  SEEN holds those lines

Lines are shorter than a pipe's atomic write, so a process that dies leaves no half of one:
`opening`, `open SIZE`, `ack INDEX COMMITMENT`, `checkpoint BASE64`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from store.checks import Seen, recheck
from store.issuer import Device, Issuer, closing, hold, note

from bailment.access import jwk
from bailment.clock import now_ms
from bailment.ledger.records import AccessClosed, HoldLifted
from bailment.store import log as log_module
from bailment.store.folder import FolderLock
from bailment.store.log import Log
from bailment.store.sequencer import Draft, Sequenced

WRITERS = 8
#: Far more often than in production, so that a kill meets publishing and snapshots too.
PUBLISH_SECONDS = 0.03
SNAPSHOT_EVERY = 1500


async def prepare(root: Path) -> None:
    """An issuer with one device, whose key the appenders share."""
    issuer = Issuer.make(root)
    issuer.clock = now_ms
    async with issuer.open() as log:
        device = await issuer.ready(log)
    pem = device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (root / "device.pem").write_bytes(pem)
    (root / "device.id").write_text(f"{device.id} {device.person} {device.recipient}")


async def append(root: Path) -> None:
    """Open the log as `serve` does, close what was left open, then append until killed."""
    log_module.PUBLISH_SECONDS = PUBLISH_SECONDS
    issuer = Issuer.at(root, now_ms)
    _tell("opening")
    with FolderLock(issuer.folder):
        async with issuer.open(snapshot_every=SNAPSHOT_EVERY) as log:
            _tell(f"open {log.fold.size}")
            for access, opened in dict(log.fold.admission.open).items():
                aborted = AccessClosed(access, "aborted", reason="the gateway restarted")
                await _append(log, log.sequencer.draft(aborted, opened.recipient))
            device = _device(root)
            await issuer.token(log, device)
            await asyncio.gather(
                *(_gateway(issuer, log, device) for _ in range(WRITERS)), _others(log)
            )


async def _gateway(issuer: Issuer, log: Log, device: Device) -> None:
    while True:
        opened = issuer.opening(log, device)
        if not isinstance(opened, Draft):
            await asyncio.sleep(0.002)  # on hold
        elif await _append(log, opened):
            await _append(log, closing(log, opened))


async def _others(log: Log) -> None:
    """Records with a new person's key each, and now and then a hold that changes the register."""
    for number in range(1 << 30):
        draft = log.sequencer.draft(
            note(number), person=os.urandom(16).hex(), personal={"name": "somebody"}
        )
        await _append(log, draft)
        if number % 4 == 3:
            added = hold("purpose:research")
            await _append(log, log.sequencer.draft(added, urgent=True))
            await _append(log, log.sequencer.draft(HoldLifted(added.hold, "over", "owner")))
        await asyncio.sleep(0.03)


async def _append(log: Log, draft: Draft) -> bool:
    answer = await log.sequencer.append(draft)
    if not isinstance(answer, Sequenced):
        return False
    _tell(f"ack {answer.index} {draft.commitment}")
    checkpoint = log.sequencer.checkpoint
    if checkpoint is not _append.last:  # type: ignore[attr-defined]
        _append.last = checkpoint  # type: ignore[attr-defined]
        _tell(f"checkpoint {base64.b64encode(checkpoint).decode()}")
    return True


_append.last = b""  # type: ignore[attr-defined]


def _device(root: Path) -> Device:
    key = load_pem_private_key((root / "device.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    ids = (root / "device.id").read_text().split()
    return Device(*ids, key, jwk.from_key(key.public_key()))


def _tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def check(root: Path, told: Path) -> None:
    """Hold the whole log against every line that any process told."""
    seen = _seen(told)
    entries = await recheck(Issuer.at(root, now_ms), seen)
    _tell(f"{len(entries)} {len(seen.acknowledged)} {len(seen.checkpoints)}")


def _seen(told: Path) -> Seen:
    seen = Seen()
    with told.open() as lines:
        for line in lines:
            kind, *rest = line.split()
            if kind == "ack":
                assert seen.acknowledged.setdefault(int(rest[0]), rest[1]) == rest[1]
            elif kind == "checkpoint":
                seen.checkpoints.add(base64.b64decode(rest[0]))
    return seen


if __name__ == "__main__":
    verb = {"prepare": prepare, "append": append, "check": check}[sys.argv[1]]
    asyncio.run(verb(*map(Path, sys.argv[2:])))
