"""Credentials that must be replaced by a time, after which the old ones are good for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bailment.access.chain import Link
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed, State
from bailment.ledger.incident_records import RotationDemanded, RotationDone


def overdue(register: Indexed, last: Link, now: int) -> Refused | None:
    """Why the credential that a chain ends in should have been replaced by now, or None."""
    demanded = register.state.rotations.get(f"{last.kind}:{last.subject}")
    if demanded is None or now < demanded.until:
        return None
    told = f"this {last.kind}'s key was to be replaced: {demanded.reason}"
    return Refused(Reason.ROTATION_OVERDUE, told, f"{last.kind}:{last.subject}")


def _demanded(register: Indexed, facts: RotationDemanded, now: int) -> Refused | None:
    """Of an organisation that there is. A later demand takes the place of an earlier one, and says
    no later time than that: else a dead key would live again."""
    known = register.state.rotations
    if any(one.rotation == facts.rotation for one in known.values()):
        return _wrong("the rotation exists already")
    if facts.organisation not in register.organisations:
        return _wrong("there is no such organisation")
    until = no_later(register, facts.subject, facts.until)
    if facts.until != until:
        return _wrong("it was to be done sooner, by an earlier demand")
    in_force = facts.subject in known and until == known[facts.subject].until
    return None if in_force or until > now else _wrong("it is past by when that was to be done")


def no_later(register: Indexed, subject: str, until: int) -> int:
    """By when a credential must be replaced (ms) of which that is demanded until then: sooner where
    an earlier demand says so, even if that is past."""
    known = register.state.rotations.get(subject)
    return until if known is None else min(known.until, until)


def _done(register: Indexed, facts: RotationDone, now: int) -> Refused | None:
    known = any(one.rotation == facts.rotation for one in register.state.rotations.values())
    return None if known else _wrong("there is no such rotation, or it is done")


def write(state: State, facts: object) -> bool:
    """Fold one of these records into the state; False if it is another."""
    match facts:
        case RotationDemanded():
            state.rotations[facts.subject] = facts
        case RotationDone():
            done = [k for k, one in state.rotations.items() if one.rotation == facts.rotation]
            for subject in done:
                del state.rotations[subject]
        case _:
            return False
    return True


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)


RULES: dict[type, Callable[[Indexed, Any, int], Refused | None]] = {
    RotationDemanded: _demanded,
    RotationDone: _done,
}
