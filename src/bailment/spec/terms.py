"""The words and names that a spec is written in."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, UnsetType

from bailment import canonical
from bailment.spec.quantity import DATE, DURATION, NUMBER, SHARE

#: Who collected the evidence, from least to most independent of the recipient; closed.
Independence = Literal["self", "self-tool", "peer", "pulled", "third-party", "observed"]
LADDER: tuple[Independence, ...] = (
    "self",
    "self-tool",
    "peer",
    "pulled",
    "third-party",
    "observed",
)
#: The rung of each, 0 for `self`.
RANK: dict[str, int] = {name: rank for rank, name in enumerate(LADDER)}
TierName = Literal["T1", "T2", "T3", "T4"]
TIERS: tuple[TierName, ...] = ("T1", "T2", "T3", "T4")
#: Where standing may step down to; `suspended` is no tier at all.
Destination = Literal["T1", "T2", "T3", "T4", "suspended"]
SUSPENDED: Destination = "suspended"
#: The adapter of what the issuer's own gateway saw, which nobody else can have seen.
GATEWAY = "gateway/1"
#: The ways in which evidence ages.
Class = Literal["machine", "process"]


T = TypeVar("T")
#: What a document may leave out.
Maybe: TypeAlias = T | UnsetType


def says(description: str, **bounds: Any) -> Meta:
    """What a member means, for the schema and its page; and how small or long it may be."""
    return Meta(description=description, **bounds)


def _text(pattern: str, title: str, example: str, most: int | None = None) -> Meta:
    """Text of a form: what it is called, and one of its kind, for who wrote another."""
    return Meta(pattern=pattern, title=title, examples=[example], max_length=most)


Duration = Annotated[str, _text(DURATION, "duration", "P7D")]
Share = Annotated[str, _text(SHARE, "share", "20%")]
Number = Annotated[str, _text(NUMBER, "number in quotes", "0.6")]
Date = Annotated[str, _text(DATE, "date in quotes", "2026-05-01")]
Title = Annotated[str, _text(r"^[^\x00-\x1f\x7f]{1,200}\Z", "line of text", "A few words")]
Prose = Annotated[str, _text(r"^[^\x00-\x08\x0b-\x1f\x7f]+\Z", "text", "A few sentences.", 4000)]
Slug = Annotated[
    str, _text(r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", "name", "restricted-preview")
]
Version = Annotated[
    str,
    _text(r"^(?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2}\Z", "semantic version", "1.0.0"),
]
KindName = Annotated[
    str,
    _text(r"^[a-z][a-z0-9]*(?:[._-][a-z0-9]+){0,7}\Z", "kind of evidence", "scuba.entra", 64),
]
AdapterName = Annotated[
    str,
    _text(r"^[a-z0-9]+(?:-[a-z0-9]+){0,5}/[1-9][0-9]{0,2}\Z", "adapter", "scubagear/1"),
]
RequirementId = Annotated[
    str, _text(r"^[A-Z][A-Z0-9]*(?:-[A-Z0-9]+){0,3}\Z", "requirement's id", "AM-01", 32)
]
ControlId = Annotated[
    str, _text(r"^[a-z0-9][a-z0-9.-]{0,31}:[!-~]{1,64}\Z", "control", "sp800-53r5:ac-2")
]
ClaimName = Annotated[str, _text(r"^[a-z][a-z0-9_]{0,63}\Z", "claim", "cut_after_ms")]
CheckId = Annotated[str, _text(r"^[!-~]{1,128}\Z", "check", "MS.AAD.3.1v1")]
Limit = Annotated[int, Meta(ge=-canonical.MAX_INTEGER, le=canonical.MAX_INTEGER)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root of all that a document is made of."""
