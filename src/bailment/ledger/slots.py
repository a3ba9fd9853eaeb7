"""Completeness for one recipient inside the one log (`formats/log.md`, section 8).

Every record lies in the slot of one recipient and carries its counter and the hash of the leaf
before it there. A `log.heads` record commits to (count, last leaf hash) of every slot, so a
recipient that is shown an unbroken chain up to a head has been shown all of its records.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import msgspec

from bailment.errors import VerificationError
from bailment.ledger.leaf import NO_PREVIOUS, Leaf
from bailment.ledger.tree import Frontier, inclusion_proof, leaf_hash, node_hash, verify_inclusion


class Head(msgspec.Struct, frozen=True, gc=False):
    """Where one slot stands: how many records, and the hash (hex) of the last one's leaf."""

    count: int
    last: str


START = Head(0, NO_PREVIOUS)


@dataclass(slots=True)
class Slots:
    """All slots, in the order in which they appeared; that order is their place in the tree."""

    heads: dict[str, Head] = field(default_factory=dict)

    def head(self, recipient: str) -> Head:
        """The slot's head; the start for a recipient without records."""
        return self.heads.get(recipient, START)

    def push(self, recipient: str, hash_of_leaf: bytes) -> None:
        """Count one more record in the slot."""
        self.heads[recipient] = Head(self.head(recipient).count + 1, hash_of_leaf.hex())

    def follow(self, leaf: Leaf, hash_of_leaf: bytes) -> None:
        """Check that the leaf continues its slot's chain, then count it."""
        head = self.head(leaf.recipient)
        if leaf.counter != head.count or leaf.previous != head.last:
            raise VerificationError(
                f"record {leaf.counter} of slot `{leaf.recipient}` does not follow record "
                f"{head.count - 1}: one was removed, repeated or altered"
            )
        self.push(leaf.recipient, hash_of_leaf)

    def root(self, secret: bytes) -> bytes:
        """The root that a `log.heads` record carries, salted for each slot under `secret`."""
        frontier = Frontier()
        for recipient, head in self.heads.items():
            frontier.push(leaf_hash(head_leaf(recipient, head, slot_salt(secret, recipient))))
        return frontier.root()

    def prove(self, recipient: str, secret: bytes) -> SlotProof:
        """The proof for one slot, showing nothing of the others."""
        hashes = [
            leaf_hash(head_leaf(name, head, slot_salt(secret, name)))
            for name, head in self.heads.items()
        ]
        index = list(self.heads).index(recipient)
        path = inclusion_proof(index, len(hashes), _subtrees(hashes))
        return SlotProof(index, len(hashes), slot_salt(secret, recipient), tuple(path))


@dataclass(frozen=True, slots=True)
class SlotProof:
    """One slot's place under a heads root; `salt` is that slot's alone."""

    index: int
    slots: int
    salt: bytes
    path: tuple[bytes, ...]

    def verify(self, recipient: str, head: Head, root: bytes) -> None:
        """Raise VerificationError unless `head` is what the root says of the recipient."""
        leaf = leaf_hash(head_leaf(recipient, head, self.salt))
        verify_inclusion(leaf, self.index, self.slots, list(self.path), root)


def slot_salt(secret: bytes, recipient: str) -> bytes:
    """The salt of one slot under the secret of one heads record."""
    return hmac.digest(secret, recipient.encode(), hashlib.sha256)[:16]


def head_leaf(recipient: str, head: Head, salt: bytes) -> bytes:
    """What is hashed for a slot."""
    return b"%s %d %s\n%s" % (recipient.encode(), head.count, head.last.encode(), salt)


def _subtrees(hashes: list[bytes]):  # type: ignore[no-untyped-def]
    def read(level: int, index: int) -> bytes:
        if level == 0:
            return hashes[index]
        return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

    return read
