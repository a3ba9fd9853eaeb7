"""What came of a drill, variant by variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from bailment.drills.breach.order import Tried
from bailment.drills.breach.variants import Expected
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.drill_records import DrillVariant

Form = Literal["live", "lab"]


class Signal(msgspec.Struct, frozen=True):
    """What told: a reason of refusals or a kind of finding, at which request of the group's, and
    how long after its first one (ms)."""

    name: str
    request: int
    after: int
    sentence: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of one variant. `refused` is what the first refusal said, `noticed` the first finding,
    `contained` what was cut first; `answers` and `tokens` are what the group got."""

    variant: str
    title: str
    recipient: str
    people: int
    expected: Expected
    requests: int
    answers: int
    tokens: int
    refused: Signal | None = None
    noticed: Signal | None = None
    contained: Signal | None = None
    reasons: dict[str, int] = {}
    findings: dict[str, int] = {}
    protection: str = ""
    unseen: str = ""
    #: By the same detectors over the same traffic, had it come with shared static keys.
    static: Signal | None = None
    static_answers: int = 0

    @property
    def outcome(self) -> str:
        """`refused`, `contained`, `noticed` or `unseen`."""
        if self.refused is not None and not self.answers:
            return "refused"
        if self.contained is not None:
            return "contained"
        return "noticed" if self.noticed is not None else "unseen"

    @property
    def as_expected(self) -> bool:
        """Whether what must be refused was, and what must be noticed."""
        if self.expected == "refused":
            return self.outcome == "refused"
        return self.expected == "open" or self.outcome != "unseen"

    @property
    def signal(self) -> Signal | None:
        """What told first."""
        if self.outcome == "refused":
            return self.refused
        return self.noticed or self.contained

    def record(self) -> DrillVariant:
        """As the log has it."""
        told = self.signal or Signal("", self.requests, 0)
        return DrillVariant(
            *(self.variant, self.recipient, self.outcome, told.name, told.request, told.after),
            self.answers,
            self.tokens,
        )


class Background(msgspec.Struct, frozen=True):
    """Those who meant no harm: how many, what they asked, how much of that was refused, or had no
    answer for another cause, and the findings about them, also by week where there are weeks."""

    recipients: int
    requests: int
    refused: int
    findings: dict[str, int]
    weeks: float
    failed: int = 0
    weekly: tuple[int, ...] = ()

    @property
    def false_alerts(self) -> int:
        return sum(self.findings.values())


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A drill's result; times in ms. `geography` says how other places were made up."""

    format: str = "bailment-drill-result/v1"
    drill: str
    name: str
    form: Form
    simulated: bool
    started: int
    ended: int
    geography: str
    background: Background
    variants: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether every variant was, and nobody was refused who meant no harm."""
        return not self.background.refused and all(one.as_expected for one in self.variants)


def outcome_of(
    variant: str,
    title: str,
    people: int,
    expected: Expected,
    unseen: str,
    recipient: str,
    tried: Sequence[Tried],
    findings: Sequence[tuple[int, FindingRaised]],
    contained: Sequence[tuple[int, str]],
    protection: str = "",
) -> Outcome:
    """What came of one variant, by what its group tried and what the log says."""
    first = min((one.sent for one in tried), default=0)
    refused = min((one for one in tried if is_refusal(one)), default=None, key=_sent)
    told = min(((at, one) for at, one in findings), default=None, key=lambda pair: pair[0])
    cut = min(contained, default=None)
    answered = [one for one in tried if one.status == 200]

    def signal(name: str, at: int, sentence: str = "") -> Signal:
        return Signal(
            name, max(1, sum(one.sent <= at for one in tried)), max(0, at - first), sentence
        )

    return Outcome(
        variant=variant,
        title=title,
        recipient=recipient,
        people=people,
        expected=expected,
        requests=len(tried),
        answers=len(answered),
        tokens=sum(one.tokens for one in answered),
        refused=_refused(refused, tried) if refused else None,
        noticed=signal(told[1].kind, told[0], told[1].sentence) if told else None,
        contained=signal(cut[1], cut[0]) if cut else None,
        reasons=dict(Counter(one.reason for one in tried if is_refusal(one)).most_common()),
        findings=dict(Counter(one.kind for _, one in findings).most_common()),
        protection=protection,
        unseen="" if told or cut else unseen,
    )


def _refused(one: Tried, tried: Sequence[Tried]) -> Signal:
    """The first refusal: which request of theirs it was, and after how long it was answered."""
    first = min(other.sent for other in tried)
    return Signal(
        one.reason, sum(other.sent < one.sent for other in tried) + 1, one.answered - first
    )


def is_refusal(one: Tried) -> bool:
    """Whether the gateway meant it; what it could not answer is no refusal."""
    return 400 <= one.status < 500


def _sent(one: Tried) -> int:
    return one.sent
