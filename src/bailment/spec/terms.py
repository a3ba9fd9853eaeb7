"""The words and names that a spec is written in."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

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
#: Where standing ends: no tier at all.
SUSPENDED = "suspended"
#: The ways in which evidence ages.
Class = Literal["machine", "process"]

Duration = Annotated[str, Meta(pattern=DURATION, description="An ISO 8601 duration: `P7D`.")]
Share = Annotated[str, Meta(pattern=SHARE, description="A share of a whole: `20%`.")]
Number = Annotated[str, Meta(pattern=NUMBER, description="A decimal or percentage: `0.6`, `60%`.")]
Date = Annotated[str, Meta(pattern=DATE, description="A day in UTC: `2026-05-01`.")]
Title = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,200}\Z", description="One line.")]
Prose = Annotated[str, Meta(min_length=1, max_length=4000, description="Text for people.")]
Slug = Annotated[
    str, Meta(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z", description="A name.")
]
KindName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9]*(?:[._-][a-z0-9]+){0,7}\Z",
        max_length=64,
        description="The name of a kind of evidence: `scuba.entra`.",
    ),
]
RequirementId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z][A-Z0-9]*(?:-[A-Z0-9]+){0,3}\Z",
        max_length=32,
        description="The id of a requirement: `AM-01`.",
    ),
]
ClaimName = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z", description="What was counted: `p99_ms`.")
]
CheckId = Annotated[
    str, Meta(pattern=r"^[!-~]{1,128}\Z", description="A tool's id of a check: `MS.AAD.3.1v1`.")
]
Count = Annotated[int, Meta(ge=1, le=64)]
Limit = Annotated[int, Meta(ge=-canonical.MAX_INTEGER, le=canonical.MAX_INTEGER)]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The root of all that a document is made of."""
