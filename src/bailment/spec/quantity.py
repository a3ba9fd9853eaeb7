"""Durations, shares and dates as a spec writes them: as text, because canonical JSON has no floats.

A duration is the part of ISO 8601-1 §5.5.2 that has one length whatever the calendar says: days,
hours, minutes and seconds, the last with milliseconds where need be. A number is a decimal or a
percentage, counted in millionths.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from bailment.errors import FormatError

DURATION = (
    r"^P(?=[0-9T])(?:[0-9]{1,5}D)?"
    r"(?:T(?=[0-9])(?:[0-9]{1,5}H)?(?:[0-9]{1,5}M)?(?:[0-9]{1,6}(?:\.[0-9]{1,3})?S)?)?\Z"
)
SHARE = r"^(?:100|[0-9]{1,2}(?:\.[0-9]{1,4})?)%\Z"
NUMBER = r"^-?[0-9]{1,9}(?:\.[0-9]{1,6})?\Z|^[0-9]{1,6}(?:\.[0-9]{1,4})?%\Z"
DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}\Z"

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MILLION = 1_000_000

_UNITS = {"D": DAY, "H": HOUR, "M": MINUTE, "S": SECOND}


def duration_ms(text: str) -> int:
    """The duration in ms: `P7D` is 604800000. FormatError if it is none."""
    if not re.search(DURATION, text):
        raise FormatError(f"`{text}` is not a duration", hint="write one like `P7D` or `PT10M`")
    parts = re.findall(r"([0-9]+)(?:\.([0-9]+))?([DHMS])", text)
    return sum(
        int(count) * _UNITS[unit] + int(fraction.ljust(3, "0") or 0)
        for count, fraction, unit in parts
    )


def show_duration(ms: int) -> str:
    """The shortest spelling of a duration: `P7D`, `PT1H30M`, `PT0.25S`, `PT0S`."""
    days, rest = divmod(ms, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, thousandths = divmod(rest, SECOND)
    last = f"{seconds}.{thousandths:03}".rstrip("0") if thousandths else seconds
    clock = zip((hours, minutes, last), "HMS", strict=True)
    time = "".join(f"{count}{unit}" for count, unit in clock if count)
    day = f"{days}D" if days else ""
    return f"P{day}T{time}" if time else f"P{day or 'T0S'}"


def share_ppm(text: str) -> int:
    """A share of a whole in millionths: `20%` is 200000. FormatError if it is none."""
    if not re.search(SHARE, text):
        raise FormatError(f"`{text}` is not a share", hint='write one like `"20%"` or `"99.5%"`')
    return number_ppm(text)


def number_ppm(text: str) -> int:
    """A decimal or a percentage in millionths: `0.6` and `60%` are 600000."""
    if not re.search(NUMBER, text):
        raise FormatError(f"`{text}` is not a number", hint='write one like `"0.6"` or `"60%"`')
    whole, _, fraction = text.removesuffix("%").partition(".")
    digits = 4 if text.endswith("%") else 6
    value = int(whole + fraction.ljust(digits, "0"))
    return value


def date_ms(text: str) -> int:
    """The first instant of a day in UTC, ms. FormatError if there is no such day."""
    try:
        day = date.fromisoformat(text) if re.search(DATE, text) else None
    except ValueError:
        day = None
    if day is None:
        raise FormatError(f"`{text}` is not a date", hint='write one like `"2026-05-01"`')
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND
