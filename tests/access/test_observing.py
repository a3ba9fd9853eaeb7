"""What the gateway saw, counted from its log: never more, never less, never made up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from bailment.access.chain import Job
from bailment.access.observing import Question, differs, observe, question_of, windows
from bailment.access.revoking import Revocation, measured
from bailment.access.sightings import Sightings
from bailment.access.signing_in import resists_phishing
from bailment.access.tracks import MARKS
from bailment.assurance.item import Item
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessOpened, DelegationEnded, HoldAdded, TokenIssued
from bailment.spec.compiled import Kind
from bailment.spec.quantity import DAY, MILLION
from bailment.spec.terms import RANK
from bailment.spec.vocabulary import VOCABULARIES

from .book import PURPOSE, Party
from .small_spec import SPEC, Specified

HOME = "192.0.2.0/24"
ID = "ab" * 16
SEEN = SPEC.replace(
    b"tiers:\n",
    b"""  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}
  gw.register: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}
tiers:
""",
    1,
).replace(
    b"    satisfied_by: {kind: roster, claim: unmatched_accounts, max: 0}\n",
    b"""    satisfied_by:
      all:
        - {kind: roster, claim: unmatched_accounts, max: 0}
        - {kind: gw.use, claim: bound_ppm, min: 1000000}
        - {join: {seen: gw.use, covered_by: [roster]}}
        - {kind: gw.register, claim: undeclared_parties, max: 0}
""",
    1,
)


class Seen(Specified):
    """A log whose requests and tokens may say anything, and `along`, which follows it."""

    def __init__(self) -> None:
        self.along: Sightings | None = None
        super().__init__()
        self.add(self.spec(SEEN.replace(b"1.0.0", b"1.1.0")))
        self.acme = self.recipient()
        self.name = self.acme.its.subject
        person = self.person(self.acme, networks=(HOME,))
        self.at_home = self.device(self.acme, person)
        self.person_at_home = person.its.subject
        self.roaming = self.device(self.acme, self.person(self.acme))

    def note(self, facts: Facts, slot: str = "") -> None:
        """A record as an operator could write it: nobody asks whether it may stand there."""
        slot = slot or self.name
        leaf = Leaf(facts.TYPE, self.time, slot, 0, "", "", 0, "0" * 64, 1)
        self.entries.append((leaf, b"", facts))
        self.fold.size += 1
        self._follow()

    def add(self, facts: Facts, recipient: str = "") -> None:
        super().add(facts, recipient)
        self._follow()

    def _follow(self) -> None:
        self.along = self.along or Sightings(self.register)
        leaf, _, facts = self.entries[-1]
        self.along.follow([(len(self.entries) - 1, leaf, facts)])

    def proof(self, device: Party, jti: str = "") -> str:
        return "not looked at"

    def use(self, by: Party, /, networks: tuple[str, ...] = (HOME,), **given: Any) -> None:
        """A request by a fresh token; `given` changes what the token's record says."""
        kind = given.pop("kind", "dpop-body")
        token = self.make_token(by, **given)
        self.note(token)
        self.note(self.make_access(by, token, networks=networks, kind=kind))

    def sightings(self) -> Sightings:
        """As a process that begins now would have them."""
        sightings = Sightings(self.register)
        news = ((at, leaf, facts) for at, (leaf, _, facts) in enumerate(self.entries))
        sightings.follow(news)
        return sightings

    def item(self, kind: str = "gw.use", **given: Any) -> Item:
        found = self.observed(kind)
        assert found is not None
        return found

    def observed(self, kind: str = "gw.use", sightings: Sightings | None = None) -> Item | None:
        questions = windows(self.register.spec, self.name, self.fold.size, self.time)
        (asked,) = [one for one in questions if one.kind == kind]
        seen = sightings or self.along
        assert seen is not None
        return observe(seen, asked, "acme", ID)


@pytest.fixture
def log() -> Seen:
    return Seen()


def test_a_good_request_counts_for_itself_and_against_nothing(log: Seen) -> None:
    log.use(log.at_home)
    item = log.item()
    assert item.claims == dict.fromkeys(MARKS, 0) | {
        "requests": 1, "observed": 1, "bound_ppm": MILLION,
    }  # fmt: skip
    assert item.people == (log.person_at_home,)
    assert (item.independence, item.collector, item.dated) == ("observed", "gateway", log.time)


