"""An item of evidence, as the log keeps it: what it says, about whom, and who collected it.

An item is what is left of a report once `intake.receive` has bound it to a recipient and decided
what it is worth. It names people by their random ids only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bailment.spec.terms import Independence

Result = Literal["pass", "fail", "inconclusive"]


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted report; times are ms since the epoch.

    `independence` is what was established at receipt, never above what the kind `caps_at`;
    `collector` is the stable id of who collected, `report` the report's own id, `scope` the one
    tenant, account or organisation that it is about, `dated` the earlier of claimed and received,
    `expires` when the report itself says that it ends (0: it does not say), `digest` the SHA-256 of
    the raw bytes as hex, `people` the random ids of those it saw or covers.
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
    expires: int = 0
    checks: dict[str, Result] = {}
    claims: dict[str, int] = {}
    people: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False
