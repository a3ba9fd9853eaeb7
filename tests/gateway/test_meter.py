"""What a model server's counters say, and what they are held to have said."""

from __future__ import annotations

import pytest

from bailment.gateway.meter import Excess, Ledger, Meter, Reset, read_counters
from bailment.ledger.counters import Compared, Reading


def read(exposition: str) -> tuple[int, int] | None:
    reading = read_counters(exposition, ("in_a", "in_b"), ("out",), 7)
    return reading and (reading.input, reading.output)


def test_counters_are_summed_over_names_and_labels() -> None:
    assert read('# HELP in_a x\nin_a{m="}"} 1\nin_a{m="\\"b"} 2.0\nin_b 4\nout 1e1 1700000\n') == (
        7,
        10,
    )


@pytest.mark.parametrize("value", ["1e999", "-", "1.2.3", "NaN", "-1", "+Inf", "", "x", "1e300"])
def test_a_counter_that_is_no_count_is_not_read(value: str) -> None:
    assert read(f"in_a {value}\nin_b 1\nout 1\n") is None
    assert read(f"in_a 1\nin_b 1\nout 1\nout {value}\n") is None
    assert read(f"other {value}\nin_a 1\nin_b 1\nout 1\nother{{a=\n") == (2, 1)


def test_a_missing_counter_is_not_taken_for_nothing() -> None:
    assert read("in_a 1\nout 1\n") is None
    assert read("") is None
    assert read_counters("in_a 1\n", (), (), 7) is None


def test_a_comparison_goes_on_from_where_it_stood() -> None:
    meter = Meter(Ledger("m"))
    assert meter.state("s") is None
    meter.compare(Reading(1, 10, 10))
    meter.ledger.explained.input, meter.ledger.open["a"] = 5, 7
    meter.compare(Reading(2, 15, 10))
    stood = meter.state("s")
    assert stood == Compared("s", Reading(1, 10, 10), Reading(2, 15, 10), 5, 0, False, {"a": 7})
    assert stood is not None
    for other in (meter, Meter(Ledger("m"))):
        if other is not meter:
            other.resume(stood)
        assert other.state("s") == stood
        assert other.compare(Reading(3, 22, 17)) is None
        assert other.compare(Reading(4, 23, 17)) == Excess(1, 4, 8, 7)


def test_counters_that_go_backwards_are_a_restart_whatever_the_fixed_point() -> None:
    meter = Meter(Ledger("m"))
    assert meter.compare(Reading(1, 10, 10)) is None
    assert meter.compare(Reading(2, 10, 10)) is None
    assert meter.compare(Reading(3, 15, 10)) == Excess(1, 3, 5, 0)
    meter.ledger.explained.input = 10
    assert meter.compare(Reading(4, 25, 10)) is None
    # More than at the fixed point, less than at the last reading.
    assert meter.compare(Reading(5, 20, 10)) == Reset(4, 5)
    assert meter.compare(Reading(6, 20, 10)) is None
    assert meter.compare(Reading(7, 21, 10)) == Excess(5, 7, 1, 0)
