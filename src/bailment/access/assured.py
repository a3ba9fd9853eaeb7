"""What recipients prove, as records: the rules by which they enter the register.

A `standing.evaluated` enters only if evaluating again what the register holds gives the same, bit
for bit. So nobody can write a standing that does not follow, and every auditor derives it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET

from bailment import canonical
from bailment.access import jws, staling
from bailment.access.approval import EXCEPTION, approved
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, Proven
from bailment.assurance.adapters.reading import is_scope, scope_key
from bailment.assurance.evaluation import Evaluation, evaluate, evaluation_digest
from bailment.assurance.grant import Grant, objection
from bailment.assurance.item import Item
from bailment.assurance.mass_change import Change, graced, held_back, held_standing
from bailment.assurance.standing import Standing, advance
from bailment.errors import FormatError
from bailment.ledger.evidence_records import (
    EnclaveDeclared,
    EvidenceReceived,
    ExceptionGranted,
    StandingEvaluated,
)
from bailment.ledger.facts import Facts
from bailment.ledger.records import SpecApplied, spec_digest
from bailment.spec.compiled import CompiledSpec, Kind
from bailment.spec.terms import GATEWAY, LADDER, RANK, TIERS

_KINDS = ("tenant", "account", "org")
#: Ids in an enclave.
_MOST_IDS = 256
_SPEC_TYP = "bailment-spec+jwt"

_NOTHING: Mapping[str, int] = MappingProxyType({})
_T = TypeVar("_T")


class Evaluated(NamedTuple):
    """An evaluation, the standing that follows from it, and whether anything is held in it."""

    evaluation: Evaluation
    standing: Standing
    held: bool = False


def item_of(value: dict[str, Any]) -> Item:
    """An item as it stands in a record; FormatError if it is none."""
    return _read(value, Item)


def grant_of(value: dict[str, Any]) -> Grant:
    """A grant as it stands in a record; FormatError if it is none."""
    return _read(value, Grant)


def standing_of(value: dict[str, Any]) -> Standing:
    """A standing as it stands in a record; FormatError if it is none."""
    return _read(value, Standing)


def evaluated(
    register: Indexed,
    recipient: str,
    spec: CompiledSpec,
    at: int,
    *,
    held: bool = False,
    stale: Mapping[str, int] = _NOTHING,
) -> Evaluated:
    """What a recipient holds at `at` under a spec, from all that the register knows of it.

    `held`: as if what expired had not, since too many recipients would have fallen at once;
    `stale`: as if evidence of these kinds, dated before then (ms), were marked stale besides.
    """
    proven = register.proven(recipient)
    stale = {**staling.marks(proven), **stale}
    items = counting(proven, stale)
    evaluation = evaluate(spec, items, proven.grants, at)
    ungraced = staling.ungraced(evaluation, items, stale)
    standing = advance(proven.standing, evaluation, spec.lapse, at, ungraced)
    change = Change(proven.standing, standing, began(proven, spec, at))
    kept = held_standing(change, spec.lapse) if held else standing
    return Evaluated(evaluation, kept, kept != standing)


def began(proven: Proven, spec: CompiledSpec, at: int) -> int:
    """When the hold began that a recipient is under, or was and that is not over yet; 0 if there is
    none. One that begins anew in the same outage lasts no longer."""
    standing = proven.standing
    falls = standing is not None and (held_back(standing) or graced(standing, spec.lapse, at))
    return proven.since if proven.hold == "held" or falls else 0


def counting(proven: Proven, stale: Mapping[str, int] | None = None) -> list[Item]:
    """The items about what is the recipient's enclave now; those that are stale, by the recipient's
    own marks where no others are given, have ended."""
    ours = {scope for scopes in proven.scopes.values() for scope in scopes}
    stale = staling.marks(proven) if stale is None else stale
    return [staling.ended(item, stale) for item in proven.items if item.scope in ours]


def standing_record(
    register: Indexed, recipient: str, at: int, *, held: bool = False
) -> StandingEvaluated:
    """The record of a recipient's standing from `at` on; a spec must be in force."""
    if register.spec is None:
        raise ValueError("there is no spec to evaluate under")
    found = evaluated(register, recipient, register.spec, at, held=held)
    return StandingEvaluated(
        recipient,
        at,
        evaluation_digest(found.evaluation),
        found.evaluation.inputs,
        found.evaluation.items,
        unmet(found.evaluation),
        msgspec.to_builtins(found.standing),
        True if found.held else UNSET,
    )


