"""The formats of formats/log.md written down a second time, naively, to make test vectors.

It follows the recursive definitions of RFC 6962 and the C2SP documents, shares no code with the
product, and checks nothing: it only makes what it is asked for, right or wrong.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# RFC 6962 section 2.1: D is a list of entries.


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k = 2 * k
    return k


def mth(d: list[bytes]) -> bytes:
    if not d:
        return sha256(b"")
    if len(d) == 1:
        return sha256(b"\x00" + d[0])
    k = split(len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: list[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return [*path(m, d[:k]), mth(d[k:])]
    return [*path(m - k, d[k:]), mth(d[:k])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    return subproof(m, d, whole=True) if m else []


def subproof(m: int, d: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], whole=whole), mth(d[k:])]
    return [*subproof(m - k, d[k:], whole=False), mth(d[:k])]


def counted(n: int) -> list[bytes]:
    """The entries that most vectors use: entry i is i in ASCII decimal."""
    return [b"%d" % i for i in range(n)]


# C2SP tlog-tiles.


def tile_path(level: int | str, index: int, width: int = 256) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    n = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{n}" + ("" if width == 256 else f".p/{width}")


def tile_paths(size: int, kinds: tuple[int | str, ...] = tuple(range(8))) -> set[str]:
    """All tiles of a tree; bundles for the kind "entries"."""
    paths = set()
    for kind in kinds:
        hashes = size // 256 ** (0 if kind == "entries" else int(kind))
        paths |= {tile_path(kind, n) for n in range(hashes // 256)}
        if hashes % 256:
            paths.add(tile_path(kind, hashes // 256, hashes % 256))
    return paths


def tile(level: int, n: int, width: int, d: list[bytes]) -> bytes:
    span = 256**level
    first = n * 256
    return b"".join(mth(d[i * span : (i + 1) * span]) for i in range(first, first + width))


def bundle(entries: list[bytes]) -> bytes:
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


# C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof.


class Key:
    """A key whose seed is the SHA-256 of its name, of signature type 1 or 4."""

    def __init__(self, name: str, kind: int = 1, seed: bytes | None = None) -> None:
        self.name, self.kind = name, kind
        self.seed = seed or sha256(name.encode())
        self.private = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public)[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    @property
    def skey(self) -> str:
        seed = b64(bytes([self.kind]) + self.seed)
        return f"PRIVATE+KEY+{self.name}+{self.id.hex()}+{seed}"

    def line(self, text: str, time: int = 0) -> str:
        if self.kind == 1:
            return signature_line(self.name, self.id, self.private.sign(text.encode()))
        message = f"cosignature/v1\ntime {time}\n{text}".encode()
        signature = time.to_bytes(8, "big") + self.private.sign(message)
        return signature_line(self.name, self.id, signature)


def signature_line(name: str, key_id: bytes, signature: bytes) -> str:
    return f"\u2014 {name} {b64(key_id + signature)}\n"


def note(text: str, *keys: Key) -> str:
    return text + "\n" + "".join(key.line(text) for key in keys)


def checkpoint(origin: str, size: int, root: bytes, *extensions: str) -> str:
    return "".join(f"{line}\n" for line in (origin, size, b64(root), *extensions))


def receipt(index: int | str, hashes: list[bytes], signed: str, extra: str = "") -> str:
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *map(b64, hashes), "", signed]
    if extra:
        lines.insert(1, f"extra {extra}")
    return "\n".join(lines)
