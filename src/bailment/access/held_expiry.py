"""Holding what expired, since too many recipients would fall at once; and letting it take effect.

Neither a hold nor its release is merely said or kept in mind: both are records, and the rule of the
first counts anew, from all that the register knows, how many would fall.
"""

from __future__ import annotations

from bailment.access.assured import began, evaluated
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Hold, Indexed, Proven
from bailment.assurance.mass_change import (
    Change,
    falls,
    graced,
    held_back,
    held_standing,
    many,
)
from bailment.assurance.standing import Standing
from bailment.ledger.evidence_records import StandingEvaluated, StandingHeld, StandingReleased
from bailment.spec.compiled import CompiledSpec

#: Recipients in one record.
MOST_NAMES = 1000


def over(proven: Proven, spec: CompiledSpec, at: int) -> bool:
    """Whether what expired was held for as long as the spec lets."""
    ends = proven.since + spec.lapse.hold_at_most
    return proven.hold == "over" or (proven.hold == "held" and ends <= at)


def released(proven: Proven, spec: CompiledSpec, at: int) -> bool:
    """Whether a person, or the end of its hold, let expire what is not over yet at `at`: that is
    not held once more."""
    standing = proven.standing
    if standing is None or not (proven.hold == "released" or over(proven, spec, at)):
        return False
    return held_back(standing) or graced(standing, spec.lapse, at)


def note_hold(register: Indexed, proven: Proven, facts: StandingHeld | StandingReleased) -> None:
    """Note that what expired of a recipient is held, from then on or since before in the same
    outage; or that it takes effect."""
    if isinstance(facts, StandingReleased):
        proven.hold = "released"
        return
    since = began(proven, register.spec, facts.at) if register.spec is not None else 0
    proven.hold, proven.since = "held", since or facts.at


def hold_after(register: Indexed, facts: StandingEvaluated, standing: Standing) -> tuple[Hold, int]:
    """Whether what expired is held or released once this standing is in force, and since when it
    was held."""
    proven, spec = register.proven(facts.recipient), register.spec
    if facts.held is True:
        return "held", proven.since
    if spec is None or not graced(standing, spec.lapse, facts.at):
        return "", 0
    if not released(proven, spec, facts.at):
        return "", began(proven, spec, facts.at)
    return "over" if over(proven, spec, facts.at) else "released", proven.since


# The rules


def held(register: Indexed, facts: StandingHeld, now: int) -> Refused | None:
    """Recipients for whom a hold changes something, when more than the spec's share would fall."""
    spec, total = register.spec, len(register.organisations)
    if spec is None:
        return _wrong("there is no spec, and so nothing expires")
    if not 0 <= now - facts.at <= register.policy.decision_ms:
        return _wrong("the hold is not of this moment")
    refused = _named(register, facts.recipients)
    if refused is not None:
        return refused
    for name in facts.recipients:
        change = _change(register, name, spec, facts.at)
        if change is None or held_standing(change, spec.lapse) == change.after:
            return _wrong(f"nothing of `{name}` has expired that could be held")
    count = len(facts.recipients)
    rest = sorted(register.organisations.keys() - set(facts.recipients))
    others = (name for name in rest if _falls(register, name, spec, facts.at))
    while not many(count, total, spec.lapse):
        if next(others, None) is None:
            return _wrong("no more recipients would fall at once than the spec lets")
        count += 1
    return None


def let_go(register: Indexed, facts: StandingReleased, now: int) -> Refused | None:
    """Recipients that are held."""
    refused = _named(register, facts.recipients)
    if refused is None and any(register.proven(one).hold != "held" for one in facts.recipients):
        return _wrong("not all of these recipients are held")
    return refused


def _named(register: Indexed, names: tuple[str, ...]) -> Refused | None:
    if not 0 < len(names) <= MOST_NAMES or list(names) != sorted(set(names)):
        return _wrong(f"it is about 1 to {MOST_NAMES} recipients, in order")
    known = register.organisations.keys() >= set(names)
    return None if known else _wrong("there is no such recipient")


def _falls(register: Indexed, name: str, spec: CompiledSpec, at: int) -> bool:
    change = _change(register, name, spec, at)
    return change is not None and falls(change, spec.lapse)


def _change(register: Indexed, name: str, spec: CompiledSpec, at: int) -> Change | None:
    """What evaluating at `at` would change; None if it may not be held, or was evaluated since."""
    proven = register.proven(name)
    if released(proven, spec, at) or (proven.standing is not None and proven.standing.at > at):
        return None
    after = evaluated(register, name, spec, at).standing
    return Change(proven.standing, after, began(proven, spec, at))


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
