"""What an operator who holds the log's key could do, each with the name an audit has for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment import canonical
from bailment.access.proof import make_proof
from bailment.auditor.findings import Kind
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.note import Signer
from bailment.ledger.records import (
    RESTARTED,
    AccessClosed,
    AccessOpened,
    AccessRefused,
    DelegationEnded,
    DelegationGranted,
    EnrolmentRequested,
    HoldAdded,
    HoldLifted,
    LogHeads,
    LogStarted,
    Policy,
    SpecApplied,
    TokenIssued,
)

from .conftest import Past
from .forge import Forgery, Row, write_export
from .world import MODELS, START, TOKEN_FORM, URL

#: Changes a forgery and returns the index of the first record that an audit must name.
Change = Callable[[Forgery, Past], int]
#: Changes the files of an export.
Tamper = Callable[[Path, Past], None]

CHANGES: list[tuple[Kind, Change]] = []
TAMPERS: list[tuple[Kind, Tamper]] = []


def change(kind: Kind) -> Callable[[Change], Change]:
    def register(function: Change) -> Change:
        CHANGES.append((kind, function))
        return function

    return register


def tamper(kind: Kind) -> Callable[[Tamper], Tamper]:
    def register(function: Tamper) -> Tamper:
        TAMPERS.append((kind, function))
        return function

    return register


def appended(forgery: Forgery, past: Past, facts: Facts, slot: str = "") -> int:
    """Append a record at the end of the log; its index."""
    recipient = past.lived.recipients.get(slot) or forgery.rows[0].was.recipient
    was = Leaf(facts.TYPE, past.world.now, recipient, 0, "", "", 0, "", 1)
    forgery.rows.append(Row(was, facts, bytes(16)))
    return len(forgery.rows) - 1


def opened(forgery: Forgery, past: Past, name: str, model: str = "birch", **more: object) -> int:
    """Append an access that the device did ask for."""
    device = past.lived.devices[name]
    facts = past.world.facts(device, model, **more)  # type: ignore[arg-type]
    return appended(forgery, past, facts, device.person.party.name)


def _device(forgery: Forgery, at: int) -> str:
    facts = forgery.rows[at].facts
    return facts.device if isinstance(facts, TokenIssued) else ""


def last(forgery: Forgery, kind: type[Facts]) -> int:
    return list(forgery.of(kind))[-1]


# Accesses that should not have been


@change(Kind.ILLEGAL_ACCESS)
def a_model_outside_the_chain(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "cyd", "aspen")


@change(Kind.ILLEGAL_ACCESS)
def a_generation_recorded_as_a_listing(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "cyd", "", action="list-models", ceiling=0)


@change(Kind.ILLEGAL_ACCESS)
def a_generation_that_reserves_nothing(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "ada", ceiling=0)


@change(Kind.ILLEGAL_ACCESS)
def a_generation_by_a_route_that_there_is_not(forgery: Forgery, past: Past) -> int:
    device, body = past.lived.devices["ada"], b"{}"
    path = "/v1/embeddings"
    proof = past.world.proof(device, body, token=device.token, path=path)
    digest = sha256(body).hexdigest()
    return opened(forgery, past, "ada", path=path, proof=proof, body=digest)


@change(Kind.ILLEGAL_ACCESS)
def an_access_by_somebody_whose_link_was_ended(forgery: Forgery, past: Past) -> int:
    at = forgery.first(DelegationEnded) + 1
    with past.world.at(forgery.rows[at].was.time):
        opened(forgery, past, "bob")
    forgery.rows.insert(at, forgery.rows.pop())
    return at


@change(Kind.ILLEGAL_ACCESS)
def an_access_from_elsewhere(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "eve", networks=())


@change(Kind.HOLD_IGNORED)
def an_access_under_a_hold(forgery: Forgery, past: Past) -> int:
    person = past.lived.people["ada"].id
    appended(forgery, past, HoldAdded(past.world.id(), f"person:{person}", "now", "me"), "acme")
    return opened(forgery, past, "ada")


@change(Kind.REUSED_PROOF)
def a_proof_used_twice(forgery: Forgery, past: Past) -> int:
    facts = forgery.rows[last(forgery, AccessOpened)].facts
    again = msgspec.structs.replace(facts, access=past.world.id())
    return appended(forgery, past, again, "cove")


@change(Kind.OVERSPENT_BUDGET)
def more_than_the_budget(forgery: Forgery, past: Past) -> int:
    opened(forgery, past, "ada", ceiling=1_600)
    return opened(forgery, past, "ada", ceiling=1_600)


@change(Kind.STALE_DECISION)
def a_decision_of_another_moment(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "ada", decided=past.world.now - 3_000)


@change(Kind.REPEATED_OPEN)
def an_access_opened_twice(forgery: Forgery, past: Past) -> int:
    access = past.world.id()
    opened(forgery, past, "ada", access=access)
    return opened(forgery, past, "ada", access=access)


# Proofs


@change(Kind.ALTERED_BODY)
def another_body_than_the_client_signed(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessOpened)
    forgery.rows[at].change(body="ab" * 32)
    return at


@change(Kind.BAD_PROOF)
def a_proof_that_the_operator_made(forgery: Forgery, past: Past) -> int:
    key, device = past.world.issuer, past.lived.devices["ada"]
    proof = make_proof(
        key.private, key.public, method="POST", target=f"{URL}/v1/messages",
        body_sha256=bytes(32), token=device.token, nonce=None, jti=past.world.id(),
        now_s=past.world.now // 1000,
    )  # fmt: skip
    return opened(forgery, past, "ada", proof=proof, body=bytes(32).hex())


@change(Kind.BAD_PROOF)
def a_proof_whose_signature_was_made_up(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessOpened)
    facts = forgery.rows[at].facts
    assert isinstance(facts, AccessOpened)
    signed, _, signature = facts.proof.rpartition(".")
    forgery.rows[at].change(proof=f"{signed}.{signature[:40][::-1]}{signature[40:]}")
    return at


@change(Kind.BAD_PROOF)
def a_proof_for_another_path(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessOpened)
    forgery.rows[at].change(path="/v1/responses")
    return at


@change(Kind.BAD_PROOF)
def a_proof_that_is_none(forgery: Forgery, past: Past) -> int:
    return opened(forgery, past, "ada", proof="e30.e30.e30")


@change(Kind.BAD_PROOF)
def a_token_that_its_device_did_not_ask_for(forgery: Forgery, past: Past) -> int:
    at = last(forgery, TokenIssued)
    with past.world.at(forgery.rows[at].was.time):
        proof = past.world.proof(past.lived.devices["bob"], TOKEN_FORM, path="/oauth/token")
    forgery.rows[at].change(proof=proof)
    return at


@change(Kind.BAD_PROOF)
def an_enrolment_by_another_key(forgery: Forgery, past: Past) -> int:
    at = last(forgery, EnrolmentRequested)
    device = past.lived.devices["ada"]
    forgery.rows[at].change(proof=past.world.proof(device, b"{}", path="/enrol/requests"))
    return at


@change(Kind.STALE_PROOF)
def a_proof_of_two_minutes_ago(forgery: Forgery, past: Past) -> int:
    device, body = past.lived.devices["ada"], b"{}"
    then = past.world.now // 1000 - 120
    proof = past.world.proof(device, body, token=device.token, now_s=then)
    return opened(forgery, past, "ada", proof=proof, body=sha256(body).hexdigest())


# Tokens


@change(Kind.ILLEGAL_TOKEN)
def a_token_that_lives_ten_minutes(forgery: Forgery, past: Past) -> int:
    at = last(forgery, TokenIssued)
    facts = forgery.rows[at].facts
    assert isinstance(facts, TokenIssued)
    forgery.rows[at].change(until=facts.issued + 600_000)
    return at


@change(Kind.ILLEGAL_TOKEN)
def a_token_in_another_persons_name(forgery: Forgery, past: Past) -> int:
    at = last(forgery, TokenIssued)
    forgery.rows[at].change(person=past.lived.people["bob"].id)
    return at


@change(Kind.ILLEGAL_TOKEN)
def a_token_asked_for_from_elsewhere(forgery: Forgery, past: Past) -> int:
    token = past.lived.devices["eve"].issued
    at = forgery.first(TokenIssued, lambda facts: facts == token)
    forgery.rows[at].change(networks=())
    return at


@change(Kind.ILLEGAL_TOKEN)
def a_token_for_a_model_outside_the_chain(forgery: Forgery, past: Past) -> int:
    at = last(forgery, TokenIssued)
    forgery.rows[at].change(models=(*MODELS, "oak"))
    return at


@change(Kind.ILLEGAL_TOKEN)
def a_token_off_its_devices_line(forgery: Forgery, past: Past) -> int:
    """A second holder of a software key was served, and not noticed."""
    at = last(forgery, TokenIssued)
    facts = forgery.rows[at].facts
    assert isinstance(facts, TokenIssued)
    mine = [one for one in forgery.of(TokenIssued) if _device(forgery, one) == facts.device]
    first = forgery.rows[mine[0]].facts
    assert isinstance(first, TokenIssued)
    forgery.rows[at].change(previous=first.ratchet)
    return at


@change(Kind.UNLOGGED_TOKEN)
def a_token_without_a_record(forgery: Forgery, past: Past) -> int:
    at = last(forgery, TokenIssued)
    facts = forgery.rows.pop(at).facts
    assert isinstance(facts, TokenIssued)
    return forgery.first(AccessOpened, lambda access: access.token == facts.token)


# How accesses end


@change(Kind.UNPAIRED_CLOSE)
def a_close_before_its_open(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    first, second = forgery.rows[at - 1], forgery.rows[at]
    first.was, second.was = (
        msgspec.structs.replace(first.was, time=second.was.time),
        msgspec.structs.replace(second.was, time=first.was.time),
    )
    forgery.rows[at - 1 : at + 1] = [second, first]
    return at - 1


@change(Kind.UNPAIRED_CLOSE)
def an_access_closed_twice(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    forgery.rows.insert(at, forgery.rows[at])
    return at + 1


@change(Kind.IMPLAUSIBLE_CLOSE)
def an_outcome_that_there_is_not(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    forgery.rows[at].change(outcome="fine")
    return at


@change(Kind.IMPLAUSIBLE_CLOSE)
def usage_that_gives_budget_back(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    forgery.rows[at].change(input=-10_000)
    return at


@change(Kind.IMPLAUSIBLE_CLOSE)
def more_used_than_reserved(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    forgery.rows[at].change(output=200)
    return at


@change(Kind.IMPLAUSIBLE_CLOSE)
def a_fortune_used_and_called_unmeasured(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    forgery.rows[at].change(output=1_000_000, measured=False)
    return at


def flown(forgery: Forgery, past: Past, *, ago: int, lifted: int = 0, until: int = 0) -> int:
    """An access that completes so long after a hold on its person, maybe lifted meanwhile."""
    world, at = past.world, past.world.now
    hold = HoldAdded(world.id(), f"person:{past.lived.people['ada'].id}", "now", "me", until)
    access = world.id()
    opened(forgery, past, "ada", access=access)
    appended(forgery, past, hold, "acme")
    if lifted:
        with world.at(at + lifted):
            appended(forgery, past, HoldLifted(hold.hold, "over", "me"), "acme")
    with world.at(at + ago):
        return appended(forgery, past, AccessClosed(access, "complete", 200, 1, 1, True), "acme")


@change(Kind.LATE_CUT)
def a_hold_that_did_not_cut(forgery: Forgery, past: Past) -> int:
    return flown(forgery, past, ago=2_001)


@change(Kind.LATE_CUT)
def a_hold_that_did_not_cut_and_was_lifted(forgery: Forgery, past: Past) -> int:
    return flown(forgery, past, ago=4_000, lifted=3_000)


@change(Kind.LATE_CUT)
def a_link_that_was_ended_and_did_not_cut(forgery: Forgery, past: Past) -> int:
    world, access = past.world, past.world.id()
    opened(forgery, past, "ada", access=access)
    ended = DelegationEnded(past.lived.people["ada"].link, "me", "left")
    appended(forgery, past, ended, "acme")
    with world.at(world.now + 3_000):
        return appended(forgery, past, AccessClosed(access, "complete", 200, 1, 1, True), "acme")


@change(Kind.LEFT_OPEN)
def an_orphan_that_nobody_closed(forgery: Forgery, past: Past) -> int:
    orphan = past.lived.orphans[1]
    at = forgery.first(AccessClosed, lambda facts: facts.access == orphan)
    assert forgery.rows[at].facts == AccessClosed(orphan, "aborted", reason=RESTARTED)
    del forgery.rows[at]
    return next(index for index in forgery.of(AccessOpened) if index >= at)


# The register


@change(Kind.BAD_LINK)
def a_link_signed_by_the_wrong_party(forgery: Forgery, past: Past) -> int:
    world, above = past.world, past.lived.people["ada"].party
    link = world.sign(world.issuer, "person", world.id(), None, id=world.id(), parent=above.link)
    return appended(forgery, past, DelegationGranted(link), "acme")


@change(Kind.BAD_LINK)
def a_link_that_widens(forgery: Forgery, past: Past) -> int:
    world, above = past.world, past.lived.people["cyd"].party
    link = world.sign(
        above, "person", world.id(), None, id=world.id(), parent=above.link, models=("cedar",)
    )
    return appended(forgery, past, DelegationGranted(link), "brook")


@change(Kind.BAD_RECORD)
def a_policy_under_which_proofs_never_age(forgery: Forgery, past: Past) -> int:
    return appended(forgery, past, SpecApplied(Policy(proof_ms=10**12), "me"))


@change(Kind.BAD_RECORD)
def a_hold_lifted_that_there_is_not(forgery: Forgery, past: Past) -> int:
    return appended(forgery, past, HoldLifted(past.world.id(), "over", "me"))


@change(Kind.BAD_RECORD)
def a_log_that_says_it_is_another(forgery: Forgery, past: Past) -> int:
    forgery.rows[forgery.first(LogStarted)].change(origin="other.example/log")
    return 0


@change(Kind.REGISTER_MISMATCH)
def a_decision_that_saw_another_register(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessOpened)
    forgery.rows[at].leaf["register"] = 7
    return at


# The log's own structure


@change(Kind.ALTERED_FACTS)
def facts_that_were_not_committed_to(forgery: Forgery, past: Past) -> int:
    at = forgery.first(AccessRefused)
    other = msgspec.structs.replace(forgery.rows[at].facts, count=7)
    forgery.rows[at].body = forgery.rows[at].salt + canonical.encode(other)
    return at


@change(Kind.WITHHELD_FACTS)
def facts_that_are_not_shown(forgery: Forgery, past: Past) -> int:
    at = forgery.first(AccessRefused)
    forgery.rows[at].body = b""
    return at


@change(Kind.MALFORMED_RECORD)
def facts_that_say_a_thing_twice(forgery: Forgery, past: Past) -> int:
    at = forgery.first(AccessRefused)
    data = canonical.encode(forgery.rows[at].facts)
    forgery.rows[at].committed = forgery.rows[at].salt + b'{"count":1,' + data[1:]
    return at


@change(Kind.TIME_BACKWARDS)
def a_record_dated_back(forgery: Forgery, past: Past) -> int:
    at = forgery.first(AccessRefused)
    forgery.rows[at].leaf["time"] = START
    return at


@change(Kind.WRONG_SLOT)
def an_access_hidden_from_its_recipient(forgery: Forgery, past: Past) -> int:
    at = last(forgery, AccessClosed)
    assert isinstance(forgery.rows[at - 1].facts, AccessOpened)
    for row in forgery.rows[at - 1 : at + 1]:
        row.leaf["recipient"] = past.lived.recipients["acme"]
    return at - 1


@change(Kind.WRONG_SLOT)
def a_hold_hidden_from_its_recipient(forgery: Forgery, past: Past) -> int:
    at = forgery.first(HoldAdded)
    forgery.rows[at].leaf["recipient"] = forgery.rows[0].was.recipient
    return at


@change(Kind.WRONG_HEADS)
def heads_that_are_not_the_slots(forgery: Forgery, past: Past) -> int:
    at = last(forgery, LogHeads)
    forgery.rows[at].leaf["heads"] = "ab" * 32
    return at


@change(Kind.LATE_HEADS)
def heads_that_were_left_out(forgery: Forgery, past: Past) -> int:
    at = list(forgery.of(LogHeads))[4]
    del forgery.rows[at]
    return at


@tamper(Kind.SLOT_BROKEN)
def a_record_removed_and_nothing_else(out: Path, past: Past) -> None:
    forgery = Forgery(past.reader())
    rows = list(forgery.entries())
    del rows[forgery.first(AccessRefused)]
    shutil.rmtree(out)
    write_export(out, rows, past.world.secrets.log)


@tamper(Kind.BAD_SIGNATURE)
def another_key_signed(out: Path, past: Past) -> None:
    signer = Signer(past.key.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = sign_checkpoint(_head(out, past), signer)
    (out / "checkpoint").write_bytes(note)


@tamper(Kind.WRONG_ROOT)
def another_root_signed(out: Path, past: Past) -> None:
    head = _head(out, past)
    note = sign_checkpoint(Checkpoint(head.origin, head.size, bytes(32)), past.world.secrets.log)
    (out / "checkpoint").write_bytes(note)


@tamper(Kind.WRONG_TILE)
def another_hash_tile(out: Path, past: Past) -> None:
    path = out / "tile" / "0" / "001"
    path.write_bytes(bytes(32) + path.read_bytes()[32:])


@tamper(Kind.WRONG_TILE)
def a_hash_tile_left_out(out: Path, past: Past) -> None:
    (out / "tile" / "1" / "000.p" / "2").unlink()


def _head(out: Path, past: Past) -> Checkpoint:
    return open_checkpoint((out / "checkpoint").read_bytes(), past.key)
