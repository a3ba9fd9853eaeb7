"""Every event is one by the official schema, and names nobody unless it is to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.state import Indexed
from bailment.detect.ocsf import Mapper
from bailment.detect.ocsf_shapes import CLASSES, shortened
from bailment.ledger.context import Context
from bailment.ledger.detection_records import FindingGrouped, FindingJudged, FindingRaised
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import PersonSignedIn
from bailment.ledger.incident_records import (
    Done,
    IncidentClosed,
    IncidentNoted,
    IncidentOpened,
    NoticeAcknowledged,
    NoticeSent,
    Times,
)
from bailment.ledger.records import (
    TYPES,
    AccessClosed,
    AccessOpened,
    AccessRefused,
    HoldAdded,
    HoldLifted,
    LogHeads,
    TokenIssued,
)

from .ocsf_schema import wrong

ISSUER, HASH = "lab.example/log", "ab" * 32
A, B, C, D = "a" * 32, "b" * 32, "c" * 32, "d" * 32
RAISED = FindingRaised(
    A,
    "relay",
    "ten conversations at once",
    5,
    9,
    {"clusters": 10},
    "relay-1",
    f"person:{B}",
    (f"device:{C}",),
    "high",
    (3, 4),
    12,
    "step-up",
)
TOKEN = TokenIssued("t", C, B, (), ("m",), "red-team", "software", "x", 10, 300_010, 10, "p", "d")
OPENED = AccessOpened(
    A,
    "generate",
    "dpop-body",
    "t",
    "p",
    "POST",
    "/v1/messages",
    "d",
    "m",
    True,
    100,
    (),
    10,
    context=Context(64500, "DE", "vpn", "aa", "openai-python", "3.51", workspace="w"),
)
CLOSED = AccessClosed(A, "complete", 200, 10, 20, True, 300)
REFUSED = AccessRefused(C, "held", 3, 1, 2, "generate", "m", B, "t", Context(country="FR"))


def events(*records: Facts, mapper: Mapper | None = None) -> list[dict[str, Any]]:
    """What becomes of records from entry 0 on; each is held against the schema."""
    mapper, register = mapper or Mapper(ISSUER), Indexed()
    found = [mapper.read(i, 100 + i, HASH, one, register) for i, one in enumerate(records)]
    told = [one for one in found if one is not None]
    for one in told:
        assert wrong(one) == []
        json.dumps(one)
    return told


def test_the_schema_that_events_are_held_against_finds_what_is_wrong() -> None:
    (event,) = events(RAISED)
    for change in (
        {"severity_id": 7}, {"activity_id": 2}, {"finding_info": {}}, {"person": "x"},
        {"time": "now"}, {"resources": [{}]}, {"metadata": {"version": "1.8.0"}, },
        {"verdict_id": 2},
    ):  # fmt: skip
        changed = event | change
        if "metadata" in change:
            changed = event | {"metadata": change["metadata"]}
        assert wrong(changed)


def test_a_finding_is_told_with_what_it_cites_and_what_follows() -> None:
    raised, grouped, judged = events(
        RAISED,
        FindingGrouped(A, 7, 5, 12, records=(8,)),
        FindingJudged(A, "misuse", "two people said so", "maria"),
    )
    assert [one["type_uid"] for one in (raised, grouped, judged)] == [200401, 200402, 200403]
    assert {one["finding_info"]["uid"] for one in (raised, grouped, judged)} == {A}
    assert raised["message"] == RAISED.sentence
    assert raised["severity_id"] == 4
    assert [one["uid"] for one in raised["resources"]] == [f"person:{B}", f"device:{C}"]
    cited = [one["uid"] for one in raised["finding_info"]["related_events"]]
    assert cited == [f"{ISSUER}#3", f"{ISSUER}#4"]
    assert (judged["verdict_id"], "comment" in judged) == (2, False)
    assert raised["metadata"]["uid"] == f"{ISSUER}#0"
    assert raised["unmapped"]["leaf_hash"] == HASH


def test_an_access_is_told_from_its_opening_to_its_end() -> None:
    token, opened, closed = events(TOKEN, OPENED, CLOSED)
    assert token["session"]["expiration_time"] == TOKEN.until
    assert opened["metadata"]["profiles"] == ["ai_operation", "security_control"]
    assert opened["ai_model"] == {"name": "m", "ai_provider": ISSUER}
    assert opened["src_endpoint"]["autonomous_system"] == {"number": 64500}
    assert opened["actor"]["user"]["uid"] == B
    assert closed["message_context"]["total_tokens"] == 30
    assert closed["message_context"]["uid"] == opened["message_context"]["uid"] == A
    assert (opened["status_id"], closed["status_id"]) == (1, 1)


def test_what_was_refused_or_cut_is_no_success() -> None:
    refused, cut = events(REFUSED, msgspec.structs.replace(CLOSED, outcome="cut", reason="held"))
    assert (refused["status_id"], refused["action_id"], refused["disposition_id"]) == (2, 2, 2)
    assert (refused["count"], refused["status_code"]) == (3, "held")
    assert (cut["status_id"], cut["status_detail"]) == (2, "held")


def test_an_incident_is_one_from_its_opening_to_the_answer_of_the_last_recipient() -> None:
    told = events(
        IncidentOpened(A, "copied keys", "finding", "maria", findings=(B,), times=Times(5)),
        IncidentNoted(A, "maria"),
        EvidenceStaled(D, ("scan",), "its host was theirs", "maria", A),
        NoticeSent(B, A, C, 1, 2, 3, "maria"),
        NoticeAcknowledged(B, C, "proof"),
        IncidentClosed(A, "over", "maria"),
    )
    assert [one["type_uid"] for one in told] == [200501, 200502, 200502, 200502, 200502, 200503]
    assert {one["finding_info_list"][0]["uid"] for one in told} == {A}
    assert [one["status_id"] for one in told] == [1, 2, 2, 2, 2, 5]
    assert told[0]["finding_info_list"][1]["uid"] == B
    assert [told[n]["metadata"]["tenant_uid"] for n in (2, 4)] == [D, C]
    assert told[2]["unmapped"]["kinds"] == ["scan"]


def test_a_hold_takes_and_its_end_gives_back_the_same_subjects_access() -> None:
    held, lifted = events(
        HoldAdded(A, f"person:{B}", "why", "maria"), HoldLifted(A, "over", "maria")
    )
    assert [one["type_uid"] for one in (held, lifted)] == [300502, 300501]
    assert held["user"] == lifted["user"] == {"uid": f"person:{B}"}


def test_names_are_told_only_to_who_is_given_them() -> None:
    records = (
        TOKEN, OPENED, CLOSED, PersonSignedIn(B, "i", 1, "t", "a", "k", amr=("mfa",)),
        HoldAdded(A, f"person:{B}", "Maria again", "noor"),
        FindingJudged(A, "known", "Maria said so", "noor"),
        IncidentOpened(A, "copied", "person", "noor"),
    )  # fmt: skip
    told = json.dumps(events(*records))
    assert not any(name in told for name in ("Maria", "noor"))
    named = Mapper(ISSUER, {B: "Maria"}.get, authors=True)  # type: ignore[arg-type]
    assert {"Maria", "noor"} <= set(_words(json.dumps(events(*records, mapper=named))))


def _words(text: str) -> list[str]:
    return "".join(one if one.isalnum() else " " for one in text).split()


def test_what_is_too_long_is_told_shorter_and_says_so() -> None:
    for event in events(RAISED, OPENED, IncidentOpened(A, "t", "tip", "m", findings=(B,) * 500)):
        short = shortened(event, 99_999)
        assert wrong(short) == []
        assert short["metadata"]["is_truncated"] is True
        assert short["metadata"]["untruncated_size"] == 99_999
        assert len(json.dumps(short)) < 1200


def test_records_without_an_event_have_none() -> None:
    assert events(LogHeads("s")) == []


NUMBERS = st.integers(0, 2**53 - 1)
TEXTS = st.text(max_size=12)
st.register_type_strategy(Context, st.builds(Context, asn=NUMBERS, country=TEXTS, client=TEXTS))
st.register_type_strategy(Times, st.builds(Times, occurred=NUMBERS, aware=NUMBERS))
st.register_type_strategy(Done, st.builds(Done, act=TEXTS, subject=TEXTS))
_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS, "int": NUMBERS, "bool": st.booleans(),
}  # fmt: skip


def _any(kind: type[Facts]) -> st.SearchStrategy[Facts]:
    """Records of a kind with whatever their fields' types allow."""
    given: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(kind):
        given[field.name] = _of(field.type)
    return st.builds(kind, **given)


