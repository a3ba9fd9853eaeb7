"""A roster: the accounts of a directory, as SCIM Users (RFC 7643 §4.1).

Either what a SCIM server answers to `GET /Users` (RFC 7644 §3.4.2), in one page or an array of all,
whose scope is then the server's base URL; or our roster file around it, which also says when it was
collected (`formats/evidence.md`). A roster with pages missing would hide accounts, and is refused.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bailment.assurance.adapters.reading import (
    KindId,
    Millis,
    ReportId,
    Unreadable,
    as_type,
    scope_id,
)
from bailment.assurance.adapters.report import Account, Report
from bailment.assurance.reasons import EvidenceReason
from bailment.spec.prose import counted

ADAPTER = "scim/1"
FORMAT = "bailment-roster/v1"

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"


class _Email(msgspec.Struct):
    value: str | None = None


class _Meta(msgspec.Struct):
    location: str | None = None


class _User(msgspec.Struct):
    id: str
    userName: str
    schemas: list[str]
    active: bool | None = None
    emails: list[_Email] = []
    meta: _Meta | None = None


class _Page(msgspec.Struct):
    schemas: list[str]
    totalResults: int
    Resources: list[_User] = []


class _Roster(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["bailment-roster/v1"]
    id: ReportId
    scope: str
    collected: Millis
    pages: list[_Page]
    kind: KindId = ""


def recognises(value: Any) -> str:
    """The adapter's name, or empty."""
    match value:
        case {"format": "bailment-roster/v1"}:
            return ADAPTER
        case {"schemas": [*schemas]} | [{"schemas": [*schemas]}, *_] if _LIST in schemas:
            return ADAPTER
    return ""


def read(value: Any) -> Report:
    """The report: accounts, and no checks."""
    if isinstance(value, dict) and value.get("format") == FORMAT:
        roster = as_type(value, _Roster)
        users = _users(roster.pages)
        scope, claimed = scope_id(roster.scope, "$.scope"), roster.collected
        report, kind = roster.id, roster.kind
    else:
        users = _users(as_type(value if isinstance(value, list) else [value], list[_Page]))
        scope, claimed, report, kind = _base_url(users), None, "", ""
    accounts = tuple(_account(user) for user in users)
    notes = []
    if silent := sum(account.active is None for account in accounts):
        notes.append(f"{counted(silent, 'account')} neither active nor inactive")
    return Report(
        adapter=ADAPTER,
        tool="SCIM",
        report=report,
        checks={scope: {}},
        claimed=claimed,
        kind=kind,
        accounts=accounts,
        notes=tuple(notes),
    )


def _users(pages: list[_Page]) -> list[_User]:
    """The users of all pages; Unreadable unless they are all there, once each."""
    users = [user for page in pages for user in page.Resources]
    totals = {page.totalResults for page in pages}
    if totals != {len(users)}:
        raise Unreadable(
            EvidenceReason.INCOMPLETE,
            f"the pages hold {len(users)} of {' or '.join(map(str, sorted(totals)))} accounts; put "
            "all pages into one array",
        )
    if len({user.id for user in users}) < len(users):
        raise Unreadable(EvidenceReason.INCOMPLETE, "an account is listed twice: a page too many")
    if not all(_USER in user.schemas for user in users):
        raise Unreadable(EvidenceReason.SHAPE, "the list holds other resources than users")
    return users


def _account(user: _User) -> Account:
    emails = (email.value for email in user.emails)
    return Account(
        id=user.id,
        user_name=user.userName,
        emails=tuple(email for email in emails if email),
        active=user.active,
    )


def _base_url(users: list[_User]) -> str:
    """What all users' locations have in common before `/Users/<id>`."""
    bases = {
        (user.meta.location or "").removesuffix(f"/Users/{user.id}") if user.meta else ""
        for user in users
    }
    base = bases.pop() if len(bases) == 1 else ""
    if not base.startswith("https://"):
        raise Unreadable(
            EvidenceReason.SCOPE_MISSING,
            "the users' `meta.location` does not say which directory this is; put the pages into a "
            "roster file",
        )
    return scope_id(base, "$")
