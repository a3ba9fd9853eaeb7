"""Durations, shares, numbers and dates are read exactly, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import FormatError
from bailment.spec.quantity import (
    date_ms,
    duration_ms,
    number_ppm,
    share_ppm,
    show_duration,
)


@given(st.integers(0, 99_999 * 86_400_000))
def test_a_duration_is_shown_as_it_is_read(span: int) -> None:
    text = show_duration(span)
    assert duration_ms(text) == span
    assert text[-1] in "DHMS" and not text.endswith("T")


@given(*(st.integers(0, 99_999) for _ in range(4)))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, s: int) -> None:
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=s)
    text = f"P{days}DT{hours}H{minutes}M{s}S"
    assert duration_ms(text) == span / timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "P",
            "PT",
            "P1DT",
            "7D",
            "p7d",
            "P1W",
            "P1Y",
            "P1M",
            "P1H",
            "P1D1D",
            "PT1.5M",
            "PT1.5555S",
            "PT.5S",
            "PT1.S",
            "-P1D",
        ),
        *("P-1D", "PT1S1M", "P1D\n", " P1D", "P1D ", "P100000D", "P\uff11D"),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a duration"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "ppm"),
    [
        ("0.6", 600_000),
        ("60%", 600_000),
        ("99.5%", 995_000),
        ("1", 1_000_000),
        ("-22", -22_000_000),
    ],
)
def test_digits_that_are_left_out_are_noughts(text: str, ppm: int) -> None:
    assert number_ppm(text) == ppm


@pytest.mark.parametrize(
    "text", ["PT0S", "PT1S", "PT1M", "PT1H", "P1D", "P1DT1S", "PT1H30M", "P2DT3H4M5S"]
)
def test_a_duration_is_shown_in_its_shortest_spelling(text: str) -> None:
    assert show_duration(duration_ms(text)) == text


@given(st.decimals(-999_999_999, 999_999_999, places=6))
def test_a_number_is_counted_in_millionths(number: Decimal) -> None:
    assert number_ppm(f"{number:f}") == number * 1_000_000


@given(st.decimals(0, 100, places=4))
def test_a_share_is_counted_in_millionths(share: Decimal) -> None:
    text = "100%" if share == 100 else f"{share:f}%"
    assert share_ppm(text) == number_ppm(text) == share * 10_000


@pytest.mark.parametrize("text", ["", "%", "20", "101%", "100.1%", "-1%", "1.%", ".5%", "20%\n"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a share"):
        share_ppm(text)


@pytest.mark.parametrize("text", ["", "1.", ".5", "1e3", "+1", "1.1234567", "0x1", "1 ", "5%%"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a number"):
        number_ppm(text)


@given(st.dates())
def test_a_date_is_the_start_of_its_day(day: datetime) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert date_ms(day.isoformat()) == (start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(
        milliseconds=1
    )


@pytest.mark.parametrize("text", ["", "2026-02-30", "2026-5-1", "20260501", "2026-05-01T00:00"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="is not a date"):
        date_ms(text)
