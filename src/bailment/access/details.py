"""Rich authorization requests (RFC 9396) of the one type `bailment_access`.

A device may ask for less than its chain gives: some of the models, a budget, networks. Nothing it
asks for can be more, since whatever the token says, the chain is asked at each use too.
"""

from __future__ import annotations

import ipaddress

import msgspec
from msgspec import UNSET

from bailment import canonical
from bailment.access.chain import Link, inside
from bailment.access.decision import models_of
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.access.token import AccessDetail, Details
from bailment.errors import FormatError
from bailment.ledger.records import TokenIssued


def read_details(text: str) -> AccessDetail | Refused:
    """The one object in an `authorization_details` parameter."""
    try:
        detail = msgspec.convert(canonical.parse_unique(text.encode()), Details)[0]
    except (FormatError, msgspec.ValidationError) as error:
        return _wrong(str(error))
    if detail.budget is not UNSET and not (
        0 < detail.budget.tokens <= canonical.MAX_INTEGER and 0 < detail.budget.seconds <= 10**9
    ):
        return _wrong("a budget has at least one token and one second")
    for block in () if detail.networks is UNSET else detail.networks:
        try:
            ipaddress.ip_network(block)
        except ValueError:
            return _wrong("a network is written like `192.0.2.0/24`")
    return detail


def outside(detail: AccessDetail, path: list[Link]) -> Refused | None:
    """Why the networks asked for are no narrowing of the chain's, or None."""
    for link in path:
        for block in () if detail.networks is UNSET else detail.networks:
            if link.networks and not inside(block, link.networks):
                told = f"`{block}` is outside the chain's networks"
                return Refused(Reason.NETWORK_OUTSIDE_CHAIN, told, f"link:{link.id}")
    return None


def granted(
    detail: AccessDetail, token: TokenIssued, path: list[Link], register: Register, now: int
) -> AccessDetail:
    """What the token is good for now (RFC 9396 §7.1): the models that it opens, the networks that
    it must be used from, and the tightest budget on it."""
    networks = detail.networks
    for link in path if networks is UNSET else ():
        networks = link.networks or networks
    budgets = [link.budget for link in path if link.budget is not None]
    budgets += [] if detail.budget is UNSET else [detail.budget]
    return msgspec.structs.replace(
        detail,
        models=detail.models or tuple(models_of(token, register, token.networks, now)),
        networks=networks,
        budget=min(budgets, key=lambda budget: budget.tokens / budget.seconds, default=UNSET),
    )


def person_of(path: list[Link]) -> str:
    """Who answers for what a chain ends in: the person at a device, the owner of a workload."""
    for link in path:
        if link.kind in ("person", "workload"):
            return link.owner or link.subject
    return ""


def _wrong(detail: str) -> Refused:
    return Refused(Reason.BODY_MALFORMED, f"`authorization_details` is wrong: {detail}")
