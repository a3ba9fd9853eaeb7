"""The Merkle tree of RFC 6962 section 2.1 over SHA-256.

A subtree is addressed by (height, index): the complete subtree over the leaves
[index * 2^height, (index + 1) * 2^height). A `Read` gives its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from bailment.errors import FormatError, VerificationError

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256().digest()

Read = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one log entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node over its children's hashes."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a tree: the roots of its complete subtrees, largest first."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """FormatError unless there is one 32-byte hash for each bit set in `size`."""
        self.size = size
        self._hashes = list(hashes)
        if not 0 <= size <= MAX_SIZE or len(self._hashes) != size.bit_count():
            raise FormatError(f"{len(self._hashes)} hashes are no right edge of a tree of `{size}`")
        if any(len(hash_) != HASH_SIZE for hash_ in self._hashes):
            raise FormatError("a hash of the right edge is not 32 bytes long")

    @classmethod
    def at(cls, size: int, read: Read) -> Frontier:
        """The right edge of the first `size` leaves of a tree that has at least so many."""
        heights = reversed(range(size.bit_length()))
        return cls(size, [read(h, (size >> h) - 1) for h in heights if size >> h & 1])

    def push(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        hashes, size = self._hashes, self.size
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)

    def root(self) -> bytes:
        """The root hash of the tree."""
        return _fold(self._hashes) if self._hashes else EMPTY_ROOT

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What `Frontier(size, hashes)` needs to stand up again."""
        return tuple(self._hashes)

    def copy(self) -> Frontier:
        """An independent frontier at the same size."""
        return Frontier(self.size, self._hashes)


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1, the leaf's sibling first."""
    if not 0 <= index < size <= MAX_SIZE:
        raise FormatError(f"no leaf `{index}` in a tree of `{size}`")
    proof = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(_root(middle, high, read))
            high = middle
        else:
            proof.append(_root(low, middle, read))
            low = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: Read) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962 section 2.1.2; empty when `old` is 0 or `new`."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise FormatError(f"a tree of `{old}` does not grow into one of `{new}`")
    if old == 0:
        return []
    proof = []
    low, high = 0, new
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_root(middle, high, read))
            high = middle
        else:
            proof.append(_root(low, middle, read))
            low = middle
    if low:
        proof.append(_root(low, high, read))
    return proof[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """RFC 9162 section 2.1.3.2; VerificationError unless leaf hash `leaf` is at `index`."""
    if not 0 <= index < size <= MAX_SIZE:
        raise VerificationError(f"no leaf `{index}` in a tree of `{size}`")
    _check_hashes(leaf, root, *proof)
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise VerificationError("the inclusion proof is too long")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise VerificationError("the inclusion proof is too short")
    if computed != root:
        raise VerificationError(f"leaf `{index}` is not in the tree of `{size}` with this root")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """RFC 9162 section 2.1.4.2; VerificationError unless the old tree is a prefix of the new.

    A tree of size 0 has the empty root and is a prefix of every tree, with an empty proof.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise VerificationError(f"a tree of `{old}` does not grow into one of `{new}`")
    _check_hashes(old_root, new_root, *proof)
    if (old == 0 and old_root != EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
        raise VerificationError("the root of an empty tree is not the empty root")
    if old in (0, new):
        if proof:
            raise VerificationError("the consistency proof is too long")
        if old == new and old_root != new_root:
            raise VerificationError(f"two trees of `{old}` have different roots")
        return
    _climb(old, old_root, new, new_root, proof)


def _climb(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    # 0 < old < new: from the largest complete subtree that ends at `old`, up to both roots.
    if not proof:
        raise VerificationError("the consistency proof is too short")
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    computed_old = computed_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise VerificationError("the consistency proof is too long")
        if node & 1 or node == last:
            computed_old = node_hash(sibling, computed_old)
            computed_new = node_hash(sibling, computed_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed_new = node_hash(computed_new, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise VerificationError("the consistency proof is too short")
    if computed_old != old_root or computed_new != new_root:
        raise VerificationError(f"the tree of `{old}` is not a prefix of the tree of `{new}`")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(hash_) != HASH_SIZE for hash_ in hashes):
        raise VerificationError("a hash is not 32 bytes long")


def _split(size: int) -> int:
    """The largest power of two smaller than `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _root(low: int, high: int, read: Read) -> bytes:
    # The root of the leaves [low, high), where `low` is a multiple of every complete subtree
    # in between: true for each range that repeated splitting gives.
    hashes = []
    while low < high:
        height = (high - low).bit_length() - 1
        hashes.append(read(height, low >> height))
        low += 1 << height
    return _fold(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    *rest, root = hashes
    for hash_ in reversed(rest):
        root = node_hash(hash_, root)
    return root
