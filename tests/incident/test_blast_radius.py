"""What could be reached and what was: both ways along chains, custody and keys."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.incident.blast_radius import Extent, Radius, Use, totals
from bailment.incident.graph import Graph, walk
from bailment.incident.window import first_exposure
from bailment.ledger.incident_records import CustodyDeclared

from ..access.book import PURPOSE, Book, Party


class Town:
    """Two recipients, one with a subcontractor; a vault that a vendor gets into keeps the key of a
    device of the other's."""

    def __init__(self) -> None:
        self.book = book = Book()
        self.acme, self.other = book.recipient(), book.recipient(models=("small",))
        self.sub = book.subcontractor(self.acme)
        self.maria, self.otto = book.person(self.sub), book.person(self.other)
        self.device = book.device(self.sub, self.maria)
        self.theirs = book.device(self.other, self.otto)
        self.custody = [self.vault(node(self.theirs))]

    def vault(self, *stored: str, reached: tuple[str, ...] = ()) -> CustodyDeclared:
        runs = "vendor:vaultly"
        return CustodyDeclared("vault", "secrets", runs, "tests", reached, stored, since=7)

    def radius(self, *starts: str, uses: tuple[Use, ...] = ()) -> Radius:
        register = self.book.register
        return Extent(Graph(register, self.custody), register, starts).with_uses(uses)


def node(party: Party) -> str:
    return f"{party.its.kind}:{party.its.subject}"


def use(
    party: Party, count: int = 1, network: str = "AS1", client: str = "sdk", at: int = 9
) -> Use:
    values = (count, 10 * count, at, at + count, 1000 * at, 1000 * (at + count))
    return Use(party.its.subject, "small", PURPOSE, network, "", client, *values)


def nodes(found: tuple[object, ...]) -> set[str]:
    return {one.node for one in found}  # type: ignore[attr-defined]


def test_everything_below_an_organisation_can_be_reached_and_nothing_beside_it() -> None:
    town = Town()
    found = nodes(town.radius(node(town.acme)).reached)
    assert {node(town.sub), node(town.maria), node(town.device), "model:large"} <= found
    assert not {node(town.other), node(town.otto), node(town.theirs)} & found


def test_upstream_is_everybody_through_whom_a_device_may_have_been_lost() -> None:
    town = Town()
    found = town.radius(node(town.device))
    assert nodes(found.through) == {node(town.maria), node(town.sub), node(town.acme)}
    lost = nodes(town.radius(node(town.theirs)).through)
    assert {node(town.otto), node(town.other), "system:vault", "vendor:vaultly"} <= lost


def test_a_vendor_that_runs_a_vault_reaches_what_it_keeps_with_the_path_why() -> None:
    town = Town()
    reached = town.radius("vendor:vaultly").reached
    (device,) = (one for one in reached if one.node.startswith("device:"))
    assert device.node == node(town.theirs)
    assert [step.why for step in device.path] == [
        "",
        "runs it",
        "its key or credential is kept there",
    ]
    assert device.recipient == town.other.its.subject


def test_what_a_shared_system_keeps_besides_is_told_apart() -> None:
    town = Town()
    town.custody = [town.vault(node(town.theirs), node(town.device))]
    found = town.radius(node(town.theirs))
    assert node(town.device) in nodes(found.beside)
    assert node(town.device) not in nodes(found.reached)
    assert node(town.device) not in found.callers


def test_an_ended_delegation_gave_something_once() -> None:
    from bailment.ledger.records import DelegationEnded

    town = Town()
    town.book.add(DelegationEnded(town.maria.its.id, "tests", "left"))
    assert node(town.device) in nodes(town.radius(node(town.sub)).reached)


def test_a_key_a_network_and_a_model_lead_to_devices() -> None:
    town = Town()
    register = town.book.register
    seen = {"AS7": [town.device.its.subject]}
    graph = Graph(register, town.custody, seen)
    assert node(town.device) in walk(graph.after, ["network:AS7"])
    assert node(town.device) in walk(graph.after, [f"key:{town.device.public.thumbprint}"])
    assert node(town.theirs) not in walk(graph.before, ["model:large"])
    assert node(town.device) in walk(graph.before, ["model:large"])


def test_uses_are_told_by_model_network_and_client() -> None:
    town = Town()
    uses = (use(town.device, 2), use(town.device, 3, "AS2", "curl"))
    told = totals(town.radius(node(town.maria), uses=uses).uses)
    assert (told["accesses"], told["tokens"], told["devices"]) == (5, 50, 1)
    assert told["networks"] == {"AS2": 3, "AS1": 2}


def test_exposure_begins_with_the_first_access_from_the_bad_cluster() -> None:
    town = Town()
    register = town.book.register
    uses = (use(town.device, at=3), use(town.device, 4, "AS666", "curl", at=20))
    radius = town.radius(node(town.device), uses=uses)
    window = first_exposure(register, radius, town.custody, [("AS666", "curl")])
    assert (window.since, window.entry) == (20_000, 20)
    plain = first_exposure(register, radius, town.custody)
    assert plain.since == town.device.its.start


def test_exposure_of_what_a_vault_keeps_begins_when_it_was_put_there() -> None:
    town = Town()
    radius = town.radius("vendor:vaultly")
    assert first_exposure(town.book.register, radius, town.custody).since == 7
    # And no later for what was seen since, which need not be all that was done.
    uses = (use(town.theirs, 4, "AS666", "curl", at=20),)
    seen = town.radius("vendor:vaultly", uses=uses)
    window = first_exposure(town.book.register, seen, town.custody, [("AS666", "curl")])
    assert (window.since, window.entry) == (7, -1)


CHOICES = st.lists(st.integers(0, 5), max_size=4)


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, 5), kept=CHOICES, more=CHOICES, reaching=CHOICES)
def test_more_custody_never_reaches_less(
    start: int, kept: list[int], more: list[int], reaching: list[int]
) -> None:
    town = TOWN
    parties = [town.acme, town.other, town.sub, town.maria, town.device, town.theirs]
    names = [node(one) for one in parties]
    few = [town.vault(*(names[one] for one in kept), reached=tuple(names[r] for r in reaching))]
    many = [
        town.vault(
            *(names[one] for one in kept + more),
            reached=(*(names[r] for r in reaching), "vendor:mercury"),
        )
    ]
    register = town.book.register
    for edges in ("after", "before"):
        less = walk(getattr(Graph(register, few), edges), [names[start]])
        greater = walk(getattr(Graph(register, many), edges), [names[start]])
        assert less.keys() <= greater.keys()


TOWN = Town()
