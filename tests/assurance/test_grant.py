"""Exceptions: what the policy allows, and that nothing else excuses anybody.

The policy: at most 50 ms, one renewal, two approvers, a compensating measure, never from `NO`.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bailment.assurance.grant import Grant, allowed, objection
from tests.assurance.cases import EXCEPTIONS, check, grant, judge, passed, required


def test_a_grant_excuses_from_its_first_to_before_its_last_instant() -> None:
    given = (grant(from_=10, until=20),)
    statuses = [judge(check(), [], at, given).status for at in (9, 10, 19, 20)]
    assert statuses == ["missing", "excepted", "excepted", "missing"]
    assert judge(check(), [], 0, given).until == 10
    assert judge(check(), [], 10, given).until == 20
    assert judge(check(), [], 10, given).exception == "g"


def test_what_is_satisfied_needs_no_exception() -> None:
    verdict = judge(check(), [passed()], 0, (grant(),))
    assert (verdict.status, verdict.exception) == ("satisfied", "")


def test_a_grant_excuses_from_its_own_requirement_only() -> None:
    assert judge(check(), [], 0, (grant(requirement="S"),)).status == "missing"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"requirement": "NO"}, "forbids"),
        ({"until": 51}, "max_ttl"),
        ({"until": 0}, "after it begins"),
        ({"until": -1}, "after it begins"),
        ({"approvers": ("ann",)}, "2 approvers"),
        ({"approvers": ("ann", "ann")}, "2 approvers"),
        ({"compensating": ()}, "compensating"),
        ({"compensating": (" ",)}, "compensating"),
        ({"renewals": 2}, "1 renewals"),
    ],
)
def test_what_the_policy_does_not_allow_excuses_nobody(change: dict[str, Any], word: str) -> None:
    given = grant(**change)
    assert word in objection(given, EXCEPTIONS, [])
    asked = required(check(), given.requirement)
    assert judge(asked, [], 0, (given,)).status == "missing"


def test_an_exception_may_be_as_short_as_it_likes() -> None:
    assert objection(grant(until=1), EXCEPTIONS, []) == ""


def test_a_grant_is_written_as_the_log_has_it_and_read_strictly() -> None:
    text = b'{"id":"g","requirement":"R","from":0,"until":50,"approvers":["ann","bob"]}'
    read = msgspec.json.decode(text, type=Grant)
    assert read == grant(compensating=())
    assert msgspec.json.encode(read) == text
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(text[:-1] + b',"recipient":"x"}', type=Grant)
    with pytest.raises(AttributeError):
        read.until = 51  # type: ignore[misc]


def test_what_the_policy_allows_meets_no_objection() -> None:
    longest = grant(until=50, renewals=1, approvers=("ann", "bob", "eve"))
    assert objection(longest, EXCEPTIONS, [longest]) == ""


def test_a_measure_is_needed_only_where_the_spec_asks_for_one() -> None:
    assert objection(grant(compensating=()), replace(EXCEPTIONS, compensating=False), []) == ""


def line(*starts: int) -> list[Grant]:
    """Grants of 50 ms each."""
    return [grant(f"g{n}", from_=start, until=start + 50) for n, start in enumerate(starts)]


def test_a_third_grant_in_a_row_is_a_second_renewal_whatever_it_says() -> None:
    row = line(0, 50, 100)
    assert [objection(one, EXCEPTIONS, row) == "" for one in row] == [True, True, False]
    assert [one.id for one in allowed(row, EXCEPTIONS)["R"]] == ["g0", "g1"]


def test_a_long_grant_leads_up_to_one_that_a_shorter_one_within_it_does_not_reach() -> None:
    none = replace(EXCEPTIONS, max_renewals=1)
    long, short = grant("g0", from_=0, until=40), grant("g1", from_=20, until=25)
    late = grant("g2", from_=80, until=90)
    assert "renewals" in objection(late, none, [long, short])


def test_an_exception_is_not_new_after_a_short_gap() -> None:
    none = replace(EXCEPTIONS, max_renewals=0)
    assert "renewals" in objection(line(0, 99)[1], none, line(0, 99))
    assert objection(line(0, 100)[1], none, line(0, 100)) == ""


def test_grants_side_by_side_are_renewals_but_for_the_first() -> None:
    none = replace(EXCEPTIONS, max_renewals=0)
    together = line(0, 0)
    assert [objection(one, none, together) == "" for one in together] == [True, False]


def test_a_grant_for_something_else_renews_nothing() -> None:
    none = replace(EXCEPTIONS, max_renewals=0)
    other = grant("g0", "S", from_=0, until=50)
    assert objection(grant("g1", from_=50, until=100), none, [other]) == ""


def test_of_several_grants_the_first_by_id_is_named() -> None:
    given = (grant("b", from_=1), grant("a", from_=0))
    assert judge(check(), [], 5, given).exception == "a"
