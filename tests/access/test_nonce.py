"""Nonces: good for one to two periods, and only those of this process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailment.access.nonce import Nonces

PERIOD = 60_000
NONCES = Nonces(b"s" * 32, PERIOD)


@given(now=st.integers(0, 2**45), later=st.integers(0, 4 * PERIOD))
def test_a_nonce_is_good_in_its_period_and_the_next(now: int, later: int) -> None:
    nonce = NONCES.current(now)
    periods = (now + later) // PERIOD - now // PERIOD
    assert (nonce in NONCES.accepted(now + later)) == (periods <= 1)


def test_a_nonce_from_a_period_to_come_is_not_accepted() -> None:
    assert NONCES.current(10 * PERIOD) not in NONCES.accepted(10 * PERIOD - 1)


def test_a_nonce_of_another_process_is_not_accepted() -> None:
    other = Nonces(b"t" * 32, PERIOD)
    assert other.current(0) not in NONCES.accepted(0)


def test_the_secret_is_not_shown() -> None:
    assert "ssss" not in repr(NONCES)