def _of(kind: Any) -> st.SearchStrategy[Any]:
    args = getattr(kind, "__args__", ())
    if kind in (str, int, bool):
        return _SIMPLE[kind.__name__]
    if getattr(kind, "__origin__", None) is tuple:
        return st.lists(_of(args[0]), max_size=3).map(tuple)
    if getattr(kind, "__origin__", None) is dict:
        return st.dictionaries(TEXTS, _of(args[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.from_type(kind)
    if args and not isinstance(args[0], str) and any(isinstance(one, type) for one in args):
        return st.one_of([st.just(msgspec.UNSET) if one is msgspec.UnsetType else _of(one)
                          for one in args])  # fmt: skip
    return st.sampled_from(args)


ALL = sorted({one for kinds in CLASSES.values() for one in kinds}, key=lambda kind: kind.TYPE)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.TYPE)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_a_record_holds_its_event_is_valid(kind: type[Facts], data: Any) -> None:
    events(*data.draw(st.lists(_any(kind), min_size=1, max_size=2)))


def test_every_class_of_records_is_of_records_that_there_are() -> None:
    assert {one.TYPE for one in ALL} <= TYPES.keys()


def test_the_schema_is_read_from_an_installed_package() -> None:
    import ocsf_json_schema

    assert (Path(ocsf_json_schema.__file__).parent / "ocsf" / "1.8.0.json").is_file()
