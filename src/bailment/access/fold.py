"""The whole state of a log, folded record by record: what recovery and audits run.

`Fold.follow` checks what a log's own structure promises (time never runs back, every slot's
chain is unbroken, the register's position and spec are as stated) and folds the record into
register and admission. It does not decide again; `auditor` does, with the same state.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.access import jws
from bailment.access.admission import Admission, Counted
from bailment.access.budgets import Budgets, budgets_of
from bailment.access.proof import replay_key
from bailment.access.register import Register
from bailment.access.state import State
from bailment.errors import FormatError, VerificationError
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessOpened, LogHeads, TokenIssued
from bailment.ledger.slots import Head, Slots


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fold of the first `size` entries; its canonical JSON's SHA-256 is in the log."""

    size: int
    time: int
    heads: tuple[int, int]
    issuer_slot: str
    register: State
    admission: Counted
    slots: tuple[tuple[str, int, str], ...]


class Fold:
    """The state after the first `size` entries; `heads` is the time of the last `log.heads`
    record and the number of entries up to and including it."""

    def __init__(self) -> None:
        self.size = 0
        self.time = 0
        self.heads = (0, 0)
        self.issuer_slot = ""
        self.register = Register()
        self.admission = Admission()
        self.slots = Slots()

    def encode(self) -> bytes:
        """The snapshot's bytes."""
        slots = tuple((name, head.count, head.last) for name, head in self.slots.heads.items())
        return canonical.encode(
            Snapshot(
                self.size,
                self.time,
                self.heads,
                self.issuer_slot,
                self.register.state,
                self.admission.at(self.time, self.register.policy),
                slots,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Fold:
        """The fold of a snapshot; FormatError if it is not one."""
        try:
            snapshot = msgspec.json.decode(data, type=Snapshot)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise FormatError(f"the snapshot is wrong: {error}") from None
        fold = cls()
        fold.size, fold.time, fold.heads = snapshot.size, snapshot.time, snapshot.heads
        fold.issuer_slot = snapshot.issuer_slot
        fold.register = Register(snapshot.register)
        fold.admission = Admission(snapshot.admission)
        fold.slots = Slots({name: Head(count, last) for name, count, last in snapshot.slots})
        return fold

    def follow(self, leaf: Leaf, leaf_hash: bytes, facts: Facts) -> None:
        """Fold the next entry; VerificationError if it cannot be the next."""
        if leaf.time < self.time:
            raise VerificationError(f"entry {self.size} is dated before the one before it")
        if leaf.register != self.register.epoch:
            raise VerificationError(
                f"entry {self.size} names register position {leaf.register}; "
                f"it is {self.register.epoch}"
            )
        if leaf.spec != self.register.state.spec:
            raise VerificationError(f"entry {self.size} names another spec than the one in force")
        if isinstance(facts, LogHeads):
            self._check_heads(leaf, facts)
            self.heads = (leaf.time, self.size + 1)
        self.slots.follow(leaf, leaf_hash)
        replay, budgets = self.conditions(facts)
        policy = self.register.policy
        self.admission.apply(facts, replay, budgets, leaf.time, policy, leaf.recipient)
        self.register.apply(self.size, facts, leaf.time)
        if self.size == 0:
            self.issuer_slot = leaf.recipient
        self.time = leaf.time
        self.size += 1

    def conditions(self, facts: Facts) -> tuple[bytes, Budgets]:
        """The replay key and the budgets that `admission` needs for a record."""
        if isinstance(facts, AccessOpened):
            token = self.admission.token(facts.token)
            if token is None:
                raise VerificationError(f"entry {self.size} uses a token that is not in the log")
            path = self.register.path(self.register.link_of.get(token.device, ""))
            budgets = budgets_of(token, path)
            return _replay(facts, token.thumbprint), budgets if facts.ceiling else ()
        if isinstance(facts, TokenIssued):
            return _replay(facts, facts.thumbprint), ()
        return b"", ()

    def _check_heads(self, leaf: Leaf, facts: LogHeads) -> None:
        if self.slots.root(bytes.fromhex(facts.secret)).hex() != leaf.heads:
            raise VerificationError(f"entry {self.size} states other heads than the slots have")


def _replay(facts: AccessOpened | TokenIssued, thumbprint: str) -> bytes:
    """The replay key of a record's proof; empty by mTLS, where there is none. FormatError if there
    should be one."""
    if facts.certificate is not UNSET:
        return b""
    return replay_key(thumbprint, proof_claims(facts.proof).get("jti", ""))


def proof_claims(proof: str) -> dict[str, Any]:
    """The claims of a logged proof, unverified; FormatError if it is none."""
    claims = canonical.parse_unique(jws.split(proof).payload)
    if not isinstance(claims, dict):
        raise FormatError("the proof's payload is not an object")
    return claims
