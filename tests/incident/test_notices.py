"""A recipient is asked what it alone can answer, with what it can look up in its own records."""

from __future__ import annotations

from bailment.incident.blast_radius import Extent, Radius, Use
from bailment.incident.graph import Graph
from bailment.incident.notices import Draft, concerned, drafts
from bailment.incident.window import Window
from bailment.ledger.context import Context
from bailment.ledger.identity_records import SignalSource
from bailment.ledger.records import AccessOpened, DelegationEnded

from ..access.book import Party
from .test_blast_radius import Town, node, use

PREFIX, WORKSPACE = "0123456789abcdef", "fedcba9876543210"
BERLIN = Context(64500, "DE", "hosting", PREFIX, workspace=WORKSPACE)


def radius_of(town: Town, *uses: Use, start: str = "vendor:vaultly") -> Radius:
    register = town.book.register
    return Extent(Graph(register, town.custody), register, [start]).with_uses(uses)


def told(
    town: Town, radius: Radius, *misused: Use, accesses: dict[int, AccessOpened] | None = None
) -> dict[str, Draft]:
    register = town.book.register
    whom = concerned(register, radius, misused)
    given = register, whom, Window(7, -1, "kept"), accesses or {}, town.book.time
    return {one.organisation: one for one in drafts(*given)}


def access(town: Town, party: Party, context: Context = BERLIN) -> AccessOpened:
    return town.book.make_access(party, town.book.make_token(party), context=context)


def both_kept() -> Town:
    town = Town()
    town.custody = [town.vault(node(town.theirs), node(town.device))]
    return town


def test_nobody_is_asked_to_replace_what_can_never_be_used_again() -> None:
    town = both_kept()
    town.book.add(DelegationEnded(town.device.its.id, "tests", "lost"))
    found = told(town, radius_of(town, use(town.device, 5), use(town.theirs, 2)))
    mine, other = found[town.acme.its.subject], found[town.other.its.subject]
    assert (mine.subjects, mine.rotate) == ((node(town.device),), ())
    assert other.rotate == (node(town.theirs),)


def test_each_recipient_is_told_of_its_own_and_of_nobody_elses() -> None:
    town = both_kept()
    found = told(town, radius_of(town, use(town.device, 5), use(town.theirs, 2)))
    assert found.keys() == {town.acme.its.subject, town.other.its.subject}
    mine = found[town.acme.its.subject]
    assert (mine.subjects, mine.accesses, mine.since) == ((node(town.device),), 5, 7)
    assert mine.rotate == (node(town.device),)


def test_it_is_asked_whose_an_access_was_by_time_place_and_request_id() -> None:
    town = both_kept()
    bad = use(town.theirs, 2, "AS64500", "curl", at=20)
    first, last = access(town, town.theirs), access(town, town.theirs)
    accesses = {bad.first: first, bad.last: last}
    (question,) = told(town, radius_of(town, bad), bad, accesses=accesses)[
        town.other.its.subject
    ].check
    assert question == (
        "2 accesses between 1970-01-01T00:00:20Z and 1970-01-01T00:00:22Z with "
        f"{node(town.theirs)}, to small, from AS64500, country DE, hosting, by curl (x-request-id "
        f"{first.access} to {last.access}): were these yours?"
    )


def test_no_keyed_hash_is_told_and_nobody_is_told_whose_an_access_was_not() -> None:
    town = both_kept()
    bad = use(town.theirs, 1, PREFIX, "curl")
    nowhere = Context(prefix=PREFIX, workspace=WORKSPACE, conversation=WORKSPACE)
    found = told(
        *(town, radius_of(town, bad), bad),
        accesses={bad.first: access(town, town.theirs, nowhere)},
    )
    text = " ".join(line for one in found.values() for line in one.check)
    assert PREFIX not in text
    assert WORKSPACE not in text
    assert "not yours" not in text
    assert "were these yours?" in text


def test_who_has_no_part_in_what_was_misused_is_asked_about_its_own_accesses() -> None:
    town = both_kept()
    bad, usual = use(town.theirs, 1, "AS666"), use(town.device, 3, "AS1")
    found = told(town, radius_of(town, bad, usual), bad)
    (mine,) = found[town.acme.its.subject].check
    assert "3 accesses" in mine
    assert "AS1," in mine


def test_what_is_used_least_is_asked_first_and_the_rest_is_counted() -> None:
    town = both_kept()
    usual = [use(town.theirs, 100 + number, f"AS{number}") for number in range(1, 15)]
    found = told(town, radius_of(town, *usual, use(town.theirs, 1, "AS666")))
    *asked, rest = found[town.other.its.subject].check
    assert "AS666" in asked[0]
    assert len(asked) == 12
    assert rest.startswith(f"{112 + 113 + 114} accesses besides")


def test_the_organisation_of_a_source_whose_credential_was_kept_there_replaces_it() -> None:
    town = Town()
    acme = town.acme.its.subject
    source = SignalSource("5" * 32, acme, "scim", "", "", "0" * 64, "tests")
    town.book.add(source, acme)
    town.custody = [town.vault(f"source:{source.source}")]
    (draft,) = told(town, radius_of(town)).values()
    assert (draft.organisation, draft.rotate) == (acme, (f"source:{source.source}",))
    assert "no access was made" in draft.check[0]
