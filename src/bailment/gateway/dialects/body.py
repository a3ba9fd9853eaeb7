"""Reading request bodies: one JSON object, each key once, the members we rely on well typed."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

import msgspec

from bailment.access.reasons import Reason, Refused
from bailment.canonical import DuplicateKey, parse_unique
from bailment.errors import FormatError

MAX_OUTPUT = 1 << 24
"""Tokens; beyond any context window, and small enough to reserve and add up."""

Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_OUTPUT)]
Choices = Annotated[int, msgspec.Meta(ge=1, le=128)]

_MAX_MODEL = 256  # characters

T = TypeVar("T")


def read(body: bytes) -> dict[str, Any] | Refused:
    """The members of `body`, with a usable `model` among them."""
    try:
        members = parse_unique(body)
    except DuplicateKey as error:
        return Refused(Reason.BODY_DUPLICATE_KEY, str(error))
    except FormatError as error:
        return Refused(Reason.BODY_MALFORMED, str(error))
    if not isinstance(members, dict):
        return malformed("the body must be a JSON object")
    model = members.get("model")
    if not isinstance(model, str) or not model:
        return Refused(Reason.MODEL_MISSING, "`model` must name a model")
    if len(model) > _MAX_MODEL or not model.isprintable():
        return malformed(f"`model` must be at most {_MAX_MODEL} printable characters")
    return members


def typed(members: dict[str, Any], head: type[T]) -> T | Refused:
    """The members that `head` names, in its types."""
    try:
        return msgspec.convert(members, head)
    except msgspec.ValidationError as error:
        words = str(error)
        return malformed(words[:1].lower() + words[1:])


def with_member(body: bytes, members: dict[str, Any], name: str, value: object) -> bytes | Refused:
    """`body`, whose members are `members`, with its top-level `name` set to `value`.

    An absent member is spliced in before the first: the body is known to be one JSON object, so
    its first brace opens it, and `name` cannot come twice. A present one means encoding afresh.
    """
    if name in members:
        try:
            return json.dumps({**members, name: value}, allow_nan=False).encode("ascii")
        except ValueError:
            return malformed("a number is too large to be sent on")
    brace = body.index(b"{") + 1
    comma = b"," if members else b""
    member = msgspec.json.encode({name: value})[1:-1]
    return b"".join((body[:brace], member, comma, body[brace:]))


def malformed(detail: str) -> Refused:
    return Refused(Reason.BODY_MALFORMED, detail)
