"""The records of what was noticed, what a person made of it, and what was done at once."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from bailment.ledger.facts import Facts


class FindingRaised(Facts, frozen=True):
    """Something a person should look at, in one sentence, with the numbers behind it.

    `kind` is the detector's name; `subject`, as for a hold, is whom it is about, `others` who else.
    `records` are the entries of the log in which it was seen, the last ones where they are many;
    `count` is how many there were. `response` is what the spec says of the kind: `hold`, `step-up`,
    `person` or `record`. Times are in ms.

    One of the kind `reported` is what a recipient's admin says, with the `proof` of the signed
    request; its body is in the personal part.
    """

    TYPE: ClassVar[str] = "finding.raised"
    finding: str
    kind: str
    sentence: str
    since: int
    until: int
    numbers: dict[str, int] = msgspec.field(default_factory=dict)
    model: str = ""
    subject: str | UnsetType = UNSET
    others: tuple[str, ...] = ()
    severity: str = ""
    records: tuple[int, ...] = ()
    count: int = 1
    response: str = ""
    proof: str | UnsetType = UNSET


class FindingGrouped(Facts, frozen=True):
    """The same went on: `count` times more since the finding, or since the last of these.

    Of kinds that were too many to be told one by one `finding` is empty, and `kind` and `subjects`
    (how many different) say what they were.
    """

    TYPE: ClassVar[str] = "finding.grouped"
    finding: str
    count: int
    since: int
    until: int
    kind: str = ""
    subjects: int = 0
    records: tuple[int, ...] = ()


class FindingJudged(Facts, frozen=True):
    """What a person made of a finding: `misuse`, `benign` or `known`."""

    TYPE: ClassVar[str] = "finding.judged"
    finding: str
    verdict: str
    reason: str
    author: str


class StepUpAsked(Facts, frozen=True):
    """A person must sign in again at the employer's provider before anything more is let in.

    `finding` is why. A sign-in after the time of this record ends it; where there is no provider
    somebody of the issuer's has to (`StepUpEnded`).
    """

    TYPE: ClassVar[str] = "step_up.asked"
    REGISTERS: ClassVar[bool] = True
    person: str
    finding: str
    reason: str
    author: str


class StepUpEnded(Facts, frozen=True):
    """The issuer asks it of the person no more."""

    TYPE: ClassVar[str] = "step_up.ended"
    REGISTERS: ClassVar[bool] = True
    person: str
    reason: str
    author: str


DETECTION_RECORDS: tuple[type[Facts], ...] = (
    FindingRaised,
    FindingGrouped,
    FindingJudged,
    StepUpAsked,
    StepUpEnded,
)
