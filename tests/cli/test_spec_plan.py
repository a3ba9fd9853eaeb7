"""What `spec plan` says of a requirement that fares otherwise: what changed, and nothing else."""

from __future__ import annotations

import pytest

from bailment.assurance.plan import Because
from bailment.cli.spec_apply import why

MAY, JUNE = 1_777_593_600_000, 1_780_488_000_000
EARLY, LATE = "2026-05-01T00:00:00Z", "2026-06-03T12:00:00Z"


@pytest.mark.parametrize(
    ("because", "said"),
    [
        (
            ("satisfied", "satisfied", MAY, JUNE),
            f"still satisfied, now until {LATE}, was {EARLY}",
        ),
        (
            ("satisfied", "satisfied", None, MAY),
            f"still satisfied, now until {EARLY}, was for good",
        ),
        (("excepted", "excepted", MAY, None), f"still excepted, now for good, was {EARLY}"),
        (("satisfied", "excepted", JUNE, MAY), f"satisfied -> excepted, until {EARLY}"),
        (("satisfied", "failed", MAY, None), "satisfied -> failed"),
        (("unasked", "missing"), "asked for from now on, missing"),
        (("unasked", "satisfied", None, MAY), f"asked for from now on, satisfied, until {EARLY}"),
        (("missing", "unasked"), "asked for no more, was missing"),
    ],
)
def test_a_line_says_what_changed(because: tuple[object, ...], said: str) -> None:
    assert why(Because("ID-1", *because)) == f"ID-1: {said}"  # type: ignore[arg-type]
