"""The feed by itself: silence is measured by a clock that nobody sets, and nothing fails open."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.gateway.feed import Feed

STALE = Refused(Reason.FEED_STALE)


class Time:
    """The steady clock, s."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self, which: int) -> float:
        return self.now


@pytest.fixture
def time() -> Iterator[Time]:
    with patch("bailment.clock.clock_gettime", Time()) as clock:
        yield clock


@pytest.fixture
def feed(time: Time) -> Feed:
    return Feed(Register())


def test_what_was_heard_a_second_ago_is_fresh_and_no_longer(feed: Feed, time: Time) -> None:
    time.now += 1.0
    assert feed.refused() is None
    time.now += 0.001
    assert feed.refused() == STALE
    feed.hear(0)
    assert feed.refused() is None


def test_what_is_open_may_go_on_for_three_seconds_of_silence(feed: Feed, time: Time) -> None:
    time.now += 3.0
    assert not feed.lapsed(0)
    time.now += 0.001
    assert feed.lapsed(0)


def test_what_was_open_before_a_silence_stays_cut_after_it(feed: Feed, time: Time) -> None:
    """A loop that stood still hears the beat before it gets to its streams."""
    time.now += 3.1
    feed.hear(0)
    assert feed.refused() is None
    assert feed.lapsed(0)
    assert not feed.lapsed(feed.lapses)


def test_a_short_silence_cuts_nothing(feed: Feed, time: Time) -> None:
    for _ in range(5):
        time.now += 2.9
        assert feed.refused() == STALE
        feed.hear(0)
    assert not feed.lapsed(0)


def test_a_frozen_feed_is_silence_though_it_beats(feed: Feed, time: Time) -> None:
    """Beats of a writer that is ahead: its records do not come, so a hold would not either."""
    for _ in range(5):
        time.now += 0.25
        feed.hear(1)
    assert feed.refused() == STALE


def test_maintenance_excuses_silence_for_its_time_only(feed: Feed, time: Time) -> None:
    feed.excuse(10_000)
    time.now += 9.9
    assert feed.refused() is None
    assert not feed.lapsed(0)
    time.now += 0.1
    assert feed.refused() == STALE
    assert feed.lapsed(0)


def test_maintenance_that_is_ended_excuses_nothing_more(feed: Feed, time: Time) -> None:
    feed.excuse(10_000)
    time.now += 5.0
    feed.excuse(0)
    assert feed.refused() == STALE
    assert feed.lapsed(0)
    assert feed.maintained == 0


def test_maintenance_brings_back_nothing_that_was_cut(feed: Feed, time: Time) -> None:
    time.now += 3.1
    feed.excuse(10_000)
    assert feed.lapsed(0)
