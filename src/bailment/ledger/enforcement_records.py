"""The records of how strictly the gateway enforces the register."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts


class MaintenanceExtended(Facts, frozen=True):
    """The gateway may go on without hearing the log until then (ms); 0 ends that at once.

    `approval` is the proposal that others approved, where the spec asks for them.
    """

    TYPE: ClassVar[str] = "maintenance.extended"
    REGISTERS: ClassVar[bool] = True
    until: int
    reason: str
    author: str
    approval: str | UnsetType = UNSET


ENFORCEMENT_RECORDS: tuple[type[Facts], ...] = (MaintenanceExtended,)
