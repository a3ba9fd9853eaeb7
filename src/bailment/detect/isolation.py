"""The one place where any exception is caught and not raised again: around a detector's step.

A mistake in one detector must neither stop the others nor the process that runs them. Whoever
calls reports what is returned, so that nothing is swallowed.
"""

from __future__ import annotations

from typing import Any

from bailment.detect.detector import Detector
from bailment.detect.event import Event, Finding
from bailment.spec.detection import RuleTerms


def step_alone(
    detector: Detector[Any], state: Any, event: Event, now: int, terms: RuleTerms
) -> tuple[Any, tuple[Finding, ...]] | Exception:
    """What a detector's step returns, or what it raised."""
    try:
        after, found = detector.step(state, event, now, terms)
        return after, tuple(found)
    except Exception as error:
        return error
