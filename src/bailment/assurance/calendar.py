"""What lies ahead of a recipient as an iCalendar feed (RFC 5545), to subscribe to.

An event for each step of the schedule that is still to come and changes something (another tier is
in force from then on, or the grace of this one begins), with an alarm for each notice ahead. A step
keeps its UID when new evidence moves it, so that a calendar moves the event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from bailment.assurance.standing import Notice, Standing, Step

_WHAT = {
    "earned": "step down to {tier}, held by its own evidence",
    "grace": "step down to {tier}, in grace",
    "stepped-down": "step down to {tier}",
    "contradicted": "step down to {tier}, contradicted",
    "none": "suspended",
}
#: Octets in a line without its end (§3.1).
_FOLD = 75
#: The end of the year 9999, after which a date has no form.
_LAST = 253_402_300_799_000


def calendar(recipient: str, name: str, standing: Standing, now: int) -> bytes:
    """The feed of what is ahead at `now`; `recipient` is its pseudonym, which makes the UIDs,
    `name` what people call it."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//bailment//standing//EN",
        f"NAME:{_text(f'Standing of {name}')}",  # RFC 7986 §5.1
    ]
    alarms = [notice for notice in standing.notices if notice.at > now]
    for before, step in pairwise(standing.steps):
        if now < step.at <= _LAST and (what := _what(before, step)):
            lines += _event(recipient, f"{name}: {what}", standing.at, step, alarms)
    lines.append("END:VCALENDAR")
    return b"".join(fold for line in lines for fold in _folded(line))


def _what(before: Step, step: Step) -> str:
    """What a step changes, in words; empty if the same tier just stays for another reason."""
    tier = f"T{step.tier}" if step.tier else "no tier"
    if step.tier < before.tier:
        return _WHAT[step.phase].format(tier=tier)
    return f"{tier} lapses, grace begins" if step.phase == "grace" else ""


def _event(
    recipient: str, what: str, stamp: int, step: Step, alarms: list[Notice]
) -> Iterator[str]:
    uid = hashlib.sha256(f"{recipient} {step.tier} {step.phase}".encode()).hexdigest()[:32]
    summary = _text(what)
    yield "BEGIN:VEVENT"
    yield f"UID:{uid}"
    yield f"DTSTAMP:{_time(stamp)}"
    yield f"DTSTART:{_time(step.at)}"
    yield f"SUMMARY:{summary}"
    if step.requirements:
        yield f"DESCRIPTION:{_text('Because of ' + ', '.join(step.requirements))}"
    yield "TRANSP:TRANSPARENT"
    for notice in alarms:
        if (notice.step, notice.tier) == (step.at, step.tier):
            yield "BEGIN:VALARM"
            yield "ACTION:DISPLAY"
            yield f"DESCRIPTION:{summary}"
            yield f"TRIGGER;VALUE=DATE-TIME:{_time(notice.at)}"
            yield "END:VALARM"
    yield "END:VEVENT"


def _time(ms: int) -> str:
    """UTC to the second, rounded down (§3.3.5)."""
    return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    """§3.3.11; controls, which a value may not hold, become spaces."""
    for char in "\\;,":
        text = text.replace(char, f"\\{char}")
    return "".join(char if char.isprintable() else " " for char in text)


def _folded(line: str) -> Iterator[bytes]:
    """The line in pieces of at most 75 octets, none of which ends within a character (§3.1)."""
    piece = b""
    for char in line:
        octets = char.encode()
        if len(piece) + len(octets) > _FOLD:
            yield piece + b"\r\n"
            piece = b" "
        piece += octets
    yield piece + b"\r\n"
