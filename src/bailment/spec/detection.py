"""The detection section: what detectors look for, from when on it counts, and what follows.

A rule's name is that of its detector (`detect/catalogue.py`). What a spec says nothing of is as in
`RULES`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET

from bailment.spec.quantity import duration_ms, number_ppm
from bailment.spec.terms import Duration, Maybe, Number, Part, says

#: What a finding leads to by itself: the subject is put on hold; the person has to sign in again;
#: it waits for a person; it is only on record. `off`: the detector does not run.
Response = Literal["hold", "step-up", "person", "record", "off"]


class RuleTerms(msgspec.Struct, frozen=True):
    """How a detector works. What `threshold` counts and `window_ms` spans, its own page says."""

    response: Response = "person"
    threshold: int = 1
    window_ms: int = 86_400_000


#: What a recipient's admin says was not done by one of theirs.
REPORTED = "reported"

_HOUR, _DAY = 3_600_000, 86_400_000
#: Every detector, and how it works where the spec says nothing else.
RULES: dict[str, RuleTerms] = {
    # Inline in the gateway's process.
    "undeclared-network": RuleTerms("person", 3, _HOUR),
    "new-network-and-client": RuleTerms("hold", 1, 30 * _DAY),
    "wrong-key": RuleTerms("step-up", 1, _HOUR),
    "tripwire": RuleTerms("person", 1, _HOUR),
    "honey-credential": RuleTerms("person", 1, _HOUR),
    "decoy-model": RuleTerms("hold", 1, _HOUR),
    "quota": RuleTerms("person", 80, _DAY),
    "two-countries": RuleTerms("step-up", 2, _HOUR // 4),
    "many-clusters": RuleTerms("hold", 2, _DAY),
    # Seconds later, in the worker.
    "actor-cluster": RuleTerms("step-up", 966_912, 30 * _DAY),
    "many-credentials": RuleTerms("person", 8, _DAY),
    "relay": RuleTerms("step-up", 983_397, _DAY),
    "purpose-drift": RuleTerms("person", 10, 14 * _DAY),
    # By the word of the recipient whose it is.
    REPORTED: RuleTerms("person", 1, _HOUR),
    # About the system itself.
    "around-the-gateway": RuleTerms("person", 1, _HOUR),
    "tables-old": RuleTerms("person", 1, 30 * _DAY),
    "detector-failed": RuleTerms("person", 1, _HOUR),
    "findings-flood": RuleTerms("person", 1, 60_000),
}


class DetectorRule(Part, frozen=True):
    """What is otherwise with one detector."""

    response: Maybe[Annotated[Response, says("What a finding leads to by itself.")]] = UNSET
    threshold: Maybe[Annotated[int, says("From how many on it counts.", ge=1, le=1_000_000)]] = (
        UNSET
    )
    window: Maybe[Annotated[Duration, says("Over which time.")]] = UNSET


class Detection(Part, frozen=True):
    """How soon misuse must be noticed, and how."""

    shared_credential: Annotated[Duration, says("One person's access used by two.")]
    off_network: Annotated[Duration, says("Use from outside the declared networks.")]
    purpose_drift: Annotated[Duration, says("Use for other than the declared purpose.")]
    false_alerts: Maybe[
        Annotated[Number, says("Per recipient and week, the most that detectors are set for.")]
    ] = UNSET
    findings_per_minute: Maybe[
        Annotated[int, says("More new ones are told together.", ge=1, le=10_000)]
    ] = UNSET
    tables_max_age: Maybe[
        Annotated[Duration, says("How old tables of networks may be before that is a finding.")]
    ] = UNSET
    vectors_kept: Maybe[Annotated[Duration, says("How long the vectors of prompts are kept.")]] = (
        UNSET
    )
    rules: Maybe[
        Annotated[dict[str, DetectorRule], says("What is otherwise with a detector.", min_length=1)]
    ] = UNSET


class DetectionTerms(msgspec.Struct, frozen=True):
    """All of it as detectors read it; `budget_ppm` in millionths of an alert."""

    budget_ppm: int = 100_000
    per_minute: int = 60
    tables_ms: int = 30 * _DAY
    vectors_ms: int = 14 * _DAY
    drift_ms: int = _HOUR
    rules: dict[str, RuleTerms] = {}

    def rule(self, name: str) -> RuleTerms:
        """How a detector works."""
        return self.rules.get(name) or RULES[name]


def detection_of(section: Detection) -> DetectionTerms:
    """What a detection section states."""
    said, usual = {} if section.rules is UNSET else section.rules, DetectionTerms()
    budget, most = section.false_alerts, section.findings_per_minute
    return DetectionTerms(
        budget_ppm=usual.budget_ppm if budget is UNSET else number_ppm(budget),
        per_minute=usual.per_minute if most is UNSET else most,
        tables_ms=_ms(section.tables_max_age, usual.tables_ms),
        vectors_ms=_ms(section.vectors_kept, usual.vectors_ms),
        drift_ms=duration_ms(section.purpose_drift),
        rules={name: _over(RULES[name], rule) for name, rule in said.items()},
    )


def _ms(said: Maybe[str], usual: int) -> int:
    return usual if said is UNSET else duration_ms(said)


def _over(terms: RuleTerms, said: DetectorRule) -> RuleTerms:
    return RuleTerms(
        terms.response if said.response is UNSET else said.response,
        terms.threshold if said.threshold is UNSET else said.threshold,
        _ms(said.window, terms.window_ms),
    )
