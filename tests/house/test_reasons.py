"""A reason is whole: it has an answer, a line for the person who meets it, and a test."""

from __future__ import annotations

import re
from pathlib import Path

from bailment.access.reasons import Reason

ROOT = Path(__file__).parents[2]


def test_every_reason_has_an_answer() -> None:
    from bailment.access.answers import ANSWERS

    assert set(ANSWERS) == set(Reason)


def test_every_reason_has_a_line_in_the_docs_and_no_other_slug_has() -> None:
    page = (ROOT / "docs" / "reasons.md").read_text()
    # A reason's line is a table row or a list item that opens with the slug.
    documented = re.findall(r"^(?:\||-|\*)\s*`([a-z-]+)`", page, re.M)
    assert sorted(documented) == sorted(Reason)


def test_every_reason_is_named_in_a_test() -> None:
    house = Path(__file__).parent
    tests = "\n".join(
        path.read_text() for path in (ROOT / "tests").rglob("*.py") if house not in path.parents
    )
    unnamed = [
        reason.value
        for reason in Reason
        if not re.search(rf"""\bReason\.{reason.name}\b|["']{reason.value}["']""", tests)
    ]
    assert unnamed == []
