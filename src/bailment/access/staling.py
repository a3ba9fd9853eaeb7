"""Evidence that is marked stale: who collected it is not trusted, so that it counts as ended then.

Only newer evidence counts again. A failure stays one and a contradiction too: nobody gains by it.
What is lost by it has no grace, which is for what may be late and not for what may be forged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Proven, State
from bailment.assurance.evaluation import Evaluation
from bailment.assurance.item import Item
from bailment.assurance.proof_tree import expired_leaves
from bailment.ledger.evidence_records import EvidenceStaled


def marks(proven: Proven) -> Mapping[str, int]:
    """Before when (ms) evidence of which kinds is stale."""
    return {} if proven.stale is UNSET else proven.stale


def marked(item: Item, stale: Mapping[str, int]) -> bool:
    """Whether the item is of a kind that is stale, and no newer."""
    return item.dated < stale.get(item.kind, 0)


def ended(item: Item, stale: Mapping[str, int]) -> Item:
    """The item as it counts: one that is stale has ended when it was marked, or before."""
    if not marked(item, stale):
        return item
    mark = stale[item.kind]
    return replace(item, expires=min(item.expires, mark) if item.expires else mark)


def ungraced(
    evaluation: Evaluation, items: Iterable[Item], stale: Mapping[str, int]
) -> frozenset[int]:
    """The ranks of the tiers that are not held, and would rest on evidence that is stale."""
    gone = {item.id for item in items if marked(item, stale)}
    return frozenset(
        tier.rank
        for tier in evaluation.tiers
        for verdict in tier.blocking
        for leaf in expired_leaves(verdict.proof)
        if not gone.isdisjoint(leaf.items)
    )


def write(state: State, facts: object, time: int) -> bool:
    """Fold one of these records into the state; False if it is another."""
    if not isinstance(facts, EvidenceStaled):
        return False
    proven = state.proven.setdefault(facts.recipient, Proven())
    proven.stale = {**marks(proven), **dict.fromkeys(facts.kinds, time)}
    return True


def _staled(register: Indexed, facts: EvidenceStaled, now: int) -> Refused | None:
    """Kinds of the spec in force, in order, of an organisation that there is."""
    if facts.recipient not in register.organisations:
        return _wrong("there is no such recipient")
    if register.spec is None:
        return _wrong("there is no spec that asks for evidence")
    if not facts.kinds or list(facts.kinds) != sorted(set(facts.kinds)):
        return _wrong("it is about kinds of evidence, in order")
    unknown = next((one for one in facts.kinds if one not in register.spec.kinds), None)
    return None if unknown is None else _wrong(f"the spec has no evidence `{unknown}`")


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {EvidenceStaled: _staled}
