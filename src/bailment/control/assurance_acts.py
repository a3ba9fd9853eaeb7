"""What the issuer's own commands ask of assurance, through the control socket."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bailment.access.planning import SpecPlan
from bailment.access.reasons import Reason, Refused
from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.assurance.intake import Submitter
from bailment.assurance.item import Item
from bailment.assurance.reasons import EvidenceRefused
from bailment.control.actions import Denied
from bailment.control.assurance import Assurance, Handed
from bailment.control.evaluator import Evaluator
from bailment.control.requests import Act, Line, Typed, answer, bounded_body, refusal

_Approvals = Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]
_Ids = tuple[Line, ...]


class ApplySpec(Act, frozen=True, tag="spec-apply"):
    """Put the spec of a saved plan in force."""

    plan: SpecPlan


class DeclareEnclave(Act, frozen=True, tag="enclave-declare"):
    """Say which tenants, accounts and organisations are a recipient's."""

    recipient: str
    tenant: _Ids = ()
    account: _Ids = ()
    org: _Ids = ()


class AddApprover(Act, frozen=True, tag="approver-add"):
    """Let a person's signature approve decisions; an empty key ends that."""

    approver: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    key: dict[str, str]
    approvals: tuple[str, ...] = ()


class DecideTier(Act, frozen=True, tag="model-tier"):
    """Put a model into a tier."""

    decision: dict[str, Any]
    approvals: _Approvals


class GrantException(Act, frozen=True, tag="exception-grant"):
    """Excuse a recipient from a requirement."""

    recipient: str
    grant: dict[str, Any]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    approvals: _Approvals


class ReleaseStandings(Act, frozen=True, tag="standing-release"):
    """Let take effect what expired and is held."""

    reason: Line


AssuranceActs = (
    ApplySpec | DeclareEnclave | AddApprover | DecideTier | GrantException | ReleaseStandings
)


async def perform(assurance: Assurance, evaluator: Evaluator, act: AssuranceActs) -> dict[str, Any]:
    """Do it, wait until standing follows, and say what there is to say."""
    done: dict[str, Any] = {}
    match act:
        case ApplySpec():
            done = {"spec": await assurance.apply_spec(act.plan, act.author)}
        case DeclareEnclave():
            scopes = {"tenant": act.tenant, "account": act.account, "org": act.org}
            await assurance.declare_enclave(act.recipient, scopes, act.author)
        case AddApprover():
            approver = act.approver, act.key, act.author, act.approvals
            await assurance.register_approver(*approver)
        case DecideTier():
            await assurance.decide_tier(act.decision, act.approvals, act.author)
        case GrantException():
            await assurance.grant_exception(
                act.recipient, act.grant, act.text, act.approvals, act.author
            )
        case ReleaseStandings():
            done = {"recipients": await evaluator.release(act.reason, act.author)}
    await evaluator.settled()
    return done


class _HandIn(Typed, frozen=True):
    """The query with which a file is handed in; see `Handed`."""

    recipient: str
    kind: str
    by: Submitter
    author: Line
    collector: Annotated[str, msgspec.Meta(max_length=200)] = ""
    simulated: Literal["0", "1"] = "0"


class EvidenceDesk:
    """`POST /evidence` on the control socket: a file as the body, the rest in the query."""

    def __init__(self, assurance: Assurance, evaluator: Evaluator) -> None:
        self._assurance = assurance
        self._evaluator = evaluator

    async def take(self, request: Request) -> Response:
        """Hand in a file that the issuer has."""
        try:
            asked = msgspec.convert(dict(request.query_params), _HandIn)
        except msgspec.ValidationError as error:
            return refusal(Refused(Reason.BODY_MALFORMED, f"the query is wrong: {error}"))
        handed = Handed(
            asked.recipient,
            asked.kind,
            asked.by,
            asked.author,
            asked.collector,
            asked.simulated == "1",
        )
        body = await bounded_body(request, MAX_SIZE)
        if isinstance(body, Refused):
            return refusal(body)
        return await take(self._assurance, self._evaluator, handed, body)


async def take(assurance: Assurance, evaluator: Evaluator, handed: Handed, data: bytes) -> Response:
    """Hand a file in; what it came to, once standing follows from it."""
    try:
        taken = await assurance.receive(handed, data)
    except Denied as denied:
        return refusal(denied.refused)
    if isinstance(taken, EvidenceRefused):
        return _refusal(taken)
    await evaluator.settled()
    told = assurance.account(handed.recipient)
    return answer({"items": [_shown(item) for item in taken], "tier": told.tier}, 201)


def _shown(item: Item) -> dict[str, Any]:
    """An item without what names people, even by their ids."""
    return {
        "id": item.id,
        "kind": item.kind,
        "adapter": item.adapter,
        "scope": item.scope,
        "independence": item.independence,
        "dated": item.dated,
        "digest": item.digest,
        "checks": len(item.checks),
        "claims": item.claims,
        "people": len(item.people),
        "notes": item.notes,
        "simulated": item.simulated,
    }


def _refusal(refused: EvidenceRefused) -> Response:
    """An RFC 9457 problem, for the submitter alone: its detail may quote the file."""
    where = f" at {refused.where}" if refused.where else ""
    problem = {
        "type": f"urn:bailment:reason:{refused.reason}",
        "title": "this is not accepted as evidence",
        "status": 422,
        "detail": f"{refused.detail}{where}",
        "reason": refused.reason.value,
    }
    headers = {"cache-control": "no-store"}
    return JSONResponse(problem, 422, headers, "application/problem+json")
