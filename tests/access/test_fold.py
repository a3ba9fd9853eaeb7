"""The fold: wherever one starts, from the beginning or from a snapshot, one comes out the same."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment import canonical
from bailment.access.fold import Fold
from bailment.access.reasons import Refused
from bailment.errors import FormatError, VerificationError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import (
    AccessRefused,
    Budget,
    DelegationEnded,
    HoldLifted,
    LogHeads,
    LogSnapshot,
    Policy,
    SpecApplied,
    TokenIssued,
)

from .book import Book, Party

STEPS = ("subcontractor", "person", "device", "token", "open", "close", "hold", "lift")
MORE = ("end", "heads", "policy", "refusal", "finding", "wait", "open", "close", "token", "open")


class Story:
    """Any course of events that a log could record."""

    def __init__(self, data: st.DataObject) -> None:
        self.book = Book()
        self._draw = data.draw
        self.recipient = self.book.recipient(budget=Budget(2_000, 60))
        person = self.book.person(self.recipient)
        self.organisations = [self.recipient]
        self.people = [(self.recipient, person)]
        self.devices = [self.book.device(self.recipient, person)]
        self.tokens = [(self.devices[0], self.book.token(self.devices[0]))]
        for step in self._draw(st.lists(st.sampled_from(STEPS + MORE), min_size=5, max_size=40)):
            self.book.time += self._draw(st.integers(0, 30_000))
            with suppress(VerificationError):  # it may not stand there, so it is no part of this
                getattr(self, step)()

    def one(self, of: list[Any]) -> Any:
        if not of:
            raise VerificationError("there is none yet")
        return self._draw(st.sampled_from(of))

    def subcontractor(self) -> None:
        above = self.one(self.organisations)
        self.organisations.append(self.book.subcontractor(above))

    def person(self) -> None:
        by = self.one(self.organisations)
        budget = self._draw(st.none() | st.builds(Budget, st.integers(1, 500), st.just(10)))
        self.people.append((by, self.book.person(by, budget=budget)))

    def device(self) -> None:
        by, person = self.one(self.people)
        self.devices.append(self.book.device(by, person))

    def token(self) -> None:
        device = self.one(self.devices)
        self.tokens.append((device, self.book.token(device)))

    def open(self) -> None:
        device, token = self.one(self.tokens)
        if self.book.fold.admission.token(token.token) is not None:
            self.book.open(device, token, ceiling=self._draw(st.integers(0, 300)))

    def close(self) -> None:
        access = self.one(sorted(self.book.fold.admission.open))
        self.book.close(access, self._draw(st.none() | st.integers(0, 400)))

    def hold(self) -> None:
        link = self.one(sorted(self.book.register.links))
        self.book.hold(f"link:{link}", self._draw(st.sampled_from([0, self.book.time + 1])))

    def lift(self) -> None:
        self.book.add(HoldLifted(self.one(sorted(self.book.register.state.holds)), "r", "t"))

    def end(self) -> None:
        self.book.add(DelegationEnded(self.one(sorted(self.book.register.links)), "t", "r"))

    def heads(self) -> None:
        self.book.add(LogHeads(os.urandom(32).hex()))

    def policy(self) -> None:
        ms = self._draw(st.integers(1_000, 60_000))
        self.book.add(SpecApplied(Policy(proof_ms=ms, token_ms=ms), "t"))

    def refusal(self) -> None:
        self.book.add(AccessRefused("d", "held", 3, 1, 2), self.recipient.its.subject)

    def finding(self) -> None:
        self.book.add(FindingRaised("f", "k", "s", 1, 2, {"a": 1}))

    def wait(self) -> None:
        self.book.time += self._draw(st.integers(60_000, 400_000))


@settings(max_examples=60)
@given(st.data())
def test_a_prefix_and_the_rest_fold_to_the_whole(data: st.DataObject) -> None:
    book = Story(data).book
    whole = book.fold.encode()
    cut = data.draw(st.integers(0, len(book.entries)))
    head = Fold()
    for leaf, hashed, facts in book.entries[:cut]:
        head.follow(leaf, hashed, facts)
    middle = head.encode()
    assert book.replay(head, cut).encode() == whole
    # And from a snapshot at the cut, which is itself one text.
    again = Fold.decode(middle)
    assert again.encode() == middle
    assert book.replay(again, cut).encode() == whole
    assert canonical.decode(middle) is not None


@settings(max_examples=30)
@given(st.data())
def test_a_snapshot_decides_and_admits_as_the_fold_does(data: st.DataObject) -> None:
    story = Story(data)
    book = story.book
    again = Fold.decode(book.fold.encode())
    assert again.register.networks == book.register.networks
    assert again.register.link_of == book.register.link_of
    assert again.register.epoch == book.register.epoch
    for device, token in story.tokens:
        if book.fold.admission.token(token.token) is None:
            continue
        if again.admission.token(token.token) is None:
            continue  # its time is over, which a snapshot knows sooner
        facts = book.make_access(device, token)
        here = book.admit(facts)
        replay, budgets = again.conditions(facts)
        there = again.admission.admit(facts, replay, budgets, book.time, again.register.policy)
        assert type(here) is type(there)
        if isinstance(here, Refused) and isinstance(there, Refused):
            assert here == there


def small() -> Book:
    book = Book()
    recipient = book.recipient()
    device = book.device(recipient, book.person(recipient))
    token = book.token(device)
    book.open(device, token)
    return book


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": 1}, "dated before"),
        ({"register": 3}, "names register position 3"),
        ({"register": 10**6}, "names register position"),
        ({"spec": ""}, "another spec"),
        ({"spec": "0" * 64}, "another spec"),
        ({"counter": 99}, "was removed, repeated or altered"),
        ({"previous": "0" * 64}, "was removed, repeated or altered"),
        ({"recipient": "f" * 32}, "was removed, repeated or altered"),
    ],
)
def test_an_entry_that_cannot_be_the_next_is_refused(changes: dict[str, Any], words: str) -> None:
    book = small()
    leaf, hashed, facts = book.entries[-1]
    fold = Fold()
    for each in book.entries[:-1]:
        fold.follow(*each)
    with pytest.raises(VerificationError, match=words):
        fold.follow(msgspec.structs.replace(leaf, **changes), hashed, facts)


def test_a_removed_or_repeated_entry_is_noticed() -> None:
    book = small()
    for at in range(1, len(book.entries) - 1):
        for entries in (
            book.entries[:at] + book.entries[at + 1 :],
            book.entries[: at + 1] + book.entries[at:],
        ):
            fold = Fold()
            with pytest.raises(VerificationError):
                for each in entries:
                    fold.follow(*each)


def test_heads_must_be_those_of_the_slots() -> None:
    book = small()
    book.add(LogHeads("00" * 32))
    leaf, hashed, facts = book.entries[-1]
    fold = Fold()
    for each in book.entries[:-1]:
        fold.follow(*each)
    with pytest.raises(VerificationError, match="other heads"):
        fold.follow(msgspec.structs.replace(leaf, heads="0" * 64), hashed, facts)


def test_an_access_by_a_token_without_a_record_cannot_stand() -> None:
    book = small()
    token = next(facts for _, _, facts in book.entries if isinstance(facts, TokenIssued))
    unknown = msgspec.structs.replace(token, token="0" * 32)
    device = Party()
    with pytest.raises(VerificationError, match="token that is not in the log"):
        book.add(book.make_access(device, unknown), book.register.recipient_of(token.links[-1]))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"size":1}', b"null", b'{"size":"1"}'],
)
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Fold.decode(data)


def test_a_snapshot_with_more_in_it_is_refused() -> None:
    values = canonical.decode(small().fold.encode())
    with pytest.raises(FormatError):
        Fold.decode(canonical.encode({**values, "extra": 1}))


def test_a_record_of_a_snapshot_changes_nothing_of_what_it_says() -> None:
    book = small()
    data = book.fold.encode()
    book.add(LogSnapshot(book.fold.size, canonical.digest(data)))
    assert book.replay(Fold.decode(data), len(book.entries) - 1).encode() == book.fold.encode()
