"""An account is a person's only by a name that is exactly theirs and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.assurance.adapters.report import Account
from bailment.assurance.matching import Matched, match

ANN, BEN = "a" * 32, "b" * 32
KNOWN = {ANN: ["ann@acme.example"], BEN: ["ben@acme.example", "00u2BEN"]}


def account(
    user_name: str = "?", *emails: str, id: str = "0", active: bool | None = True
) -> Account:
    return Account(id, user_name, emails, active)


@pytest.mark.parametrize(
    "one",
    [
        account("ann@acme.example"),
        account("Ann@ACME.example"),
        account("ann", "ann@acme.example"),
        account("ann", "other@acme.example", "ANN@acme.example"),
        account("ann@acme.example", "ann@acme.example", id="ann@acme.example"),
    ],
)
def test_a_declared_address_is_found_as_user_name_or_email(one: Account) -> None:
    assert match([one], KNOWN) == Matched((ANN,), 1, 0, 0)


def test_a_declared_account_id_is_compared_as_it_is() -> None:
    assert match([account(id="00u2BEN")], KNOWN).people == (BEN,)
    assert match([account(id="00u2ben")], KNOWN) == Matched((), 1, 1, 0)


@pytest.mark.parametrize(
    "name",
    [
        "ann", "ann@acme", "ann@acme.example.org", "ann+x@acme.example", "a.nn@acme.example",
        " ann@acme.example", "ann@acme.example ", "ann@acme.example\n", "\u200bann@acme.example",
        "\uff41nn@acme.example", "ann@acme\u3002example", "aNN@acme.exampl\u0435",
        "\u212aann@acme.example",
        "", "ann@acme.example\ud800",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_nobodys(name: str) -> None:
    assert match([account(name)], KNOWN) == Matched((), 1, 1, 0)


@pytest.mark.parametrize(
    ("declared", "listed"),
    [
        ("stra\u00dfe@x", "strasse@x"),
        ("\u212a@x", "k@x"),
        ("\u212a@x", "K@x"),
        ("\u0130@x", "i@x"),
        ("\ufb01@x", "fi@x"),
        ("\u00c9@x", "\u00e9@x"),
    ],
)
def test_letters_that_fold_into_others_are_not_folded(declared: str, listed: str) -> None:
    assert match([account(listed)], {ANN: [declared]}).people == ()
    assert match([account(declared)], {ANN: [listed]}).people == ()


def test_composed_and_decomposed_letters_are_the_same_letter() -> None:
    assert match([account("rene\u0301@x")], {ANN: ["ren\u00e9@x"]}).people == (ANN,)


def test_an_account_with_names_of_two_people_is_nobodys() -> None:
    for one in (
        account("ann@acme.example", "ben@acme.example"),
        account("ann@acme.example", id="00u2BEN"),
    ):
        assert match([one], KNOWN) == Matched((), 1, 1, 0)


def test_a_name_that_was_declared_for_two_people_is_nobodys() -> None:
    shared = {ANN: ["team@acme.example", "ann@x"], BEN: ["Team@acme.example"]}
    assert match([account("team@acme.example")], shared) == Matched((), 1, 1, 0)
    assert match([account("ann@x")], shared).people == (ANN,)


def test_an_inactive_account_covers_nobody_and_is_not_unmatched() -> None:
    gone = [account("ann@acme.example", active=False), account("who", active=False)]
    assert match(gone, KNOWN) == Matched((), 2, 0, 2)


def test_an_account_that_may_be_inactive_counts_against_the_recipient_both_ways() -> None:
    unsure = [account("ann@acme.example", active=None), account("who", active=None)]
    assert match(unsure, KNOWN) == Matched((), 2, 1, 0)


def test_a_person_may_have_several_accounts_and_people_come_in_order() -> None:
    listed = [account("ben@acme.example"), account("ann@acme.example"), account("ANN@acme.example")]
    assert match(listed, KNOWN) == Matched((ANN, BEN), 3, 0, 0)


def test_empty_and_unusable_names_match_nothing() -> None:
    for name in ("", " ", "\n", "x" * 321):
        assert match([account(name, name, id=name)], {ANN: [name], BEN: []}).people == ()
    for name in ("x" * 320, "x"):
        assert match([account(name)], {ANN: [name.upper()]}).people == (ANN,)
    assert match([], KNOWN) == Matched((), 0, 0, 0)


NAMES = st.sampled_from(["ann@x", "ANN@x", "ben@x", "ben", "1", "é@x", "e\u0301@x", "", "a b"])

ACTIVE = (True, False, None)


@given(
    st.lists(
        st.builds(account, NAMES, NAMES, id=NAMES, active=st.sampled_from([True, False, None]))
    ),
    st.dictionaries(st.sampled_from([ANN, BEN, "c" * 32]), st.lists(NAMES)),
)
def test_nobody_is_covered_but_by_a_name_that_is_theirs_alone(
    listed: list[Account], known: dict[str, list[str]]
) -> None:
    found = match(listed, known)
    assert found.accounts == len(listed)
    assert found.unmatched + found.inactive <= len(listed)
    for person in found.people:
        assert match(listed, {person: known[person]}).people == (person,)
    everybody = {name: person for person, names in known.items() for name in names}
    assert found.people == () or everybody
