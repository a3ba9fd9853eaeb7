"""The one place where access is decided.

`decide` is pure: the gateway calls it before each access, and the auditor calls it again for every
access in the log. What only the append can know (is the proof fresh to the log, does the
reservation fit every budget above, is the register still the one that was read) is in the
conditions, which `admission` checks at the sequencer.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from bailment.access.alive import over
from bailment.access.budgets import Budgets, budgets_of
from bailment.access.caller import meets
from bailment.access.certificate import bound
from bailment.access.chain import Link
from bailment.access.holds import held, owned, subjects_of
from bailment.access.reach import reach
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.access.rotation import overdue
from bailment.access.signalling import signed_out
from bailment.access.step_up import unanswered
from bailment.ledger.records import TokenIssued

#: Actions that call no model and so need none named.
LIST_MODELS = "list-models"


class Request(msgspec.Struct, frozen=True):
    """What is asked: by which token, to do what, from where."""

    token: TokenIssued
    action: str
    model: str
    networks: tuple[str, ...]
    ceiling: int


class Allowed(msgspec.Struct, frozen=True):
    """Access is allowed if the append finds these conditions to hold.

    epoch     the register's position that the decision saw
    budgets   those of the chain and of the token, each of which must fit `ceiling`
    """

    epoch: int
    recipient: str
    budgets: Budgets
    ceiling: int


def decide(request: Request, register: Register, now: int) -> Allowed | Refused:
    """Whether this access is allowed now (ms)."""
    if now >= request.token.until:
        return Refused(Reason.TOKEN_EXPIRED, "the access token has expired")
    return bound(register, request.token, now) or standing(request, register, now)


def standing(request: Request, register: Register, now: int) -> Allowed | Refused:
    """The decision without the token's own life: what an access already open depends on."""
    token = request.token
    path = register.path(register.link_of.get(token.device, ""))
    if not path or path[-1].kind not in ("device", "workload"):
        return Refused(Reason.LINK_UNKNOWN, "the device is not enrolled")
    if token.token in register.state.revoked:
        return Refused(Reason.TOKEN_REVOKED)
    refused = _chain(token, path, register, now) or signed_out(register, token, path[-1].id)
    if refused is not None:
        return refused
    covering = subjects_of(path, request.model, token.purpose, request.networks, token.thumbprint)
    subject = held(register, covering, now)
    if subject:
        return Refused(Reason.HELD, subject=subject)
    refused = (
        overdue(register, path[-1], now)
        or unanswered(register, path)
        or _holder(token, path[-1], register, now)
        or _scope(request, path, register)
    )
    if refused is None and request.action != LIST_MODELS:
        refused = reach(register, path, request.model, now) or meets(
            register, token, path, request.model, now
        )
    if refused is not None:
        return refused
    budgets = budgets_of(token, path) if request.ceiling else ()
    return Allowed(register.epoch, path[0].subject, budgets, request.ceiling)


def _holder(token: TokenIssued, last: Link, register: Register, now: int) -> Refused | None:
    """Whether who holds the key is who the chain ends in. A workload's key lasts a job, so that
    what counts is who answers for it."""
    if last.kind == "workload":
        return owned(register, last, now)
    device = register.state.devices[last.subject]
    if register.key(device.key).thumbprint != token.thumbprint:
        return Refused(Reason.PROOF_KEY, "the token is bound to another key than the device's")
    return None


def _chain(token: TokenIssued, path: list[Link], register: Register, now: int) -> Refused | None:
    if path[0].parent or tuple(link.id for link in path) != token.links:
        return Refused(Reason.CHAIN_BROKEN, "the token names another chain than the register")
    for link in path:
        if refused := over(register, link, now):
            return refused
        if now < link.start:
            told = f"the {link.kind}'s link has not begun"
            return Refused(Reason.LINK_EARLY, told, f"link:{link.id}")
    return None


def _scope(request: Request, path: list[Link], register: Register) -> Refused | None:
    token = request.token
    if token.within is not UNSET and not any(one in token.within for one in request.networks):
        return Refused(
            Reason.NETWORK_OUTSIDE_CHAIN, "the caller's network is outside the token's own"
        )
    for link in path:
        if link.purposes and token.purpose not in link.purposes:
            return Refused(
                Reason.PURPOSE_OUTSIDE_CHAIN, "the purpose is outside the chain", f"link:{link.id}"
            )
        if link.networks and not any(block in link.networks for block in request.networks):
            return Refused(
                Reason.NETWORK_OUTSIDE_CHAIN,
                "the caller's network is outside the chain",
                f"link:{link.id}",
            )
    if request.action == LIST_MODELS:
        return None
    if request.model not in register.state.models:
        return Refused(Reason.MODEL_OUTSIDE_CHAIN, "there is no such model in the chain")
    if token.models and request.model not in token.models:
        return Refused(Reason.MODEL_OUTSIDE_CHAIN, "the token is for other models")
    for link in path:
        if link.models and request.model not in link.models:
            # The same words as for a model that does not exist: names are not confirmed.
            return Refused(
                Reason.MODEL_OUTSIDE_CHAIN, "there is no such model in the chain", f"link:{link.id}"
            )
    return None


def issuable(token: TokenIssued, register: Register, now: int) -> Allowed | Refused:
    """Whether a token may be issued now: it must be good for each model that it names."""
    for model in token.models:
        one = Request(token, "generate", model, token.networks, 0)
        if isinstance(refused := standing(one, register, now), Refused):
            return refused
    return bound(register, token, now) or standing(
        Request(token, LIST_MODELS, "", token.networks, 0), register, now
    )


def models_of(
    token: TokenIssued, register: Register, networks: tuple[str, ...], now: int
) -> list[str]:
    """The models that a generation would be allowed for now; what `/v1/models` answers."""
    requests = (
        Request(token, "generate", model, networks, 0) for model in sorted(register.state.models)
    )
    return [
        request.model
        for request in requests
        if isinstance(standing(request, register, now), Allowed)
    ]
