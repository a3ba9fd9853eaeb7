"""Whatever the bytes, there is a report or a reason: never an exception."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment import canonical
from bailment.assurance.adapters.recognition import ADAPTERS, read
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.spec.compiled import Kind

from .reports import ASSESSOR, ED25519, EVERY, EXECUTIVE, THEN, data, envelope

WORDS: list[Any] = [
    *(None, True, False, 0, -1, 2**53, 10**30, 1.5, 1e308, [], {}, [[]], [{}], {"": ""}),
    *("", "x", "\ud800", "\x00", "é", "a b", "a" * 32, "0" * 64, "x" * 500),
    *("Pass", "Fail", "N/A", "satisfied", "2026-06-01T12:00:00Z", "9999-12-31T23:59:59Z"),
]
SAMPLES = [*EVERY.values(), *(envelope(value, ED25519) for value in EVERY.values())]


def kind(adapter: str) -> Kind:
    return Kind("any", "any", adapter, "machine", "tenant", 1, 5)


def judge(body: bytes) -> None:
    """Read, and receive where it can be: all that comes out can be recorded."""
    found = read(body, [ASSESSOR, EXECUTIVE])
    if isinstance(found, EvidenceRefused):
        assert found.reason in EvidenceReason
        assert found.detail
        return
    assert isinstance(found, Report)
    assert found.adapter in ADAPTERS
    for scopes in (tuple(found.checks), tuple(found.checks)[:1]):
        handed = Submission(
            kind(found.adapter), scopes, "gateway", "r", 0, people={"p" * 32: ["x"]}
        )
        items = receive(found, handed, item="0" * 32, now=THEN)
        for item in () if isinstance(items, EvidenceRefused) else items:
            encoded = canonical.encode(item)
            assert canonical.decode(encoded)["digest"] == found.digest
            assert item.dated <= item.received == THEN
            assert isinstance(item, Item)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of the value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(steps) if isinstance(value, dict | list) else ():
        found.append((value, key))
        if isinstance(child, dict | list):
            found += places(child)
    return found


def changed(value: Any, chance: random.Random) -> Any:
    """The value with one to three places changed, left out or copied."""
    copied = [json.loads(json.dumps(value))]
    for _ in range(chance.randint(1, 3)):
        container, key = chance.choice(places(copied))
        match chance.randrange(4):
            case 0:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(chance.choice(WORDS))
            case 2 if isinstance(container, list):
                container.append(container[key])
            case 2:
                container[str(chance.choice(WORDS))] = container[key]
            case _:
                container[key] = chance.choice(
                    [container[key], [container[key]], str(container[key])]
                )
        if not places(copied):
            break
    return copied[0] if copied else None


@given(st.sampled_from(SAMPLES), st.integers(min_value=0, max_value=2**32))
@settings(max_examples=1500)
def test_a_report_with_any_part_changed_is_read_or_refused(value: Any, seed: int) -> None:
    judge(json.dumps(changed(value, random.Random(seed))).encode())


@given(
    st.sampled_from([data(value) for value in SAMPLES]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
@settings(max_examples=600)
def test_a_report_with_any_byte_changed_is_read_or_refused(
    body: bytes, changes: list[tuple[float, int]], rest: float
) -> None:
    mutable = bytearray(body)
    for at, byte in changes:
        mutable[int(at * len(body))] = byte
    judge(bytes(mutable[: int(rest * len(body)) + 1]))


JSON = st.recursive(
    st.sampled_from(WORDS) | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=6), below, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(data))
@settings(max_examples=400)
def test_anything_at_all_is_read_or_refused(body: bytes) -> None:
    judge(body)


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
@given(filling=st.dictionaries(st.text(max_size=6), JSON, max_size=3), seed=st.randoms())
@settings(max_examples=60)
def test_any_json_in_any_place_of_a_format_is_read_or_refused(
    adapter: str, filling: dict[str, Any], seed: random.Random
) -> None:
    value = json.loads(json.dumps(EVERY[adapter]))
    container, key = seed.choice(places(value))
    container[key] = filling
    judge(data(value))


@pytest.mark.soak
@given(st.sampled_from(SAMPLES), st.integers(min_value=0, max_value=2**63))
@settings(max_examples=50_000)
def test_a_great_many_changed_reports_are_read_or_refused(value: Any, seed: int) -> None:
    judge(json.dumps(changed(value, random.Random(seed))).encode())
