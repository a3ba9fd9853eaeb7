"""The example spec, and what is wrong with it once it is edited."""

from __future__ import annotations

from pathlib import Path

from bailment.spec.reading import Problem
from bailment.spec.validation import check

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "docs" / "examples" / "restricted-preview.yaml").read_text()
#: Marks in a text where a problem must be found.
HERE = "«"


def edited(*edits: tuple[str, str]) -> str:
    """The example with each text, which must be there once, in place of another."""
    text = EXAMPLE
    for old, new in edits:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    return text


def marked(text: str) -> tuple[bytes, int, int]:
    """The text without its mark, and the line and column of the mark."""
    before, _, after = text.partition(HERE)
    assert HERE in text and HERE not in after
    return (before + after).encode(), before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1


def problems(text: str) -> tuple[Problem, ...]:
    return check(text.encode()).problems
