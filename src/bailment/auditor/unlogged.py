"""Tokens without a record: each is one finding, however many accesses are by it.

Where a token's own record cannot be read, that is the finding, and what was done with the token
is its consequence.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailment.auditor.findings import Findings, Kind
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessOpened, TokenIssued

#: No access comes later than this after its token's record, whatever the policy says (ms): a life
#: of five minutes, and a minute to decide.
_REACH_MS = 360_000


@dataclass(slots=True)
class _Used:
    """What was opened by one token: from the first entry, in which slot and when, to the last."""

    slot: str
    time: int
    first: int
    last: int
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Unread:
    """A token's record that cannot be read, and as what it was named."""

    slot: str
    time: int
    index: int
    kind: Kind


class UnloggedTokens:
    """Collects them in log order."""

    def __init__(self) -> None:
        self._used: dict[str, _Used] = {}
        self._unread: list[_Unread] = []

    def opened(self, index: int, leaf: Leaf, facts: AccessOpened) -> None:
        """An access by a token that has no record."""
        used = self._used.setdefault(facts.token, _Used(leaf.recipient, leaf.time, index, index))
        used.last = index
        used.count += 1

    def unread(self, index: int, leaf: Leaf, kind: Kind) -> None:
        """A record that cannot be read."""
        if leaf.type == TokenIssued.TYPE:
            self._unread.append(_Unread(leaf.recipient, leaf.time, index, kind))

    def name(self, findings: Findings) -> None:
        """Name each token, or what it follows from: one record that is not read hides one token."""
        for used in self._used.values():
            cause = next((unread for unread in self._unread if _hides(unread, used)), None)
            if cause is None:
                findings.add(used.first, Kind.UNLOGGED_TOKEN, _sentence(used))
            else:
                self._unread.remove(cause)
                findings.explain(
                    cause.index, cause.kind, f"it may be the record of: {_sentence(used)}"
                )


def _hides(unread: _Unread, used: _Used) -> bool:
    since = used.time - unread.time
    return unread.slot == used.slot and unread.index < used.first and since <= _REACH_MS


def _sentence(used: _Used) -> str:
    if used.count == 1:
        return f"the access at {used.first} is by a token that has no record, or was over"
    return (
        f"{used.count} accesses from {used.first} to {used.last} are by one token that has no "
        "record, or was over"
    )
