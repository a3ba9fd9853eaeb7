"""A plan cuts nobody whom it did not list, and what was cut is refused when it is decided again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.coverage import covered
from bailment.incident.blast_radius import Extent
from bailment.incident.containment import Plan, plan, read_plan, still_allowed
from bailment.incident.graph import Graph
from bailment.ledger.records import DelegationEnded, HoldLifted

from ..access.book import Book
from .test_blast_radius import Town, node, use

HOUR = 3_600_000


def planned(town: Town, *starts: str, recent: tuple[object, ...] = ()) -> Plan:
    register = town.book.register
    graph = Graph(register, town.custody)
    radius = Extent(graph, register, starts).with_uses(())
    return plan(register, graph, radius, "1" * 32, recent, HOUR, town.book.time)  # type: ignore[arg-type]


def execute(town: Town, made: Plan) -> None:
    for act in made.acts:
        if act.act == "hold":
            town.book.hold(act.subject)


def devices(town: Town) -> list[str]:
    return [town.device.its.subject, town.theirs.its.subject]


def test_what_is_held_is_refused_and_what_is_not_is_allowed() -> None:
    town = Town()
    assert set(still_allowed(town.book.register, devices(town), town.book.time)) == {
        node(town.device),
        node(town.theirs),
    }
    execute(town, planned(town, node(town.sub)))
    left = still_allowed(town.book.register, devices(town), town.book.time)
    assert left == [node(town.theirs)]


def test_a_vendor_is_contained_by_what_it_could_reach() -> None:
    town = Town()
    made = planned(town, "vendor:vaultly")
    assert [(one.act, one.subject) for one in made.acts] == [
        ("hold", node(town.theirs)),
        ("rotate", node(town.theirs)),
    ]
    assert made.acts[1].organisation == town.other.its.subject


def test_who_is_cut_is_told_with_why_and_how_much_they_work() -> None:
    town = Town()
    recent = (use(town.device, 15),)
    (cut,) = planned(town, node(town.sub), recent=recent).cut
    assert (cut.subject, cut.why, cut.per_day, cut.already) == (
        node(town.maria),
        "exposed",
        3,
        False,
    )
    (own,) = planned(town, node(town.maria)).cut
    assert own.why == "subject"


def test_who_is_cut_without_being_exposed_is_said_loudly() -> None:
    town = Town()
    made = planned(town, "model:small")
    assert {one.why for one in made.cut} == {"beside"}
    assert len(made.beside) == 2


def test_a_plan_is_read_as_it_was_saved() -> None:
    import msgspec

    made = planned(Town(), "vendor:vaultly")
    again = read_plan(msgspec.json.format(msgspec.json.encode(made), indent=1))
    assert (again, again.digest) == (made, made.digest)


def test_what_is_held_already_is_not_held_twice() -> None:
    town = Town()
    execute(town, planned(town, node(town.sub)))
    assert [one for one in planned(town, node(town.sub)).acts if one.act == "hold"] == []


PARTIES = ("acme", "other", "sub", "maria", "otto", "device", "theirs")


@settings(max_examples=60, deadline=None)
@given(
    starts=st.lists(st.sampled_from(PARTIES), min_size=1, max_size=3, unique=True),
    kept=st.lists(st.sampled_from(PARTIES), max_size=3, unique=True),
)
def test_containment_never_cuts_whom_it_did_not_list(starts: list[str], kept: list[str]) -> None:
    town = Town()
    town.custody = [town.vault(*(node(getattr(town, one)) for one in kept))]
    made = planned(town, "vendor:vaultly", *(node(getattr(town, one)) for one in starts))
    now, register = town.book.time, town.book.register
    before = set(still_allowed(register, devices(town), now))
    execute(town, made)
    after = set(still_allowed(register, devices(town), now))
    listed = {f"device:{one}" for cut in made.cut for one in cut.devices}
    assert before - after == listed & before
    for act in made.acts:
        if act.act == "hold":
            people = {one.subject for one in covered(register, act.subject, now)}
            assert people <= {cut.subject for cut in made.cut}


def test_what_is_on_hold_already_is_in_the_plan_and_is_decided_again() -> None:
    town = Town()
    town.book.hold(node(town.device))
    made = planned(town, node(town.device))
    assert [(one.act, one.subject) for one in made.acts] == [
        ("held", node(town.device)),
        ("rotate", node(town.device)),
    ]
    assert [(one.subject, one.state) for one in made.credentials] == [(node(town.device), "held")]
    assert [one.already for one in made.cut] == [True]


def test_every_credential_of_the_extent_is_in_the_plan_whatever_cuts_it() -> None:
    town = Town()
    town.book.hold(node(town.maria))
    made = planned(town, node(town.sub), node(town.theirs))
    states = {one.subject: one.state for one in made.credentials}
    assert states == {node(town.device): "held", node(town.theirs): "live"}
    assert {one.subject: one.already for one in made.cut} == {
        node(town.maria): True,
        node(town.otto): False,
    }


def test_what_can_never_be_used_again_is_not_replaced() -> None:
    town = Town()
    acts = [(one.act, one.subject) for one in planned(town, "vendor:vaultly").acts]
    assert ("rotate", node(town.theirs)) in acts
    town.book.add(DelegationEnded(town.theirs.its.id, "tests", "lost"))
    made = planned(town, "vendor:vaultly")
    assert not [one for one in made.acts if one.act == "rotate"]
    assert [(one.subject, one.state) for one in made.credentials] == [(node(town.theirs), "ended")]


def test_a_hold_on_one_network_or_purpose_leaves_a_key_good_from_and_for_another() -> None:
    near, far = "192.0.2.0/24", "198.51.100.0/24"
    book = Book()
    acme = book.recipient(networks=(near, far), purposes=("audit", "research"))
    device = book.device(acme, book.person(acme)).its.subject
    alive = [f"device:{device}"]
    for first, other in ((near, far), (far, near)):
        held = book.hold(f"network:{first}")
        assert still_allowed(book.register, [device], book.time) == alive
        both = book.hold(f"network:{other}")
        assert still_allowed(book.register, [device], book.time) == []
        for one in (held, both):
            book.add(HoldLifted(one, "over", "tests"))
    book.hold("purpose:audit")
    assert still_allowed(book.register, [device], book.time) == alive
    book.hold("purpose:research")
    assert still_allowed(book.register, [device], book.time) == []


def test_a_hold_that_ends_by_itself_contains_nothing() -> None:
    town = Town()
    subject = node(town.device)
    town.book.hold(subject, until=town.book.time + HOUR)
    assert next((one.act, one.subject) for one in planned(town, subject).acts) == ("hold", subject)
    town.book.hold(subject)
    assert next((one.act, one.subject) for one in planned(town, subject).acts) == ("held", subject)
