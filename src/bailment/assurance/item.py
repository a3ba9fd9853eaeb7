"""An item of evidence, as the log keeps it: what it says, about whom, and who collected it.

An item is what is left of a report once `intake.receive` has bound it to a recipient and decided
what it is worth. It names people by their random ids only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Result = Literal["pass", "fail", "inconclusive"]

#: Who collected, low to high (`LADDER.index` compares). It belongs to the collector, not the tool:
#: what the recipient says; what a tool says that it ran itself; what another recipient saw; what
#: the issuer fetched; what an assessor signed; what the gateway saw.
Independence = Literal["self", "self-tool", "peer", "pulled", "third-party", "observed"]
LADDER: tuple[Independence, ...] = (
    "self",
    "self-tool",
    "peer",
    "pulled",
    "third-party",
    "observed",
)


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted report; times are ms since the epoch.

    `independence` is what was established at receipt, never above what the kind `caps_at`;
    `collector` is the stable id of who collected, `report` the report's own id, `scope` the tenant,
    account or organisation that it is about, `dated` the earlier of claimed and received, `digest`
    the SHA-256 of the raw bytes as hex, `people` the random ids of those it saw or covers.
    """

    id: str
    kind: str
    adapter: str
    independence: Independence
    collector: str
    report: str
    scope: str
    dated: int
    received: int
    digest: str
    checks: dict[str, Result] = {}
    claims: dict[str, int] = {}
    people: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False
