"""Reading an export folder: bounded, and strict about what is there (`formats/log.md`, 9)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bailment.errors import FormatError
from bailment.ledger.export import MAX_BODY, bodies_path, decode_bodies
from bailment.ledger.note import MAX_NOTE
from bailment.ledger.tiles import MAX_ENTRY, WIDTH, Tile, decode_bundle
from bailment.ledger.tree import HASH_SIZE


@dataclass(frozen=True, slots=True)
class Export:
    """The files of one export. Every method raises FormatError for a file that is missing, too
    large or not what it must be."""

    folder: Path

    def checkpoint(self) -> bytes:
        """The log's signed head, unverified."""
        return self._read("checkpoint", MAX_NOTE)

    def entries(self, bundle: Tile) -> list[bytes]:
        """The entries of a bundle."""
        return decode_bundle(self._read(bundle.path, WIDTH * (2 + MAX_ENTRY)), bundle.width)

    def bodies(self, bundle: Tile) -> list[bytes]:
        """The facts bodies of a bundle's entries; empty where they were withheld."""
        path = bodies_path(bundle)
        return decode_bodies(self._read(path, WIDTH * (4 + MAX_BODY)), bundle.width)

    def tile(self, tile: Tile) -> bytes:
        """A hash tile, of any length up to a full one's."""
        return self._read(tile.path, WIDTH * HASH_SIZE)

    def _read(self, path: str, most: int) -> bytes:
        try:
            with open(self.folder / path, "rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise FormatError(
                f"cannot read `{path}` of the export: {reason}",
                hint="an export is a folder that `bailment log export` wrote",
            ) from None
        if len(data) > most:
            raise FormatError(f"`{path}` of the export is longer than {most} bytes")
        return data
