"""What an export holds, and what it must never hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.auditor.audit import audit_export
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.checkpoint import open_checkpoint
from bailment.ledger.export import decode_bodies, encode_bodies
from bailment.store.export import export_log, export_view
from bailment.store.reader import LogReader
from bailment.store.vault import Vault

from .conftest import Past
from .life import settle
from .world import World


def test_no_names_addresses_or_keys_are_in_an_export_or_a_view(past: Past, tmp_path: Path) -> None:
    secrets = past.world.secrets
    view = tmp_path / "view"
    arguments = (past.folder, past.reader(), past.key)
    export_view(*arguments, past.lived.recipients["acme"], view)
    hidden = [b"192.0.2.7", b"sdk/1", b"ada@acme.example", secrets.kek, secrets.kek.hex().encode()]
    hidden += [secrets.log.text.encode(), secrets.log.key.private_bytes_raw()]
    stored = [reader_row.personal for reader_row in past.reader().stored() if reader_row.personal]
    for path in (view, *(p for p in past.export.rglob("*") if p.is_file())):
        data = path.read_bytes()
        assert not [text for text in (*hidden, *stored[:20]) if text in data], path


def test_only_the_owner_may_read_an_export(past: Past) -> None:
    modes = {path.stat().st_mode & 0o777 for path in past.export.rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_an_export_has_the_tiles_that_were_published(past: Past) -> None:
    published = {
        str(path.relative_to(past.folder.log)): path.read_bytes()
        for path in past.folder.log.rglob("*")
        if path.is_file()
    }
    exported = {
        str(path.relative_to(past.export)): path.read_bytes()
        for path in past.export.rglob("*")
        if path.is_file() and path.name != "README" and "facts" not in path.parts
    }
    assert exported.items() <= published.items()


def test_an_export_beside_the_writer_reaches_the_stored_head(tmp_path: Path) -> None:
    async def run() -> int:
        async with World(tmp_path / "issuer") as world:
            await settle(world)
            key = world.secrets.log.public
            reader = LogReader(world.folder, Vault(world.folder.keys, world.secrets.kek))
            summary = export_log(world.folder, reader, key, tmp_path / "export")
            head = open_checkpoint(world.log.sequencer.checkpoint, key)
            assert summary.checkpoint == head and summary.withheld == 0
            assert audit_export(tmp_path / "export", key).clean
            return head.size

    assert asyncio.run(run()) > 30


def test_an_export_names_how_to_check_it(past: Past) -> None:
    readme = (past.export / "README").read_text()
    assert "bailment log audit FOLDER --key KEY" in readme
    assert past.key.vkey not in readme  # whoever takes the key from there has pinned nothing


def test_an_export_never_writes_into_a_folder_in_use(past: Past, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(ConfigurationError, match="not empty"):
        export_log(past.folder, past.reader(), past.key, tmp_path)


def test_an_empty_log_is_not_exported(tmp_path: Path) -> None:
    async def run() -> World:
        async with World(tmp_path / "issuer") as world:
            return world

    world = asyncio.run(run())
    reader = LogReader(world.folder, Vault(world.folder.keys, world.secrets.kek))
    with pytest.raises(ConfigurationError, match="empty"):
        export_log(world.folder, reader, world.secrets.log.public, tmp_path / "export")


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_bodies_come_back_as_they_went_in(bodies: list[bytes]) -> None:
    data = encode_bodies(bodies)
    assert decode_bodies(data, len(bodies)) == bodies
    for wrong in (data + b"\0", data[:-1]):
        with pytest.raises(FormatError):
            decode_bodies(wrong, len(bodies) or 1)
