"""Whom a hold covers, as it is shown before it is made, is whom it then cuts off: nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bailment.access.coverage import covered, dead, digest, near
from bailment.access.decision import Request, decide
from bailment.access.holds import EVERYTHING, held, subjects_of
from bailment.access.reasons import Reason, Refused
from bailment.ledger.records import DelegationEnded, HoldAdded, HoldLifted

from .book import PURPOSE, Book, Party

BLOCK = "10.0.0.0/8"


class Case:
    """Two recipients; people with and without attributes, some of a subcontractor."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.acme = book.recipient(networks=(BLOCK,))
        self.beta = book.recipient(models=("small",))
        self.sub = book.subcontractor(self.acme)
        self.people: dict[str, Party] = {
            "anna": book.person(self.acme, attributes={"jurisdiction": "DE"}),
            "bert": book.person(self.acme, attributes={"jurisdiction": "FR"}),
            "cara": book.person(self.sub, attributes={"jurisdiction": "DE", "team": "red"}),
            "dora": book.person(self.beta, attributes={"jurisdiction": "DE"}),
            "emil": book.person(self.beta),
        }
        above = {"anna": self.acme, "bert": self.acme, "cara": self.sub}
        self.devices = {
            name: book.device(above.get(name, self.beta), one) for name, one in self.people.items()
        }

    @property
    def register(self) -> Any:
        return self.book.register

    def names(self, subject: str) -> list[str]:
        ids = {f"person:{one.its.subject}": name for name, one in self.people.items()}
        return [ids[one.subject] for one in covered(self.register, subject, self.book.time)]

    def cut(self) -> list[str]:
        """Who is refused for a hold now, as the decision has it."""
        found = []
        for name, device in self.devices.items():
            path = self.register.path(device.its.id)
            model, key = ("small", device.public.thumbprint)
            subjects = subjects_of(path, model, PURPOSE, (BLOCK,), key)
            if held(self.register, subjects, self.book.time):
                found.append(name)
        return found


@pytest.fixture
def case() -> Case:
    return Case()


def subjects(case: Case) -> dict[str, list[str]]:
    acme, beta, sub = case.acme.its, case.beta.its, case.sub.its
    anna, cara = case.people["anna"].its, case.people["cara"].its
    everybody = list(case.people)
    return {
        EVERYTHING: everybody,
        f"recipient:{acme.subject}": ["anna", "bert", "cara"],
        f"recipient:{beta.subject}": ["dora", "emil"],
        f"subcontractor:{sub.subject}": ["cara"],
        f"link:{acme.id}": ["anna", "bert", "cara"],
        f"link:{anna.id}": ["anna"],
        f"person:{cara.subject}": ["cara"],
        f"device:{case.devices['emil'].its.subject}": ["emil"],
        f"link:{case.devices['emil'].its.id}": ["emil"],
        f"key:{case.devices['bert'].public.thumbprint}": ["bert"],
        "model:small": everybody,
        f"purpose:{PURPOSE}": everybody,
        "attribute:jurisdiction=DE": ["anna", "cara", "dora"],
        "attribute:jurisdiction=FR": ["bert"],
        "attribute:team=red": ["cara"],
    }


def test_who_is_shown_is_who_is_cut_and_nobody_else(case: Case) -> None:
    for subject, names in subjects(case).items():
        assert case.names(subject) == names, subject
        hold = case.book.hold(subject)
        assert case.cut() == names, subject
        case.book.add(HoldLifted(hold, "r", "tests"))
        assert case.cut() == []


def test_a_model_covers_whoever_may_use_it(case: Case) -> None:
    assert case.names("model:large") == ["anna", "bert", "cara"]


def test_a_network_covers_also_whoever_may_call_from_any(case: Case) -> None:
    assert case.names(f"network:{BLOCK}") == ["anna", "bert", "cara", "dora", "emil"]


def test_each_is_shown_with_the_reason_the_devices_and_what_holds_it_already(case: Case) -> None:
    case.book.hold(f"recipient:{case.beta.its.subject}")
    found = covered(case.register, "attribute:jurisdiction=DE", case.book.time)
    anna, cara, dora = found
    assert {one.why for one in found} == {"jurisdiction=DE, as the employer signed"}
    assert anna.devices == (case.devices["anna"].its.subject,)
    assert (anna.recipient, cara.recipient) == (case.acme.its.subject,) * 2
    assert (anna.held, dora.held) == ("", f"recipient:{case.beta.its.subject}")


def test_who_was_ended_is_not_shown(case: Case) -> None:
    case.book.add(DelegationEnded(case.sub.its.id, "tests", "r"))
    case.book.add(DelegationEnded(case.devices["anna"].its.id, "tests", "r"))
    found = covered(case.register, "attribute:jurisdiction=DE", case.book.time)
    assert [one.devices for one in found] == [(), (case.devices["dora"].its.subject,)]


