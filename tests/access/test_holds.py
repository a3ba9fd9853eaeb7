"""Holds: what can be held, and what a hold covers."""

from __future__ import annotations

import pytest

from bailment.access.holds import EVERYTHING, KILL_SWITCH, held, subject_exists, subjects_of

from .book import PURPOSE, Book, Party


class Case:
    """A device of a subcontractor's person, and one of the recipient's own."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.recipient = book.recipient(networks=("10.0.0.0/8",))
        self.sub = book.subcontractor(self.recipient)
        self.person = book.person(self.sub)
        self.device = book.device(self.sub, self.person)
        other = book.person(self.recipient)
        self.other = book.device(self.recipient, other)

    def subjects(self, device: Party) -> list[str]:
        path = self.book.register.path(device.its.id)
        return subjects_of(path, "small", PURPOSE, ("10.0.0.0/8",), device.public.thumbprint)

    def held(self, device: Party, now: int = 0) -> str:
        return held(self.book.register, self.subjects(device), now or self.book.time)


@pytest.fixture
def case() -> Case:
    return Case()


def everything_above(case: Case) -> list[str]:
    links = [case.recipient.its, case.sub.its, case.person.its, case.device.its]
    return [
        EVERYTHING,
        KILL_SWITCH,
        "model:small",
        f"purpose:{PURPOSE}",
        "network:10.0.0.0/8",
        f"key:{case.device.public.thumbprint}",
        *(f"{link.kind}:{link.subject}" for link in links),
        *(f"link:{link.id}" for link in links),
    ]


def test_a_hold_on_anything_above_covers_an_access(case: Case) -> None:
    assert sorted(case.subjects(case.device)) == sorted(everything_above(case))
    for subject in everything_above(case):
        assert case.held(case.device) == ""
        hold = case.book.hold(subject)
        assert case.held(case.device) == subject
        held_by = case.book.register.state.holds[hold]
        case.book.register.holds_on[subject].remove(held_by)


def test_a_hold_below_covers_nothing_beside_it(case: Case) -> None:
    for link in (case.sub.its, case.person.its, case.device.its):
        case.book.hold(f"{link.kind}:{link.subject}")
        case.book.hold(f"link:{link.id}")
    case.book.hold("model:large")
    assert case.held(case.other) == ""


def test_a_hold_ends_when_it_says(case: Case) -> None:
    until = case.book.time + 1_000
    case.book.hold(EVERYTHING, until)
    assert case.held(case.other, until - 1) == EVERYTHING
    assert case.held(case.other, until) == ""


def test_a_later_hold_counts_when_an_earlier_one_has_ended(case: Case) -> None:
    case.book.hold(EVERYTHING, case.book.time + 1_000)
    case.book.hold(EVERYTHING)
    assert case.held(case.other, case.book.time + 2_000) == EVERYTHING


def test_what_exists_can_be_held(case: Case) -> None:
    for subject in everything_above(case):
        assert subject_exists(case.book.register, subject), subject


@pytest.mark.parametrize(
    "subject",
    [
        *("", "everything:x", "kill-switch:x", "Everything", "model:", "model:huge"),
        *("purpose:profit", "network:"),
        *("network:10.0.0.0/9", "recipient:", "person:x", "device:y", "link:", "tier:T1", ":"),
    ],
)
def test_what_does_not_exist_cannot_be_held(case: Case, subject: str) -> None:
    assert not subject_exists(case.book.register, subject)


def test_an_id_is_held_as_what_it_is(case: Case) -> None:
    links = [case.recipient.its, case.sub.its, case.person.its, case.device.its]
    for link in links:
        for kind in {"recipient", "subcontractor", "person", "device", "link"} - {link.kind}:
            assert not subject_exists(case.book.register, f"{kind}:{link.subject}")


def test_a_device_can_be_held_before_it_is_confirmed(case: Case) -> None:
    _, name = case.book.enrol(case.person)
    assert subject_exists(case.book.register, f"device:{name}")
