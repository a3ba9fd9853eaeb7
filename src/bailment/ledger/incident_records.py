"""The records of an incident: what was known when, what was done, and who was told.

Subjects are written as for a hold (`device:<id>`, `recipient:<id>`, …), and further
`vendor:<name>` for a firm outside the register and `system:<handle>` for one of the custody map.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts

#: Characters of a text that somebody tells, at the most.
MOST_TEXT = 16_000

#: Who or what made it known.
Source = Literal["finding", "tip", "person"]


class Times(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Five times that reports keep apart, ms; 0 where it is not known.

    occurred     it happened
    detected     a system noticed it, or somebody outside
    aware        a person of the issuer's knew of it
    classified   its severity was decided
    determined   its cause or extent was found
    """

    occurred: int = 0
    detected: int = 0
    aware: int = 0
    classified: int = 0
    determined: int = 0


class IncidentOpened(Facts, frozen=True):
    """Something that has to be looked into. What the tip said is in the personal part. No other
    incident that is open cites one of its findings."""

    TYPE: ClassVar[str] = "incident.opened"
    REGISTERS: ClassVar[bool] = True
    incident: str
    title: str
    source: Source
    author: str
    subjects: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    times: Times = Times()


class IncidentNoted(Facts, frozen=True):
    """An entry of the timeline; its text is in the personal part, since it may name people."""

    TYPE: ClassVar[str] = "incident.noted"
    REGISTERS: ClassVar[bool] = True
    incident: str
    author: str
    subjects: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    times: Times = Times()


class IncidentClosed(Facts, frozen=True):
    """Nothing more is to be done: no note, notice or act of containment comes after it."""

    TYPE: ClassVar[str] = "incident.closed"
    REGISTERS: ClassVar[bool] = True
    incident: str
    reason: str
    author: str


class CustodyDeclared(Facts, frozen=True):
    """A system outside the gateway in which secrets of the chain lie. A later record of the same
    handle takes the place of this one.

    `runs` is who operates it; `reached` are the organisations, vendors and people that can get into
    it; `stored` are the links, devices, workloads, sources and organisations whose keys or
    credentials lie there. `organisation` declared it by its admin's signed request, `proof` with
    the body `request`, and `system` is `HANDLE/NAME` then, with the organisation's handle; empty
    where the issuer did.
    """

    TYPE: ClassVar[str] = "custody.declared"
    system: str
    kind: str
    runs: str
    author: str
    reached: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    organisation: str = ""
    since: int = 0
    ended: bool = False
    proof: str | UnsetType = UNSET
    request: str | UnsetType = UNSET


class Done(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One act of a plan and what became of it: the id of the hold or rotation that it made, or the
    `proposal` that waits for signatures, or why it `failed`. `already`: it was so before."""

    act: str
    subject: str
    made: str = ""
    proposal: str = ""
    failed: str = ""
    already: bool = False


class ContainmentPlanned(Facts, frozen=True):
    """A plan, by its SHA-256: how many acts, whom they cut off, and how many of those are not known
    to be exposed."""

    TYPE: ClassVar[str] = "containment.planned"
    incident: str
    plan: str
    acts: int
    cut: int
    beside: int
    author: str


class ContainmentExecuted(Facts, frozen=True):
    """What became of each act."""

    TYPE: ClassVar[str] = "containment.executed"
    incident: str
    plan: str
    acts: tuple[Done, ...]
    author: str


class ContainmentVerified(Facts, frozen=True):
    """What was found when everything in the incident's extent, that a plan of its cut, or that has
    a key of one of these was decided about again.

    `plan` is the plan that was executed last, or empty. `decided` decisions were made again and
    `refused` of them refused; `allowed` names those that did not. Left were `open` flights. `tiers`
    has the rank in force of each organisation of whose evidence the plan marked some stale.
    """

    TYPE: ClassVar[str] = "containment.verified"
    incident: str
    plan: str
    decided: int
    refused: int
    open: int
    author: str
    allowed: tuple[str, ...] = ()
    tiers: dict[str, int] | UnsetType = UNSET


class RotationDemanded(Facts, frozen=True):
    """The recipient must replace a credential until then (ms), which is no later than an earlier
    demand said; of a device or a workload nothing is let in after that. `subject` is whose
    credential it is, `organisation` who must act."""

    TYPE: ClassVar[str] = "rotation.demanded"
    REGISTERS: ClassVar[bool] = True
    rotation: str
    subject: str
    organisation: str
    until: int
    reason: str
    author: str
    incident: str = ""


class RotationDone(Facts, frozen=True):
    """The old credential is worth nothing any more, or it is asked no longer: `how` says."""

    TYPE: ClassVar[str] = "rotation.done"
    REGISTERS: ClassVar[bool] = True
    rotation: str
    how: str
    author: str


class NoticeSent(Facts, frozen=True):
    """What one organisation is told of an incident: what of its own is concerned since when (ms),
    what to look at, what to replace and by when. `chases` is the notice that was not answered."""

    TYPE: ClassVar[str] = "notice.sent"
    REGISTERS: ClassVar[bool] = True
    notice: str
    incident: str
    organisation: str
    since: int
    until: int
    due: int
    author: str
    subjects: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    rotate: tuple[str, ...] = ()
    accesses: int = 0
    chases: str | UnsetType = UNSET


class NoticeAcknowledged(Facts, frozen=True):
    """The organisation has read a notice: its admin's signed request says so."""

    TYPE: ClassVar[str] = "notice.acknowledged"
    REGISTERS: ClassVar[bool] = True
    notice: str
    organisation: str
    proof: str


INCIDENT_RECORDS: tuple[type[Facts], ...] = (
    IncidentOpened,
    IncidentNoted,
    IncidentClosed,
    CustodyDeclared,
    ContainmentPlanned,
    ContainmentExecuted,
    ContainmentVerified,
    RotationDemanded,
    RotationDone,
    NoticeSent,
    NoticeAcknowledged,
)