def test_the_digest_names_the_group(case: Case) -> None:
    def now() -> str:
        return digest(covered(case.register, "attribute:jurisdiction=DE", case.book.time))

    before = now()
    assert now() == before
    case.book.hold(f"person:{case.people['emil'].its.subject}")
    assert now() == before
    case.book.device(case.beta, case.people["dora"])
    assert now() != before


def test_what_can_match_nobody_any_more_is_dead(case: Case) -> None:
    register, now = case.register, case.book.time
    assert not any(dead(register, subject, now) for subject in subjects(case))
    case.book.add(DelegationEnded(case.sub.its.id, "tests", "r"))
    assert dead(register, "attribute:team=red", now)
    assert dead(register, f"link:{case.people['cara'].its.id}", now)
    assert dead(register, f"device:{case.devices['cara'].its.subject}", now)
    assert not dead(register, "attribute:jurisdiction=DE", now)
    assert not dead(register, f"device:{case.devices['anna'].its.subject}", now)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model:smal", "model:small"),
        ("purpose:red-taem", f"purpose:{PURPOSE}"),
        ("network:10.0.0.0/9", f"network:{BLOCK}"),
        ("attribute:jurisdiction=GE", "attribute:jurisdiction=DE"),
        ("attribute:jurisdicton=DE", "attribute:jurisdiction=DE"),
        ("atribute:jurisdiction=DE", "attribute:…"),
        ("peson:x", "person:…"),
    ],
)
def test_a_subject_that_is_none_is_near_to_some(case: Case, typed: str, meant: str) -> None:
    assert meant in near(case.register, typed)


# Cutting and reviving


def decided(case: Case, name: str) -> str:
    token = case.book.token(case.devices[name])
    request = Request(token, "generate", "small", (BLOCK,), 0)
    decision = decide(request, case.register, case.book.time)
    return decision.reason.value if isinstance(decision, Refused) else ""


def test_a_hold_on_a_middle_link_kills_what_is_below_and_nothing_beside(case: Case) -> None:
    hold = case.book.hold(f"link:{case.sub.its.id}")
    assert case.cut() == ["cara"]
    case.book.add(HoldLifted(hold, "r", "tests"))
    assert case.cut() == []


def test_lifting_revives_what_the_hold_alone_held(case: Case) -> None:
    middle = case.book.hold(f"link:{case.sub.its.id}")
    case.book.hold(f"person:{case.people['cara'].its.subject}")
    case.book.hold("attribute:jurisdiction=FR")
    case.book.add(HoldLifted(middle, "r", "tests"))
    assert case.cut() == ["bert", "cara"]


def test_a_link_that_was_ended_never_comes_back(case: Case) -> None:
    hold = case.book.hold(f"link:{case.sub.its.id}")
    case.book.add(DelegationEnded(case.sub.its.id, "tests", "r"))
    case.book.add(HoldLifted(hold, "r", "tests"))
    assert decided(case, "cara") == Reason.LINK_ENDED
    assert decided(case, "anna") == ""


def test_a_lock_on_one_cuts_no_other(case: Case) -> None:
    """gravitational/teleport#10202"""
    case.book.hold(f"person:{case.people['anna'].its.subject}")
    assert case.cut() == ["anna"]
    assert [name for name in case.people if decided(case, name)] == ["anna"]


class Counted(dict[str, Any]):
    """Counts what is looked up."""

    asked = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)


def test_a_hold_on_ten_thousand_people_is_one_record_and_no_cascade() -> None:
    """hashicorp/vault#8994: revoking many took the leader down."""
    case = Case()
    register, first = case.register, case.people["anna"].its
    for number in range(10_000):
        link = replace(first, id=f"{number:032x}", subject=f"{number + 2**64:032x}")
        register.links[link.id] = link
        register.link_of[link.subject] = link.id
        register.state.links[link.id] = register.state.links[first.id]
    size, epoch = len(case.book.entries), register.epoch
    case.book.hold("attribute:jurisdiction=DE")
    assert len(case.book.entries) == size + 1
    assert register.epoch == size + 1 > epoch
    assert [subject for subject, holds in register.holds_on.items() if holds] == [
        "attribute:jurisdiction=DE"
    ]
    register.holds_on = Counted(register.holds_on)
    assert decided(case, "anna") == Reason.HELD
    assert decided(case, "emil") == ""
    assert register.holds_on.asked < 60  # as many as an access has subjects, whoever else is held
    assert len(covered(register, "attribute:jurisdiction=DE", case.book.time)) == 10_003
    assert sum(isinstance(facts, HoldAdded) for _, _, facts in case.book.entries) == 1
