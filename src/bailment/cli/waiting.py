"""What of a containment waits for people who sign: how many more, which of whom, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bailment.access.holds import held
from bailment.access.reasons import Refused
from bailment.access.staling import marks
from bailment.access.two_person import agreed, needed, record_of, signers
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.incident.containment import Act
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import Done
from bailment.ledger.records import HoldAdded
from bailment.store.view import View

_ID = "0" * 32


def takes(view: View, act: Act) -> int:
    """How many people must sign for an act of a plan; 0 if it is done at once."""
    facts: Facts
    match act.act:
        case "hold":
            facts = HoldAdded(_ID, act.subject, "", "")
        case "stale":
            facts = EvidenceStaled(act.subject.partition(":")[2], act.kinds, "", "")
        case _:
            return 0
    number = needed(view.fold.register, facts)
    return 0 if isinstance(number, Refused) else number


def who_may(view: View) -> list[str]:
    """Who may sign for the issuer, as people call them."""
    return [_called(view, one) for one in signers(view.fold.register)]


def waits(view: View, proposal: str) -> dict[str, Any] | None:
    """What an open proposal waits for; None if it is done, withdrawn or has expired."""
    register = view.fold.register
    found = register.state.proposals.get(proposal)
    if found is None or now_ms() >= found.until:
        return None
    record = record_of(found.act)
    number, signed = needed(register, record), agreed(register, found, record)
    may = signers(register, found.organisation)
    return {
        "missing": 1 if isinstance(number, Refused) else max(1, number - len(signed)),
        "signed": [_called(view, one) for one in found.by],
        "may_sign": [_called(view, one) for one, human in may.items() if human not in signed],
        "until": show_time(found.until),
    }


def of_done(view: View, acts: Iterable[Done]) -> list[dict[str, Any]]:
    """The acts of an execution for which somebody was asked, and which are not done: with what they
    wait for, or with none where the proposal was withdrawn or has expired."""
    register, rows = view.fold.register, []
    for one in acts:
        if not one.proposal:
            continue
        wait = waits(view, one.proposal)
        name = one.subject.partition(":")[2]
        stale = one.act == "stale" and marks(register.proven(name))
        if wait is not None or not (stale or held(register, [one.subject], now_ms())):
            rows.append(
                {"act": one.act, "subject": one.subject, "proposal": one.proposal, "waits": wait}
            )
    return rows


def sentence(act: str, name: str, proposal: str, wait: dict[str, Any]) -> str:
    """Who must do what, in a line."""
    by = f", {', '.join(wait['signed'])} signed" if wait["signed"] else ""
    return (
        f"{act} {name} waits until {wait['until']} for {wait['missing']} of "
        f"{', '.join(wait['may_sign']) or 'nobody'}{by}: "
        f"bailment approve sign {proposal[:8]} --key FOLDER"
    )


def _called(view: View, signer: str) -> str:
    kind, _, name = signer.partition(":")
    if kind != "operator":
        return name
    known = view.fold.register.state.operators.get(name)
    told = view.people.at(known.index).get("name", "") if known is not None else ""
    return told or f"operator {name[:8]}"