@pytest.mark.parametrize(
    ("ways", "share"),
    [
        (("resistant", "resistant"), MILLION),
        (("resistant", "other"), MILLION // 2),
        (("resistant", UNSET, UNSET), MILLION // 3),
        (("other",), 0),
    ],
)
def test_sign_ins_that_resist_phishing_are_a_share_of_the_requests(
    log: Seen, ways: tuple[str, ...], share: int
) -> None:
    for way in ways:
        log.use(log.at_home, signed_in=way)
    assert log.item().claims["phishing_resistant_ppm"] == share


def test_where_nobody_signs_in_nothing_is_said_of_it(log: Seen) -> None:
    log.use(log.at_home)
    assert "phishing_resistant_ppm" not in log.item().claims


def test_workloads_sign_in_nowhere_and_do_not_count_among_those_who_do(log: Seen) -> None:
    log.use(log.at_home, signed_in="resistant")
    its = log.grant(
        log.acme,
        "workload",
        log.acme.its,
        owner=log.person_at_home,
        workload=Job("https://ci.example", "lab", "repo:acme"),
    )
    links = (log.acme.its.id, its.id)
    log.use(log.at_home, device=its.subject, links=links)
    assert log.item().claims["requests"] == 2
    assert log.item().claims["phishing_resistant_ppm"] == MILLION


@pytest.mark.parametrize(
    ("acr", "amr", "resists"),
    [
        ("phr", (), True),
        ("phrh", (), True),
        ("", ("pwd", "hwk"), True),
        ("", ("fido",), True),
        ("", ("pwd", "otp", "mfa", "sms", "swk", "pop"), False),
        ("urn:mace:incommon:iap:silver", (), False),
        ("PHR", ("HWK",), False),
        ("", (), False),
    ],
)
def test_what_resists_phishing(acr: str, amr: tuple[str, ...], resists: bool) -> None:
    assert resists_phishing(acr, amr) == resists


@pytest.mark.parametrize(
    ("claim", "how"),
    [
        ("unbound_requests", {"kind": "bearer"}),
        ("undelegated_requests", {"links": ()}),
        ("undelegated_requests", {"person": "ef" * 16}),
        ("unenrolled_device_requests", {"thumbprint": "x"}),
        ("unenrolled_device_requests", {"device": "ef" * 16}),
        ("off_network_requests", {"networks": ()}),
        ("off_network_requests", {"networks": ("198.51.100.0/24",)}),
        ("undeclared_purpose_requests", {"purpose": "gardening"}),
        ("undeclared_purpose_requests", {"purpose": ""}),
    ],
)
def test_what_is_wrong_with_a_request_is_counted(
    log: Seen, claim: str, how: dict[str, Any]
) -> None:
    log.use(log.at_home)
    log.use(log.at_home, **how)
    assert log.item().claims[claim] == 1
    if claim == "unbound_requests":
        assert log.item().claims["bound_ppm"] == MILLION // 2


def test_where_no_network_is_declared_none_was_kept_to(log: Seen) -> None:
    log.use(log.roaming)
    assert log.item().claims["off_network_requests"] == 1


def test_of_a_token_without_a_record_nothing_is_shown(log: Seen) -> None:
    token = log.make_token(log.at_home)
    log.note(log.make_access(log.at_home, token, networks=(HOME,)))
    claims = log.item().claims
    assert [claims[mark] for mark in MARKS] == [0, 1, 1, 1, 1]
    assert log.item().people == ()
    assert log.item("gw.register").claims["undeclared_parties"] == 1


def test_a_link_that_nobody_granted_is_an_undeclared_party(log: Seen) -> None:
    links = tuple(link.id for link in log.register.path(log.at_home.its.id))
    log.use(log.at_home, links=(links[0], "cd" * 16, *links[1:]))
    assert log.item().claims["undelegated_requests"] == 1
    assert log.item("gw.register").claims["undeclared_parties"] == 1


def test_a_request_counts_as_delegated_only_until_its_link_ends(log: Seen) -> None:
    log.use(log.at_home)
    log.add(DelegationEnded(log.at_home.its.id, "tests", "over"), log.name)
    assert log.item().claims["undelegated_requests"] == 0
    log.use(log.at_home)
    assert log.item().claims["undelegated_requests"] == 1


def test_a_link_that_ended_before_anybody_followed_is_known_to_have(log: Seen) -> None:
    log.add(DelegationEnded(log.at_home.its.id, "tests", "over"), log.name)
    late = log.along = Sightings(log.register)
    log.use(log.at_home)
    item = log.observed(sightings=late)
    assert item is not None and item.claims["undelegated_requests"] == 1


def test_who_only_signed_in_was_seen_and_requests_are_not_made_up(log: Seen) -> None:
    log.note(log.make_token(log.at_home))
    item = log.item()
    assert item.people == (log.person_at_home,)
    assert item.claims == {"observed": 0}


def test_of_nothing_nothing_is_said(log: Seen) -> None:
    assert log.observed() is None
    log.use(log.at_home)
    log.time += DAY
    assert log.observed() is not None
    log.time += 1
    assert log.observed() is None, "the window is over"
    assert "undeclared_parties" not in log.item("gw.register").claims


def test_the_register_says_how_far_and_how_long_delegations_go(log: Seen) -> None:
    claims = log.item("gw.register").claims
    assert claims == {
        "observed": 5, "delegation_depth": 0, "widening_links": 0, "delegates_below_tier": 0,
        "longest_contractor_days": 0, "hardware_bound_ppm": 0,
        "unsigned_exceptions": 0, "longest_exception_days": 0,
        "grants_by_one": 4, "workloads_without_owner": 0,
    }  # fmt: skip
    sub = log.subcontractor(log.acme, until=log.acme.its.start + 10 * DAY + 1)
    log.subcontractor(sub)
    claims = log.item("gw.register").claims
    assert (claims["delegation_depth"], claims["longest_contractor_days"]) == (2, 11)
    assert claims["delegates_below_tier"] == 0, "no model of theirs has a tier"
    log.note(log.tiered("small", "T1", "ada"))
    assert log.item("gw.register").claims["delegates_below_tier"] == 2
    log.time += 10 * DAY + 1
    assert log.item("gw.register").claims["delegation_depth"] == 0, "they are over"


def test_what_a_second_person_approved_is_no_grant_by_one(log: Seen) -> None:
    before = log.item("gw.register").claims["grants_by_one"]
    for granted in log.register.state.links.values():
        granted.paired = True  # by which rules an approval counts is `two_person`'s
    assert before > 0
    assert log.item("gw.register").claims["grants_by_one"] == 0


def test_a_workload_for_which_nobody_answers_is_counted(log: Seen) -> None:
    owner = log.person(log.acme)
    job = Job("https://ci.acme.example", "bailment", "repo:acme/scan")
    log.grant(log.acme, "workload", log.acme.its, owner=owner.its.subject, workload=job)
    assert log.item("gw.register").claims["workloads_without_owner"] == 0
    log.add(DelegationEnded(owner.its.id, "tests", "over"), log.name)
    assert log.item("gw.register").claims["workloads_without_owner"] == 1


def test_a_long_lived_token_is_counted(log: Seen) -> None:
    log.use(log.at_home)
    assert log.item("gw.register").claims["long_lived_credentials"] == 0
    log.use(log.at_home, until=log.time + 300_001)
    assert log.item("gw.register").claims["long_lived_credentials"] == 1


def test_exceptions_are_counted_while_they_last(log: Seen) -> None:
    log.add(log.grant_exception(log.name, "ID-2", "ada", "bo"), log.name)
    claims = log.item("gw.register").claims
    assert (claims["longest_exception_days"], claims["unsigned_exceptions"]) == (1, 0)
    log.time += DAY
    assert log.item("gw.register").claims["longest_exception_days"] == 0


def test_a_collector_without_anything_fresh_is_silent(log: Seen) -> None:
    log.enclave(log.name, "tenant-a")
    assert "silent_collectors" not in log.item("gw.register").claims
    log.show(log.name, Specified.item(log, "scan", checks={"MFA": "pass"}))
    assert log.item("gw.register").claims["silent_collectors"] == 0
    log.time += DAY
    assert log.item("gw.register").claims["silent_collectors"] == 1
    log.enclave(log.name, "tenant-b")
    assert "silent_collectors" not in log.item("gw.register").claims


def test_what_the_gateway_tells_is_all_that_a_spec_can_ask_it_for(log: Seen) -> None:
    log.enclave(log.name, "tenant-a")
    log.show(log.name, Specified.item(log, "scan", checks={"MFA": "pass"}))
    log.subcontractor(log.acme)
    log.add(log.grant_exception(log.name, "ID-2", "ada", "bo"), log.name)
    log.use(log.at_home, signed_in="other")
    claims = {**log.item("gw.register").claims, **log.item().claims}
    known = VOCABULARIES["gateway/1"].claims
    assert claims.keys() == known.keys()
    for claim, number in claims.items():
        least, most = known[claim].least or 0, known[claim].most
        assert least <= number and (most is None or number <= most), claim


@pytest.mark.parametrize(
    "join",
    [
        b"{seen: gw.register, covered_by: [roster]}",
        b"{seen: roster, covered_by: [gw.register]}",
    ],
)
def test_a_kind_whose_people_a_rule_reads_names_them_whatever_else_is_read(
    log: Seen, join: bytes
) -> None:
    rule = b"{seen: gw.use, covered_by: [roster]}"
    assert SEEN.count(rule) == 1
    log.add(log.spec(SEEN.replace(rule, join).replace(b"1.0.0", b"1.3.0")))
    log.use(log.at_home)
    item = log.item("gw.register")
    assert item.people == (log.person_at_home,)
    assert {"undeclared_parties", "requests"} <= item.claims.keys()


def test_a_kind_that_only_covers_is_observed(log: Seen) -> None:
    text = SPEC.replace(
        b"tiers:\n",
        b"  gw.use: {adapter: gateway/1, class: machine, max_age: P1D, scope: org}\ntiers:\n",
        1,
    ).replace(
        b"{kind: roster, claim: unmatched_accounts, max: 0}",
        b"{join: {seen: roster, covered_by: [gw.use]}}",
        1,
    )
    log.add(log.spec(text.replace(b"1.0.0", b"1.4.0")))
    log.use(log.at_home)
    assert log.item().people == (log.person_at_home,)


def test_the_issuers_own_drill_tells_all_that_a_spec_can_ask_it_for(log: Seen) -> None:
    held = log.time
    leaf = Leaf(HoldAdded.TYPE, held, log.name, 0, "", "", 0, "0" * 64, 1)
    seen = Revocation(
        HoldAdded("ef" * 16, f"person:{log.person_at_home}", "drill", "x"), leaf, log.fold
    )
    seen.cut, seen.refused, seen.lifted = {"ab" * 16: held + 24}, held + 141, held + 200
    kind = Kind("drill", "drill", "drill/1", "process", "org", DAY, RANK["observed"])
    item = measured(seen, kind, "acme", ID, held + 300)
    assert item is not None
    assert item.claims.keys() == VOCABULARIES["drill/1"].observed
    assert (item.independence, item.checks, item.people) == ("observed", {}, ())


def test_a_report_says_what_it_was_made_of(log: Seen) -> None:
    log.use(log.at_home)
    stop = log.fold.size
    asked = question_of(log.item().report)
    assert asked == Question("gw.use", log.name, stop, log.time - DAY, log.time)
    assert f":{stop - 2}-{stop}:" in log.item().report
    for report in ("", "x", log.item().report + "\n", log.item().report.replace(":", "::", 1)):
        assert question_of(report) is None


def test_what_came_later_changes_no_earlier_answer(log: Seen) -> None:
    log.use(log.at_home)
    before = {kind: log.item(kind) for kind in ("gw.use", "gw.register")}
    log.use(log.roaming, purpose="gardening")
    log.add(DelegationEnded(log.roaming.its.id, "tests", "over"), log.name)
    log.subcontractor(log.acme)
    log.add(log.grant_exception(log.name, "ID-2", "ada", "bo"), log.name)
    log.enclave(log.name, "tenant-a")
    log.show(log.name, Specified.item(log, "scan", checks={"MFA": "pass"}))
    log.add(log.spec(SPEC.replace(b"1.0.0", b"1.2.0")))
    for kind, item in before.items():
        asked = question_of(item.report)
        assert asked is not None and log.along is not None
        assert observe(log.along, asked, "acme", ID) == item, kind


def test_who_reads_back_knows_which_spec_was_in_force_when(log: Seen) -> None:
    spec, policy, stop = log.register.spec, log.register.policy, log.fold.size
    log.add(log.spec(SEEN.replace(b"1.0.0", b"1.2.0").replace(b"PT5M", b"PT4M")))
    sightings = log.sightings()
    assert sightings.in_force(stop) == (spec, policy)
    assert sightings.in_force(log.fold.size) == (log.register.spec, log.register.policy)
    assert log.register.policy != policy
    assert log.register.spec != spec


def test_more_of_the_same_says_nothing_else(log: Seen) -> None:
    spec = log.register.spec
    log.use(log.at_home)
    once = log.item()
    log.use(log.at_home)
    assert not differs(spec, once, log.item())
    log.use(log.at_home, kind="bearer")
    assert differs(spec, once, log.item()), "a rule now reads otherwise"
    assert differs(spec, once, msgspec.structs.replace(once, people=("ef" * 16,)))


# Against a naive recount


USES = st.lists(
    st.tuples(
        st.sampled_from(["home", "roaming", "bare", "end"]),
        st.integers(0, 9),  # hours until the next
        st.booleans(),
        st.sampled_from([(HOME,), ()]),
        st.sampled_from([PURPOSE, "gardening"]),
        st.sampled_from([{}, {"links": ("cd" * 16,)}, {"thumbprint": "x"}]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(uses=USES, cut=st.integers(0, 30))
def test_counts_are_those_of_a_naive_recount(uses: list[Any], cut: int) -> None:
    log = Seen()
    devices = {"home": log.at_home, "roaming": log.roaming}
    for who, hours, bound, networks, purpose, odd in uses:
        log.time += hours * 3_600_000
        if who == "end":
            if not log.register.state.links[log.roaming.its.id].ended:
                log.add(DelegationEnded(log.roaming.its.id, "tests", "over"), log.name)
        elif who == "bare":
            log.note(log.make_token(log.at_home))
        else:
            kind = "dpop-body" if bound else "bearer"
            log.use(devices[who], networks, purpose=purpose, kind=kind, **odd)
    stop = max(0, log.fold.size - cut)
    asked = Question("gw.use", log.name, stop, log.time - DAY, log.time)
    for sightings in (log.sightings(), log.along):
        assert sightings is not None
        item = observe(sightings, asked, "acme", ID)
        assert (item and (item.claims, set(item.people))) == naive(log, asked)


def naive(log: Seen, asked: Question) -> tuple[dict[str, int], set[str]] | None:
    """Everything again from the records themselves, one by one."""
    rows = list(enumerate(log.entries[: asked.stop]))
    tokens = {facts.token: facts for _, (_, _, facts) in rows if isinstance(facts, TokenIssued)}
    ended = {facts.link: at for at, (_, _, facts) in rows if isinstance(facts, DelegationEnded)}
    inside = [(at, facts) for at, (leaf, _, facts) in rows if leaf.time >= asked.since]
    requests = [(at, facts) for at, facts in inside if isinstance(facts, AccessOpened)]
    claims = dict.fromkeys(MARKS, 0)
    for at, facts in requests:
        token = tokens[facts.token]
        true_path = tuple(link.id for link in log.register.path(log.register.link_of[token.device]))
        whole = token.links == true_path
        over = any(ended.get(link, at) < at for link in token.links)
        home = whole and true_path[-1] == log.at_home.its.id
        claims["unbound_requests"] += facts.kind != "dpop-body"
        claims["undelegated_requests"] += not whole or over
        claims["unenrolled_device_requests"] += not whole or token.thumbprint == "x"
        claims["off_network_requests"] += not (home and HOME in facts.networks)
        claims["undeclared_purpose_requests"] += not whole or token.purpose != PURPOSE
    used = [tokens[facts.token].person for _, facts in requests]
    people = {*used, *(facts.person for _, facts in inside if isinstance(facts, TokenIssued))}
    if not people:
        return None
    if not requests:
        return {"observed": 0}, people
    bound = len(requests) - claims["unbound_requests"]
    share = bound * MILLION // len(requests)
    return {**claims, "requests": len(requests), "observed": len(requests),
            "bound_ppm": share}, people  # fmt: skip
