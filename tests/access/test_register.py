"""The register: only a record that may stand at its place is folded."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from bailment import canonical
from bailment.access import jws
from bailment.access.chain import TYP, Link, sign_link
from bailment.access.reasons import Reason, Refused
from bailment.access.register import Register
from bailment.errors import VerificationError
from bailment.ledger.facts import Facts
from bailment.ledger.records import (
    AccessOpened,
    DelegationEnded,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    InvitationIssued,
    LogStarted,
    ModelRegistered,
    Policy,
    RecipientRegistered,
    SpecApplied,
    spec_digest,
)

from .book import DAY, PURPOSE, URL, Book, Party


@pytest.fixture
def book() -> Book:
    return Book()


def refusal(book: Book, facts: Facts, now: int = 0) -> Reason | None:
    """Why the record may not stand next; folding it must agree."""
    refused = book.register.check(facts, now or book.time)
    before = book.fold.encode()
    if refused is not None:
        with pytest.raises(VerificationError, match=refused.reason.value):
            book.register.apply(book.fold.size, facts, now or book.time)
        assert book.fold.encode() == before
        reason: Reason = refused.reason
        return reason
    return None


def granted(by: Party, link: Link) -> DelegationGranted:
    return DelegationGranted(sign_link(link, by.key, by.public.thumbprint))


@pytest.mark.parametrize(
    "kid", [None, "", 1, Party().public.thumbprint], ids=["none", "empty", "number", "other"]
)
def test_a_link_names_the_key_that_signs_it(book: Book, kid: object) -> None:
    link = Link(
        id="a" * 32,
        parent="",
        kind="recipient",
        subject="b" * 32,
        start=book.time,
        until=book.time + DAY,
        key=Party().public.jwk,
        models=("small",),
        purposes=(PURPOSE,),
    )
    header = {"typ": TYP} if kid is None else {"typ": TYP, "kid": kid}
    compact = jws.sign(header, canonical.encode(link), book.issuer.key)
    refused = book.register.check(DelegationGranted(compact), book.time)
    assert refused is not None
    assert "kid" in refused.detail


def test_a_log_starts_once(book: Book) -> None:
    again = LogStarted("other/log", URL, Party().public.jwk)
    assert refusal(book, again) is Reason.CHAIN_BROKEN
    assert Register().check(again, 0) is None
    assert Register().check(LogStarted("x", URL, {"kty": "oct"}), 0) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"token_ms": 0},
        {"token_ms": 300_001},
        {"proof_ms": 0},
        {"proof_ms": 300_001},
        {"skew_ms": -1},
        {"skew_ms": 60_001},
        {"decision_ms": 0},
        {"invitation_ms": 0},
        {"heads_ms": 0},
    ],
)
def test_a_policy_keeps_within_its_bounds(book: Book, changes: dict[str, Any]) -> None:
    assert refusal(book, SpecApplied(Policy(**changes), "tests")) is Reason.CHAIN_BROKEN


def test_a_policy_is_in_force_from_its_record_on(book: Book) -> None:
    applied = SpecApplied(policy := Policy(token_ms=60_000), "tests")
    epoch = book.register.epoch
    book.add(applied)
    assert book.register.policy == policy
    assert book.register.state.spec == spec_digest(applied)
    assert book.register.epoch == epoch + 1 == book.fold.size


@pytest.mark.parametrize(
    "model",
    [
        ModelRegistered("", 10, 1, 0, "t"),
        ModelRegistered("modèle", 10, 1, 0, "t"),
        ModelRegistered("x" * 129, 10, 1, 0, "t"),
        ModelRegistered("x", 10, 11, 0, "t"),
        ModelRegistered("x", 10, 0, 0, "t"),
        ModelRegistered("x", 0, 0, 0, "t"),
        ModelRegistered("x", -5, -6, 0, "t"),
    ],
)
def test_a_model_has_a_name_and_limits(book: Book, model: ModelRegistered) -> None:
    assert refusal(book, model) is Reason.CHAIN_BROKEN


def test_a_recipient_is_registered_once_under_a_name_of_its_own(book: Book) -> None:
    key = Party().public.jwk
    book.add(RecipientRegistered("1" * 32, "acme", "c", key, "t"))
    for name, handle in (("1" * 32, "other"), ("2" * 32, "acme")):
        again = RecipientRegistered(name, handle, "c", key, "t")
        assert refusal(book, again) is Reason.CHAIN_BROKEN
    secret = {"kty": "oct", "k": "AA"}
    assert refusal(book, RecipientRegistered("2" * 32, "b", "c", secret, "t")) is not None


def test_a_recipients_link_is_signed_by_the_issuer_for_its_registered_key(book: Book) -> None:
    party, name = Party(), book.new_id()
    book.add(RecipientRegistered(name, "acme", "c", party.public.jwk, "t"), name)
    link = Link(
        id=book.new_id(),
        parent="",
        kind="recipient",
        subject=name,
        start=book.time,
        until=book.time + DAY,
        key=party.public.jwk,
        models=("small",),
        purposes=(PURPOSE,),
    )
    for by in (party, Party()):
        assert refusal(book, granted(by, link)) is Reason.CHAIN_BROKEN
    other = msgspec.structs.replace(link, key=Party().public.jwk)
    assert refusal(book, granted(book.issuer, other)) is Reason.CHAIN_BROKEN
    unknown = msgspec.structs.replace(link, subject=book.new_id())
    assert refusal(book, granted(book.issuer, unknown)) is Reason.CHAIN_BROKEN
    assert refusal(book, granted(book.issuer, link)) is None


def test_a_link_is_signed_by_the_nearest_organisation_above(book: Book) -> None:
    recipient = book.recipient()
    sub = book.subcontractor(recipient)
    person = Link(book.new_id(), sub.its.id, "person", book.new_id(), sub.its.start, sub.its.until)
    for by in (book.issuer, recipient, Party()):
        assert refusal(book, granted(by, person)) is Reason.CHAIN_BROKEN
    assert refusal(book, granted(sub, person)) is None


def test_a_link_under_nothing_is_unknown(book: Book) -> None:
    recipient = book.recipient()
    link = Link(book.new_id(), book.new_id(), "person", book.new_id(), 1, 2)
    assert refusal(book, granted(recipient, link)) is Reason.LINK_UNKNOWN


def test_a_links_id_is_taken_once(book: Book) -> None:
    recipient = book.recipient()
    person = book.person(recipient)
    again = msgspec.structs.replace(person.its, subject=book.new_id())
    assert refusal(book, granted(recipient, again)) is Reason.CHAIN_BROKEN


def test_what_is_no_link_is_not_folded(book: Book) -> None:
    assert refusal(book, DelegationGranted("a.b.c")) is Reason.CHAIN_BROKEN


def test_nothing_is_granted_under_an_ended_or_expired_chain(book: Book) -> None:
    recipient = book.recipient()
    sub = book.subcontractor(recipient)
    link = Link(book.new_id(), sub.its.id, "person", book.new_id(), sub.its.start, sub.its.until)
    assert refusal(book, granted(sub, link), sub.its.until) is Reason.LINK_EXPIRED
    book.add(DelegationEnded(recipient.its.id, "t", "over"), recipient.its.subject)
    assert refusal(book, granted(sub, link)) is Reason.LINK_ENDED


def test_a_subject_belongs_to_whom_it_was_given(book: Book) -> None:
    recipient, other = book.recipient(), book.recipient()
    person = book.person(recipient)
    device = book.device(recipient, person)
    for subject in (person.its.subject, device.its.subject, recipient.its.subject):
        link = Link(
            book.new_id(), other.its.id, "person", subject, other.its.start, other.its.until
        )
        assert refusal(book, granted(other, link)) is Reason.CHAIN_BROKEN
    # The same organisation may give the same person another link.
    second = Link(
        book.new_id(),
        recipient.its.id,
        "person",
        person.its.subject,
        recipient.its.start,
        recipient.its.until,
    )
    assert refusal(book, granted(recipient, second)) is None
    # But not make an organisation of a person.
    sub = msgspec.structs.replace(second, kind="subcontractor", key=Party().public.jwk, depth=0)
    assert refusal(book, granted(recipient, sub)) is Reason.CHAIN_BROKEN


def test_a_device_link_is_for_the_device_that_enrolled_for_this_person(book: Book) -> None:
    recipient = book.recipient()
    maria, noor = book.person(recipient), book.person(recipient)
    device, name = book.enrol(maria)
    link = Link(
        book.new_id(),
        maria.its.id,
        "device",
        name,
        maria.its.start,
        maria.its.until,
        device.public.jwk,
    )
    wrong: list[dict[str, Any]] = [
        {"parent": noor.its.id},
        {"key": Party().public.jwk},
        {"subject": book.new_id()},
    ]
    for changes in wrong:
        other = msgspec.structs.replace(link, **changes)
        assert refusal(book, granted(recipient, other)) is Reason.CHAIN_BROKEN
    late = book.time + 900_000
    assert refusal(book, granted(recipient, link), late) is Reason.LINK_EXPIRED
    book.add(granted(recipient, link), recipient.its.subject)
    again = msgspec.structs.replace(link, id=book.new_id())
    assert refusal(book, granted(recipient, again)) is Reason.CHAIN_BROKEN


def test_a_link_is_ended_once_and_if_it_exists(book: Book) -> None:
    recipient = book.recipient()
    assert refusal(book, DelegationEnded("0" * 32, "t", "x")) is Reason.LINK_UNKNOWN
    book.add(DelegationEnded(recipient.its.id, "t", "x"))
    again = DelegationEnded(recipient.its.id, "t", "x")
    assert refusal(book, again) is Reason.CHAIN_BROKEN


def test_an_invitation_is_for_a_persons_standing_link(book: Book) -> None:
    recipient = book.recipient()
    person = book.person(recipient)
    until = book.time + 1_000
    for link in (recipient.its.id, "0" * 32, ""):
        assert refusal(book, InvitationIssued("a", link, until)) is Reason.LINK_UNKNOWN
    book.add(InvitationIssued("a", person.its.id, until))
    again = InvitationIssued("a", person.its.id, until)
    assert refusal(book, again) is Reason.CHAIN_BROKEN
    book.add(DelegationEnded(person.its.id, "t", "x"))
    assert refusal(book, InvitationIssued("b", person.its.id, until)) is Reason.LINK_ENDED


def test_an_invitation_enrols_one_device_in_its_time(book: Book) -> None:
    recipient = book.recipient()
    person = book.person(recipient)
    until = book.time + 1_000
    book.add(InvitationIssued("a", person.its.id, until))

    def enrol(invitation: str = "a", device: str = "d" * 32) -> EnrolmentRequested:
        key = Party().public.jwk
        return EnrolmentRequested(device, invitation, "n", key, "software", "p", until)

    assert refusal(book, enrol("b")) is Reason.CHAIN_BROKEN
    assert refusal(book, enrol(), until) is Reason.CHAIN_BROKEN
    assert refusal(book, enrol(), until - 1) is None
    book.add(enrol())
    assert refusal(book, enrol(device="e" * 32)) is Reason.CHAIN_BROKEN
    book.add(InvitationIssued("c", person.its.id, until))
    assert refusal(book, enrol("c")) is Reason.CHAIN_BROKEN  # the device's id is taken
    bad = msgspec.structs.replace(enrol("c", "e" * 32), key={"kty": "RSA"})
    assert refusal(book, bad) is Reason.CHAIN_BROKEN


def test_a_hold_is_on_something_and_lifted_once(book: Book) -> None:
    assert refusal(book, HoldAdded("h", "person:x", "r", "t")) is Reason.CHAIN_BROKEN
    hold = book.hold("everything")
    again = HoldAdded(hold, "everything", "r", "t")
    assert refusal(book, again) is Reason.CHAIN_BROKEN
    book.add(HoldLifted(hold, "r", "t"))
    assert refusal(book, HoldLifted(hold, "r", "t")) is Reason.CHAIN_BROKEN


def test_only_what_changes_the_register_moves_its_position(book: Book) -> None:
    recipient = book.recipient()
    device = book.device(recipient, book.person(recipient))
    epoch = book.register.epoch
    token = book.token(device)
    opened = book.open(device, token)
    assert isinstance(opened, AccessOpened)
    book.close(opened.access)
    assert book.register.epoch == epoch < book.fold.size
    book.hold("everything")
    assert book.register.epoch == book.fold.size


def test_a_path_runs_from_the_recipient_down(book: Book) -> None:
    recipient = book.recipient()
    sub = book.subcontractor(recipient)
    person = book.person(sub)
    device = book.device(sub, person)
    chain = [recipient.its, sub.its, person.its, device.its]
    assert book.register.path(device.its.id) == chain
    assert book.register.recipient_of(device.its.id) == recipient.its.subject
    assert book.register.path("0" * 32) == []
    assert book.register.recipient_of("") == ""


def test_every_kind_of_registering_record_is_folded() -> None:
    """`_write` must know each type that says it changes the register."""
    for facts in (AccessOpened, HoldAdded, SpecApplied):
        assert (facts is not AccessOpened) == facts.REGISTERS
    register = Register()

    class Strange(Facts, frozen=True):
        TYPE = "strange"
        REGISTERS = True

    with pytest.raises(VerificationError, match="nothing folds"):
        register.apply(0, Strange(), 0)


def test_a_refusal_is_a_value(book: Book) -> None:
    refused = book.register.check(HoldLifted(os.urandom(16).hex(), "r", "t"), book.time)
    assert isinstance(refused, Refused)
