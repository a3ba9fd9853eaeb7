"""The feed of what lies ahead: RFC 5545, read back by the letter."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bailment.assurance.calendar import calendar
from bailment.assurance.evaluation import evaluate
from bailment.assurance.item import Item
from bailment.assurance.standing import Phase, Standing, Step, advance, tier_at
from tests.assurance.cases import LAPSE, check, passed, required, spec
from tests.assurance.test_standing import histories
from tests.assurance.test_standing import standing as lived

DAY = 86_400_000
NOW = 20_000 * DAY
SPEC = spec(required(check(age=30 * DAY), "A"), required(check(age=9 * DAY), "B"))
DAYS = replace(
    LAPSE, notice=(14 * DAY, 3 * DAY, DAY), grace=7 * DAY, suspend_after=14 * DAY, then=1
)


def standing(dated: int = NOW, at: int = NOW) -> Standing:
    return advance(None, evaluate(SPEC, [passed(dated)], [], at), DAYS, at)


def unfolded(data: bytes) -> list[str]:
    """The lines of a feed, put together again (§3.1)."""
    assert data.endswith(b"\r\n")
    lines = data[:-2].split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert not any(octet in line for line in lines for octet in (b"\r", b"\n"))
    whole: list[bytes] = []
    for line in lines:
        if line.startswith(b" "):
            whole[-1] += line[1:]
        else:
            whole.append(line)
    return [line.decode() for line in whole]


def events(data: bytes) -> list[list[str]]:
    """What stands between the beginning and the end of each event."""
    found: list[list[str]] = []
    for line in unfolded(data):
        if line == "BEGIN:VEVENT":
            found.append([])
        elif found and line != "END:VCALENDAR":
            found[-1].append(line)
    assert all(event.pop() == "END:VEVENT" for event in found)
    return found


def values(data: bytes, name: str) -> list[str]:
    return [line.partition(":")[2] for line in unfolded(data) if line.startswith(f"{name}:")]


def test_each_step_ahead_is_an_event_with_its_notices_as_alarms() -> None:
    feed = calendar("a" * 32, "Acme", standing(), NOW)
    assert unfolded(feed)[:4] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//bailment//standing//EN",
        "NAME:Standing of Acme",
    ]
    assert unfolded(feed)[-1] == "END:VCALENDAR"
    assert [line for line in events(feed)[0] if not line.startswith("UID:")] == [
        "DTSTAMP:20241004T000000Z",
        "DTSTART:20241013T000000Z",
        "SUMMARY:Acme: T2 lapses\\, grace begins",
        "DESCRIPTION:Because of B",
        "TRANSP:TRANSPARENT",
    ]
    assert values(feed, "DTSTART") == [
        "20241013T000000Z",
        "20241020T000000Z",
        "20241103T000000Z",
        "20241110T000000Z",
    ]
    assert [value.partition(": ")[2] for value in values(feed, "SUMMARY")] == [
        "T2 lapses\\, grace begins",
        "step down to T1\\, held by its own evidence",
        "T1 lapses\\, grace begins",
        "suspended",
    ]
    alarm = [
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:Acme: step down to T1\\, held by its own evidence",
        "TRIGGER;VALUE=DATE-TIME:20241010T000000Z",
        "END:VALARM",
    ]
    second = events(feed)[1]
    assert second[second.index("BEGIN:VALARM") :][:5] == alarm
    triggers = [line[-16:-8] for line in second if line.startswith("TRIGGER")]
    assert triggers == ["20241010", "20241012", "20241013", "20241017", "20241019"]


def test_every_phase_has_its_words() -> None:
    phases: list[tuple[Phase, int]]
    phases = [("earned", 4), ("grace", 3), ("stepped-down", 2), ("contradicted", 1), ("none", 0)]
    steps = tuple(Step(NOW + at, tier, phase) for at, (phase, tier) in enumerate(phases, 1))
    feed = calendar("a", "Acme", Standing(NOW, (Step(NOW, 5, "earned"), *steps)), NOW)
    assert values(feed, "SUMMARY") == [
        "Acme: step down to T4\\, held by its own evidence",
        "Acme: step down to T3\\, in grace",
        "Acme: step down to T2",
        "Acme: step down to T1\\, contradicted",
        "Acme: suspended",
    ]
    assert values(feed, "DESCRIPTION") == []


def test_a_contradiction_may_leave_no_tier() -> None:
    steps = (Step(NOW, 1, "earned"), Step(NOW + 1, 0, "contradicted"))
    feed = calendar("a", "Acme", Standing(NOW, steps), NOW)
    assert values(feed, "SUMMARY") == ["Acme: step down to no tier\\, contradicted"]


def test_a_tier_that_stays_for_another_reason_is_no_event() -> None:
    cases: list[list[tuple[Phase, int]]] = [
        [("earned", 1), ("contradicted", 1)],
        [("grace", 1), ("stepped-down", 1)],
        [("earned", 2), ("stepped-down", 2)],
        [("none", 0), ("contradicted", 0)],
    ]
    for phases in cases:
        steps = tuple(Step(NOW + at, tier, phase) for at, (phase, tier) in enumerate(phases))
        assert events(calendar("a", "Acme", Standing(NOW, steps), NOW)) == []


def test_what_is_past_is_left_out_with_its_alarms() -> None:
    feed = calendar("a" * 32, "Acme", standing(), NOW + 10 * DAY)
    assert values(feed, "DTSTART") == ["20241020T000000Z", "20241103T000000Z", "20241110T000000Z"]
    first = events(feed)[0]
    assert [line[-16:-8] for line in first if line.startswith("TRIGGER")] == [
        "20241017",
        "20241019",
    ]
    assert events(calendar("a", "Acme", standing(), NOW + 37 * DAY)) == []


#: A content line (§3.1), without parameters but for the one that is used.
LINE = re.compile(r"[A-Z-]+(;VALUE=DATE-TIME)?:[^\x00-\x08\x0a-\x1f\x7f]*")
#: What each component must have, once (§3.6, §3.6.1, §3.6.6).
ONCE = {
    "VCALENDAR": {"VERSION", "PRODID"},
    "VEVENT": {"UID", "DTSTAMP", "DTSTART"},
    "VALARM": {"ACTION", "DESCRIPTION", "TRIGGER"},
}


@given(histories(), st.integers(0, 60))
def test_of_any_standing_only_falls_and_graces_ahead_are_told_and_every_line_is_rfc_5545(
    history: tuple[list[Item], list[int]], later: int
) -> None:
    items, instants = history
    found = lived(items, *instants)
    now = found.at + later
    feed = calendar("a" * 32, "Acme", found, now)
    assert all(LINE.fullmatch(line) for line in unfolded(feed))
    _check_components(unfolded(feed))
    tiers = [tier_at(found, at) for at in range(now, now + 200)]
    falls = sum(after < before for before, after in pairwise(tiers))
    summaries = values(feed, "SUMMARY")
    assert sum("grace begins" not in one for one in summaries) == falls
    held = {f"T{tier}" for tier in tiers}
    for one in summaries:
        if named := re.search(r"\bT\d", one):
            assert named[0] in held, "a tier that is not in force from now on"


def _check_components(lines: list[str]) -> None:
    """That components lie within each other, and have what they must."""
    open_: list[tuple[str, list[str]]] = []
    for line in lines:
        name, _, value = line.partition(":")
        if name == "BEGIN":
            assert [one for one, _ in open_] == list(ONCE)[: list(ONCE).index(value)]
            open_.append((value, []))
        elif name == "END":
            component, names = open_.pop()
            assert component == value
            assert all(names.count(one) == 1 for one in ONCE[component])
        else:
            open_[-1][1].append(name.partition(";")[0])
    assert open_ == []


def test_a_step_that_moves_keeps_its_uid_and_no_two_share_one() -> None:
    early, late = (calendar("a" * 32, "Acme", standing(NOW - age), NOW) for age in (DAY, 0))
    assert values(early, "DTSTART") != values(late, "DTSTART")
    assert values(early, "UID") == values(late, "UID")
    assert len(set(values(early, "UID"))) == 4
    assert not set(values(calendar("b" * 32, "Acme", standing(), NOW), "UID")) & set(
        values(late, "UID")
    )


def test_the_same_standing_makes_the_same_bytes() -> None:
    assert calendar("a", "Acme", standing(), NOW) == calendar("a", "Acme", standing(), NOW)


def test_a_recipient_with_nothing_ahead_has_an_empty_calendar() -> None:
    assert events(calendar("a", "Acme", standing(NOW - 90 * DAY), NOW)) == []


def test_a_date_that_has_no_form_is_left_out() -> None:
    last = 253_402_300_799_999
    steps = (Step(NOW, 2, "earned"), Step(last - 999, 2, "grace"), Step(last + 1, 0, "none"))
    feed = calendar("a", "Acme", Standing(NOW, steps), NOW)
    assert values(feed, "DTSTART") == ["99991231T235959Z"]


def test_names_are_escaped() -> None:
    feed = calendar("a", "A\\B;C,D\r\nEND:VCALENDAR\ud800", standing(), NOW)
    assert unfolded(feed)[3] == "NAME:Standing of A\\\\B\\;C\\,D  END:VCALENDAR "


@given(st.text(max_size=300))
def test_no_name_breaks_the_lines(name: str) -> None:
    feed = calendar("a", name, standing(), NOW)
    assert len(events(feed)) == 4
    assert len(unfolded(feed)) == len(unfolded(calendar("a", "x", standing(), NOW)))


def test_a_line_is_folded_at_75_octets_and_within_no_character() -> None:
    exact = "x" * (75 - len("NAME:Standing of "))
    lines = calendar("a", exact, standing(), NOW).split(b"\r\n")
    assert lines[3] == f"NAME:Standing of {exact}".encode()
    wide = calendar("a", exact[:-1] + "名", standing(), NOW).split(b"\r\n")
    assert (len(wide[3]), wide[4]) == (74, " 名".encode())
