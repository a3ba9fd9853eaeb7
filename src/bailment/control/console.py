"""The control socket: what the issuer's own commands say to the running process.

Reachable only through a 0600 socket in the issuer's folder, so the operating system has
authenticated the caller: it is the owner of the folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailment.access.chain import Link
from bailment.access.planning import MAX_PLAN
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied, Proposed
from bailment.control.assurance import Assurance
from bailment.control.assurance_acts import AssuranceActs, EvidenceDesk
from bailment.control.assurance_acts import perform as assure
from bailment.control.evaluator import Evaluator
from bailment.control.findings import FindingDesk, RaiseFinding
from bailment.control.holding import Holding, HoldingActs
from bailment.control.incidents import IncidentActs, IncidentDesk
from bailment.control.judging import JudgingActs, judge
from bailment.control.operators import OperatorActs, Operators
from bailment.control.operators import perform as operate
from bailment.control.requests import MAX_BODY, Act, Line, answer, bounded_body, refusal, waiting
from bailment.control.revocation import RevocationDrill, RevokeDrill
from bailment.control.sink_acts import SinkActs, SinkTasks
from bailment.errors import FormatError
from bailment.incident.containment import MAX_CONTAINMENT
from bailment.ledger.drill_records import DrillNoted, DrillVariant
from bailment.ledger.records import Budget

_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AddRecipient(Act, frozen=True, tag="recipient-add"):
    """Register an organisation and grant it models for purposes."""

    handle: str
    contact: Line
    key: dict[str, str]
    models: tuple[Line, ...]
    purposes: tuple[Line, ...]
    until: int
    networks: tuple[str, ...] = ()
    budget: Budget | None = None
    depth: int = 0


class ErasePerson(Act, frozen=True, tag="person-erase"):
    """Destroy what names a person."""

    person: str
    reason: Line


class NoteDrill(Act, frozen=True, tag="drill-note"):
    """Put on record that a drill was held, and with whom, once their links are ended."""

    drill: str
    drill_name: Line
    recipients: tuple[str, ...]
    started: int
    ended: int
    variants: tuple[DrillVariant, ...]
    result: str


Acts = AddRecipient | ErasePerson | NoteDrill
_ANY = (
    Acts
    | AssuranceActs
    | HoldingActs
    | OperatorActs
    | RevokeDrill
    | IncidentActs
    | SinkActs
    | RaiseFinding
    | JudgingActs
)
#: A plan with its spec, or one to contain an incident, and a little around it.
_MAX_ACT = max(MAX_PLAN, MAX_CONTAINMENT) + MAX_BODY


def console_app(
    actions: Actions,
    assurance: Assurance,
    evaluator: Evaluator,
    status: Callable[[], dict[str, Any]],
    operators: Operators,
    holding: Holding,
    sinks: SinkTasks,
) -> Starlette:
    """The application behind the control socket."""
    drill = RevocationDrill(actions, assurance)
    incidents = IncidentDesk(actions, holding, evaluator)
    findings = FindingDesk(actions.log)

    async def act(request: Request) -> Response:
        body = await bounded_body(request, _MAX_ACT)
        if isinstance(body, Refused):
            return refusal(body)
        try:
            asked = msgspec.json.decode(body, type=_ANY)
            if isinstance(asked, Acts):
                done = await perform(actions, asked)
            elif isinstance(asked, HoldingActs):
                done = await holding.perform(asked)
            elif isinstance(asked, RaiseFinding):
                done = await findings.take(asked)
            elif isinstance(asked, JudgingActs):
                done = await judge(actions, asked)
            elif isinstance(asked, SinkActs):
                done = await sinks.perform(asked)
            elif isinstance(asked, IncidentActs):
                done = await incidents.perform(asked)
            elif isinstance(asked, OperatorActs):
                done = await operate(operators, asked)
            elif isinstance(asked, RevokeDrill):
                item = await drill.run(asked.recipient, asked.person, asked.kind, asked.author)
                await evaluator.settled()
                done = {"item": item.id, "kind": item.kind, "claims": item.claims}
            else:
                done = await assure(assurance, evaluator, asked)
        except (msgspec.DecodeError, FormatError) as error:
            return refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except Denied as denied:
            return refusal(denied.refused)
        except Proposed as proposed:
            return waiting(proposed, operators.url)
        return answer(done)

    async def tell(request: Request) -> Response:
        return answer(status())

    desk = EvidenceDesk(assurance, evaluator)
    return Starlette(
        routes=[
            Route("/act", act, methods=["POST"]),
            Route("/evidence", desk.take, methods=["POST"]),
            Route("/status", tell),
        ]
    )


async def perform(actions: Actions, act: Acts) -> dict[str, Any]:
    """Do it; what there is to say about it afterwards."""
    match act:
        case AddRecipient():
            if not _HANDLE.fullmatch(act.handle):
                raise FormatError(
                    f"`{act.handle[:80]}` is no handle; write one like acme, of at most 64 "
                    "letters, digits, dots and hyphens"
                )
            for known in actions.log.fold.register.organisations.values():
                if known.handle != act.handle and known.handle.lower() == act.handle.lower():
                    raise FormatError(f"`{act.handle}` reads like `{known.handle}`, which there is")
            grant = Link(
                "",
                "",
                "recipient",
                "",
                now_ms(),
                act.until,
                None,
                act.models,
                act.purposes,
                act.networks,
                act.budget,
                act.depth,
            )
            pseudonym, link, slug = await actions.register_recipient(
                act.handle, act.contact, act.key, grant, act.author
            )
            base = f"{actions.log.fold.register.state.url}/r/{slug}"
            return {"recipient": pseudonym, "link": link, "base_url": base}
        case ErasePerson():
            await actions.erase(act.person, act.reason, act.author)
        case NoteDrill():
            noted = DrillNoted(
                *(act.drill, act.drill_name, act.recipients, act.started, act.ended),
                *(act.variants, act.result, act.author),
            )
            await actions.append(lambda now: noted)
    return {}
