"""Whatever tree of delegations there is: a right is the intersection along its path, a cut takes
exactly what stands below it, and nobody together spends more than any of those above them may."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.chain import Link, narrows, networks_of
from bailment.access.decision import Allowed, decide
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.records import Budget, DelegationEnded

from .book import DAY, Book, Party

MODELS = ("small", "large")
PURPOSES = ("attack", "defence", "triage")
BLOCKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "192.0.2.0/24", "2001:db8::/32")
ADDRESSES = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::1", "203.0.113.1")
_FEW = settings(max_examples=25, deadline=None)


def some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """What a link may name of these; nothing is no narrowing."""
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


BRANCHES = st.lists(
    st.fixed_dictionaries(
        {
            "above": st.integers(0, 20),
            "organisation": st.booleans(),
            "models": some(MODELS),
            "purposes": some(PURPOSES),
            "networks": some(BLOCKS),
            "start": st.integers(0, 1),
            "days": st.integers(1, 9),
            "budget": st.sampled_from((None, 200, 300, 450)),
        }
    ),
    min_size=2,
    max_size=8,
)


@dataclass
class Tree:
    """What was granted of the branches that were drawn; those that cannot stand were refused."""

    book: Book = field(default_factory=Book)
    organisations: list[Party] = field(default_factory=list)
    people: list[tuple[Party, Party]] = field(default_factory=list)
    devices: list[Party] = field(default_factory=list)

    def path(self, device: Party) -> list[Link]:
        """Walked here, from link to link, and not by the register."""
        path, link = [], device.its
        while True:
            path.append(link)
            if not link.parent:
                return path
            link = self.book.register.links[link.parent]

    def asks(self, device: Party, **given: Any) -> Allowed | Refused:
        purpose = given.pop("purpose", "attack")
        token = self.book.make_token(device, purpose=purpose)
        return decide(self.book.ask(token, **given), self.book.register, self.book.time)


def grow(branches: list[dict[str, Any]], budget: Budget | None = None) -> Tree:
    tree = Tree()
    book = tree.book
    tree.organisations.append(book.recipient(purposes=PURPOSES, depth=8, budget=budget))
    for told in branches:
        above = tree.organisations[told["above"] % len(tree.organisations)]
        start = above.its.start + told["start"] * DAY
        narrower = {
            **{name: told[name] for name in ("models", "purposes", "networks")},
            "start": start,
            "until": min(above.its.until, start + told["days"] * DAY),
            "budget": Budget(told["budget"], 10**6) if told["budget"] else None,
        }
        if narrower["until"] <= start:
            continue
        try:
            if told["organisation"]:
                tree.organisations.append(book.subcontractor(above, **narrower))
            else:
                tree.people.append((above, book.person(above, **narrower)))
        except VerificationError:
            link = Link("a" * 32, above.its.id, "person", "b" * 32, **narrower)
            assert narrows(link, above.its) is not None, "what fits is not refused"
    tree.people += [(one, book.person(one)) for one in tree.organisations]
    tree.devices = [book.device(above, person) for above, person in tree.people]
    return tree


def within(address: str, blocks: tuple[str, ...]) -> bool:
    place = ipaddress.ip_address(address)
    return not blocks or any(place in ipaddress.ip_network(block) for block in blocks)


@_FEW
@given(BRANCHES, st.integers(0, 12), st.sampled_from(ADDRESSES))
def test_the_effective_right_is_the_intersection_along_the_path(
    branches: list[dict[str, Any]], day: int, address: str
) -> None:
    tree = grow(branches)
    book = tree.book
    book.time += day * DAY
    networks = networks_of(address, book.register.networks)
    for device in tree.devices:
        path = tree.path(device)
        here = all(within(address, link.networks) for link in path)
        here = here and all(link.start <= book.time < link.until for link in path)
        for model in MODELS:
            for purpose in PURPOSES:
                given = all(not link.models or model in link.models for link in path) and all(
                    not link.purposes or purpose in link.purposes for link in path
                )
                answer = tree.asks(device, model=model, purpose=purpose, networks=networks)
                assert isinstance(answer, Allowed) == (here and given), answer
                if isinstance(answer, Allowed):
                    budgets = [link.id for link in reversed(path) if link.budget is not None]
                    assert [name for name, _ in answer.budgets] == budgets
                    assert answer.recipient == path[-1].subject


@_FEW
@given(BRANCHES, st.integers(0, 100))
def test_ending_any_link_refuses_its_descendants_and_never_anybody_else(
    branches: list[dict[str, Any]], which: int
) -> None:
    tree = grow([{**one, "networks": (), "start": 0, "purposes": ()} for one in branches])
    book = tree.book
    links = list(book.register.links.values())
    ended = links[which % len(links)]
    before = {device.its.id: tree.asks(device, model="small") for device in tree.devices}
    book.add(DelegationEnded(ended.id, "tests", "over"), book.register.recipient_of(ended.id))
    for device in tree.devices:
        answer = tree.asks(device, model="small")
        if ended.id in [link.id for link in tree.path(device)]:
            assert isinstance(answer, Refused)
            assert (answer.reason, answer.subject) == (Reason.LINK_ENDED, f"link:{ended.id}")
        else:
            was = before[device.its.id]
            assert isinstance(answer, Allowed) == isinstance(was, Allowed)
            if isinstance(answer, Refused):
                assert answer == was


@_FEW
@given(
    BRANCHES,
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from((50, 120, 200))), min_size=8, max_size=25
    ),
)
def test_whoever_spends_nobody_above_is_overspent(
    branches: list[dict[str, Any]], asked: list[tuple[int, int]]
) -> None:
    """Against sums made here: what is opened fits every budget above, and what fits is opened."""
    plain = {"models": (), "purposes": (), "networks": (), "start": 0}
    tree = grow([{**one, **plain} for one in branches], Budget(800, 10**6))
    spent = dict.fromkeys(tree.book.register.links, 0)
    tokens = [tree.book.token(device) for device in tree.devices]
    for which, ceiling in asked:
        at = which % len(tree.devices)
        path = tree.path(tree.devices[at])
        fits = all(
            link.budget is None or spent[link.id] + ceiling <= link.budget.tokens for link in path
        )
        opened = tree.book.open(tree.devices[at], tokens[at], ceiling=ceiling)
        assert (opened is not None) == fits
        if opened is not None:
            for link in path:
                spent[link.id] += ceiling
