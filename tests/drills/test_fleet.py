"""The simulated fleet: one per seed, in order, and what it takes for granted is on a page."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import anthropic
import msgspec
import openai
import pytest

from bailment.detect.client import client_of
from bailment.drills import fleet
from bailment.drills.fleet import assumptions, clients

DOCS = Path(__file__).parents[2] / "docs"
WORLD = fleet.Fleet(7, 3, 28)


def test_a_seed_is_one_world_and_another_is_another() -> None:
    first, again = (list(islice(fleet.background(7, 1, 3), 500)) for _ in range(2))
    assert first == again
    assert first != list(islice(fleet.background(8, 1, 3), 500))


def test_requests_come_in_order_from_many_networks() -> None:
    asks = list(WORLD.background(0, 7))
    assert all(one.time <= other.time for one, other in pairwise(asks))
    assert {ask.recipient for ask in asks} == {0, 1, 2}
    assert len({ask.network.asn for ask in asks}) > 5
    assert asks[0].time >= fleet.EPOCH and asks[-1].time < fleet.EPOCH + 7 * fleet.DAY


def test_a_part_of_the_weeks_and_of_the_recipients_is_a_part_of_the_whole() -> None:
    whole = [ask for ask in WORLD.background(0, 7) if ask.recipient == 1]
    since = fleet.EPOCH + 3 * fleet.DAY
    part = list(WORLD.background(3, 7, {1}))
    key = fleet.Ask.__struct_fields__
    assert sorted([str([getattr(ask, name) for name in key]) for ask in part]) == sorted(
        str([getattr(ask, name) for name in key]) for ask in whole if ask.time >= since
    )


@pytest.mark.parametrize("name", fleet.SCENARIOS)
def test_a_breach_comes_in_order_in_the_holders_name(name: str) -> None:
    scenario, victim = fleet.SCENARIOS[name], WORLD.victims(16)[0]
    asks = list(WORLD.attack(name, victim, 16, seed=3))
    assert asks == list(WORLD.attack(name, victim, 16, seed=3))
    assert all(one.time <= other.time for one, other in pairwise(asks))
    assert {ask.person for ask in asks} == {victim.number}
    assert {ask.outsider for ask in asks} <= set(range(1, scenario.outsiders + 1))
    assert {ask.means for ask in asks} == {scenario.means}


def test_a_token_that_was_passed_on_is_refused_where_keys_are_bound() -> None:
    asks = list(WORLD.attack("A", WORLD.victims(16)[0], 16, seed=3))
    assert {event.what for event in fleet.events(asks)} == {"opened"}
    assert {event.what for event in fleet.events(asks, bound=True)} == {"refused"}


def test_a_relay_by_ten_at_once_has_all_ten_within_two_hours() -> None:
    asks = list(WORLD.attack("D0", WORLD.victims(16)[0], 16, seed=3))
    hour = [ask for ask in asks if ask.time - asks[0].time <= 3_600_000]
    assert {ask.outsider for ask in hour} == set(range(1, 11))


@pytest.mark.parametrize("name", fleet.CROWDS)
def test_among_many_keys_each_is_used_seldom(name: str) -> None:
    crowd, victims = fleet.CROWDS[name], WORLD.victims(16)[:20]
    asks = fleet.crowd_asks(crowd, victims, WORLD.seed, 16, 0, 5)
    assert asks == fleet.crowd_asks(crowd, victims, WORLD.seed, 16, 0, 5)
    assert all(one.time <= other.time for one, other in pairwise(asks))
    days = Counter((ask.person, (ask.time - fleet.EPOCH) // fleet.DAY) for ask in asks)
    assert max(days.values()) <= 2 * crowd.pace
    alike = {ask.network for ask in asks}, {ask.workspace for ask in asks}
    assert min(map(len, alike)) == 1 < max(map(len, alike))


def test_what_programs_say_of_themselves_is_read_from_their_headers() -> None:
    seen = {ask.client.name: ask for ask in WORLD.background(0, 28)}
    seen |= {ask.client.name: ask for ask in WORLD.attack("A", WORLD.victims(16)[0], 16, seed=3)}
    for ask in seen.values():
        headers = ((name.lower().encode(), said.encode()) for name, said in ask.headers().items())
        read, client = client_of(headers), ask.client
        assert (read.name, read.version) == (client.name, client.version)
        assert (read.system, read.runtime) == (client.system, client.runtime)
    assert set(seen) <= set(clients.PROGRAMS) and len(seen) > len(clients.PROGRAMS) // 2


@pytest.mark.parametrize("sdk", [openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic])
def test_an_sdks_headers_are_those_that_the_installed_one_sends(sdk: type[openai.OpenAI]) -> None:
    sent = sdk(api_key="x", base_url="http://localhost").default_headers
    name, major = f"{sdk.__name__}/Python", int(sent["X-Stainless-Package-Version"][0])
    machine = clients.machine(Random(1), ())
    client = clients.said(name, sent["X-Stainless-Package-Version"], machine, 0)
    ask = msgspec.structs.replace(next(WORLD.background(0, 7)), client=client)
    said = ask.headers()
    assert said["User-Agent"] == sent["User-Agent"]
    assert said.keys() == {name for name in sent if name.startswith("X-St")} - {
        "X-Stainless-Async"
    } | {"User-Agent"}
    assert clients.PROGRAMS[name].major == major


def test_every_assumption_is_on_the_page_of_the_evaluation() -> None:
    assert assumptions.table() in (DOCS / "detection-evaluation.md").read_text()
