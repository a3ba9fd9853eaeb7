"""One lived log for all tests of this room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from bailment.ledger.note import Verifier
from bailment.store.export import export_log
from bailment.store.folder import Folder
from bailment.store.reader import LogReader
from bailment.store.vault import Vault

from .life import Lived, minutes
from .world import World


@dataclass
class Past:
    """A log that was lived and closed, and its export."""

    world: World
    lived: Lived
    folder: Folder
    export: Path

    @property
    def key(self) -> Verifier:
        return self.world.secrets.log.public

    def reader(self) -> LogReader:
        return LogReader(self.folder, Vault(self.folder.keys, self.world.secrets.kek))


def live(root: Path, **options: int) -> tuple[World, Lived]:
    """Live some minutes in a folder."""

    async def run() -> tuple[World, Lived]:
        async with World(root, **options) as world:
            return world, await minutes(world)

    return asyncio.run(run())


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Nobody may change this one."""
    root = tmp_path_factory.mktemp("issuer")
    world, lived = live(root)
    made = Past(world, lived, world.folder, tmp_path_factory.mktemp("out") / "export")
    export_log(made.folder, made.reader(), made.key, made.export)
    return made
