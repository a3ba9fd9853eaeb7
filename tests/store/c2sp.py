"""A minimal C2SP client: reads a log folder by the specifications alone.

tlog-tiles, tlog-checkpoint and signed-note, as a stranger would write them. It fetches everything
that a log of the checkpoint's size must serve, and holds each byte against the signed root.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def read_note(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that the key of the vkey signed."""
    name, key_hash, encoded = vkey.split("+", 2)
    public = base64.b64decode(encoded)
    assert public[0] == 1
    assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4].hex() == key_hash
    text, _, signatures = note.decode().partition("\n\n")
    for line in signatures.splitlines():
        dash, signer, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        if (dash, signer, raw[:4].hex()) == ("—", name, key_hash):
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], f"{text}\n".encode())
            origin, size, root, *_ = text.split("\n")
            return origin, int(size), base64.b64decode(root, validate=True)
    raise AssertionError("not signed by the log")


def read_log(folder: Path, vkey: str) -> tuple[int, bytes, list[bytes]]:
    """Size, root and all entries of the log in a folder."""
    origin, size, root = read_note((folder / "checkpoint").read_bytes(), vkey)
    assert origin == vkey.split("+")[0]
    entries: list[bytes] = []
    for number, width in _tiles(size):
        data = (folder / _path("entries", number, width)).read_bytes()
        for _ in range(width):
            length = int.from_bytes(data[:2], "big")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        assert not data
    hashes = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    assert roots(hashes)[size] == root
    level, row = 0, hashes
    while row:
        for number, width in _tiles(len(row)):
            data = (folder / _path(str(level), number, width)).read_bytes()
            assert data == b"".join(row[number * 256 : number * 256 + width])
        full = len(row) // 256
        row = [roots(row[i * 256 : i * 256 + 256])[256] for i in range(full)]
        level += 1
    return size, root, entries


def roots(hashes: list[bytes]) -> list[bytes]:
    """The root (RFC 6962) of the first n leaf hashes, for every n."""
    found = [hashlib.sha256().digest()]
    stack: list[tuple[int, bytes]] = []
    for leaf in hashes:
        height, node = 0, leaf
        while stack and stack[-1][0] == height:
            node = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest()
            height += 1
        stack.append((height, node))
        root = node
        for _, left in reversed(stack[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        found.append(root)
    return found


def _tiles(size: int) -> list[tuple[int, int]]:
    return [(n, 256) for n in range(size // 256)] + [(size // 256, size % 256)] * bool(size % 256)


def _path(level: str, number: int, width: int) -> str:
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{name}" + (f".p/{width}" if width < 256 else "")
