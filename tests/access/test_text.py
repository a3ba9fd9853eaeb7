"""What a reader would not see as itself is found; what people are called is not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access.text import hidden


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Maria Silva",
        "Zoë O'Brien-Łukasz",
        "李小龍",
        "محمد",
        "Ὀδυσσεύς",
        "laptop #2 (blå) 🦊",
        "a\u00a0b",
    ],
)
def test_what_people_and_things_are_called_is_seen(text: str) -> None:
    assert hidden(text) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\x1b[2Jb", "U+001B"),
        ("Maria\n", "U+000A"),
        ("\x9b31m", "U+009B"),
        ("gpj.\u202etxt", "U+202E"),
        ("a\u2066b\u2069", "U+2066"),
        ("a\u200bb", "U+200B"),
        ("a\u2028b", "U+2028"),
        ("\ud800", "U+D800"),
        ("\U000e0041", "U+E0041"),
    ],
)
def test_what_hides_or_steers_is_named(text: str, found: str) -> None:
    assert hidden(text) == found


@given(st.text())
def test_no_control_or_format_character_is_missed(text: str) -> None:
    assert bool(hidden(text)) == any(
        unicodedata.category(ch) in ("Cc", "Cf", "Cs", "Zl", "Zp") for ch in text
    )