def unmet(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """What keeps each tier from being held."""
    return {
        TIERS[tier.rank - 1]: {one.requirement: one.status for one in tier.blocking}
        for tier in evaluation.tiers
        if tier.blocking
    }


# The rules


def declared(register: Indexed, facts: EnclaveDeclared, now: int) -> Refused | None:
    """An enclave names ids that no other recipient's does."""
    if facts.recipient not in register.organisations:
        return _wrong("there is no such recipient")
    if not set(facts.scopes) <= set(_KINDS):
        return _wrong(f"an enclave has {', '.join(f'`{kind}`' for kind in _KINDS)}")
    ids = [one for scopes in facts.scopes.values() for one in scopes]
    if len(ids) > _MOST_IDS or not all(map(is_scope, ids)):
        return _wrong(
            f"an enclave has at most {_MOST_IDS} ids, of 1 to 200 printable ASCII characters"
        )
    odd = next((one for one in ids if scope_key(one) != one), None)
    if odd is not None:
        return _wrong(f"`{odd}` is written `{scope_key(odd)}`")
    for other, proven in register.state.proven.items():
        taken = {one for scopes in proven.scopes.values() for one in scopes}
        if other != facts.recipient and not taken.isdisjoint(ids):
            return _wrong(f"`{min(taken.intersection(ids))}` is another recipient's")
    return None


def sign_spec(digest: str, key: ec.EllipticCurvePrivateKey) -> str:
    """The issuer's signature of the spec with this digest, as `signed_by_issuer` reads it."""
    return jws.sign({"typ": _SPEC_TYP}, canonical.encode({"digest": digest}), key)


def signed_by_issuer(register: Indexed, facts: SpecApplied) -> Refused | None:
    """Whether the issuer signed the spec: a compact JWS, `typ` `bailment-spec+jwt`, over the object
    that has its `digest`."""
    payload = canonical.encode({"digest": spec_digest(facts)})
    try:
        signature = jws.parse(facts.signature or "")
    except FormatError as error:
        return _wrong(f"the spec's signature is malformed: {error}")
    fits = signature.header.get("typ") == _SPEC_TYP and signature.payload == payload
    if not fits or not jws.verify(signature, register.key(register.state.issuer)):
        return _wrong("the issuer did not sign this spec")
    return None


def received(register: Indexed, facts: EvidenceReceived, now: int) -> Refused | None:
    """An item about the recipient's own enclave, of a kind of the spec, not used before."""
    if facts.recipient not in register.organisations:
        return _wrong("there is no such recipient")
    if register.spec is None:
        return _wrong("there is no spec that asks for evidence")
    try:
        item = item_of(facts.item)
        canonical.check(facts.item)
    except FormatError as error:
        return _wrong(str(error))
    kind = register.spec.kinds.get(item.kind)
    if kind is None:
        return _wrong(f"the spec has no evidence `{item.kind}`")
    if why := _overstated(item, kind):
        return _wrong(why)
    if not item.dated <= item.received <= now:
        return _wrong("the item is from the future")
    if item.scope not in register.proven(facts.recipient).scopes.get(kind.scope, ()):
        return _wrong("the item is about another enclave")
    mark = submission(facts.recipient, item)
    left = traces(facts.recipient, item)
    known = [register.state.submitted.get(trace) for trace in left]
    again = any(
        one.id == item.id
        or (one.scope == item.scope and not set(left).isdisjoint(traces(facts.recipient, one)))
        for one in register.proven(facts.recipient).items
    )
    if again or any(one not in (None, mark) for one in known):
        return _wrong("the report was submitted before")
    return None


def apart(records: Sequence[Facts]) -> Refused | None:
    """Whether these are the items of one submission, each about a scope of its own."""
    try:
        found = [
            (facts.recipient, item_of(facts.item))
            for facts in records
            if isinstance(facts, EvidenceReceived)
        ]
    except FormatError as error:
        return _wrong(str(error))
    number = len(records)
    of_one = len({submission(recipient, item) for recipient, item in found}) == 1
    own = len({item.scope for _, item in found}) == len({item.id for _, item in found}) == number
    return None if of_one and own else _wrong("these are not the items of one submission")


def _overstated(item: Item, kind: Kind) -> str:
    """Why the item cannot be of its kind, or not worth what it says; empty if it can."""
    if item.adapter != kind.adapter:
        return f"`{kind.name}` is of `{kind.adapter}`, and not of `{item.adapter}`"
    if RANK[item.independence] > kind.cap:
        return f"`{kind.name}` is never worth more than `{LADDER[kind.cap]}`"
    if item.adapter == GATEWAY and item.independence != "observed":
        return "the gateway did not see this"
    return ""


def traces(recipient: str, item: Item) -> tuple[str, str]:
    """By what a report is known again, though the item may be gone: its own id, which another
    recipient's may have too, and its bytes."""
    return traces_of(recipient, item.kind, item.report, item.digest)


def traces_of(recipient: str, kind: str, report: str, digest: str) -> tuple[str, str]:
    """The same of a report that is no item yet."""
    return sha256(f"{recipient} {kind} {report}".encode()).hexdigest()[:32], digest[:32]


def submission(recipient: str, item: Item) -> str:
    """What the items of one submission share: a report may be about several scopes."""
    return f"{recipient} {item.received}"


def excepted(register: Indexed, facts: ExceptionGranted, now: int) -> Refused | None:
    """A grant that the spec's policy allows, approved by as many as it demands."""
    if facts.recipient not in register.organisations:
        return _wrong("there is no such recipient")
    if register.spec is None:
        return _wrong("there is no spec to be excused from")
    try:
        grant = grant_of(facts.grant)
        canonical.check(facts.grant)
    except FormatError as error:
        return _wrong(str(error))
    others = register.proven(facts.recipient).grants
    if any(other.id == grant.id for other in others):
        return _wrong("the exception exists already")
    if not facts.text.strip():
        return _wrong("an exception says in writing why it is granted")
    why = objection(grant, register.spec.exceptions, others)
    if why:
        return _wrong(why)
    told = {"recipient": facts.recipient, "grant": facts.grant, "text": facts.text}
    number = register.spec.exceptions.approvers
    return approved(register, EXCEPTION, told, facts.approvals, number, grant.approvers)


def stood(register: Indexed, facts: StandingEvaluated, now: int) -> Refused | None:
    """What evaluating again gives, and nothing else."""
    if facts.recipient not in register.organisations or register.spec is None:
        return _wrong("there is no such recipient, or no spec")
    before = register.proven(facts.recipient).standing
    if facts.held is not UNSET and register.proven(facts.recipient).hold != "held":
        return _wrong("nothing that expired is held for the recipient")
    if not (before.at if before else 0) <= facts.at <= now:
        return _wrong("the evaluation is from the future, or older than the last")
    if now - facts.at > register.policy.decision_ms:
        return _wrong("the evaluation is not of this moment")
    derived = standing_record(register, facts.recipient, facts.at, held=facts.held is True)
    if canonical.encode(derived) != canonical.encode(facts):
        return _wrong("the standing does not follow from the spec and the evidence")
    return None


def _read(value: dict[str, Any], kind: type[_T]) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"the {kind.__name__.lower()} is wrong: {error}") from None


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
