"""A report about several accounts goes into the log as a whole, or not at all."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailment.auditor.audit import audit_export
from bailment.errors import BailmentError
from bailment.ledger.evidence_records import EvidenceReceived
from bailment.ledger.leaf import Leaf
from bailment.store.sequencer import News
from bailment.store.staging import Batch, CommitFailed

from ..assurance.reports import data, finding
from ..auditor.forge import Forgery
from ..world import world
from .test_assurance import LONE, Acme, Lab

pytestmark = pytest.mark.anyio

ACCOUNTS = ["111111111111", "222222222222", "333333333333"]
KIND = b"  cloud: {adapter: prowler-ocsf/1, class: machine, max_age: P7D, scope: account}\n"
TEXT = LONE.replace(b"tiers:\n", KIND + b"tiers:\n", 1)
RECEIVED = f'"{EvidenceReceived.TYPE}"'.encode()


@pytest.fixture
async def acme(tmp_path: Path) -> AsyncIterator[Acme]:
    async with world(tmp_path) as made:
        lab = Lab(made)
        await lab.prepare(TEXT)
        recipient = await made.recipient()
        await made.act("enclave-declare", recipient=recipient.id, account=ACCOUNTS)
        yield Acme(lab, recipient, "")


def report(acme: Acme) -> bytes:
    seconds = acme.now // 1000
    scan = secrets.token_hex(8)
    return data([finding(account=one, scan=scan, time=seconds) for one in ACCOUNTS])


def scopes(acme: Acme) -> list[str]:
    return [facts.item["scope"] for facts in acme.lab.world.of(EvidenceReceived)]


async def test_its_items_are_one_commit_and_an_ordinary_log(acme: Acme, tmp_path: Path) -> None:
    commits: list[list[tuple[int, Leaf]]] = []

    def follow(news: News) -> None:
        commits.append([(at, leaf) for at, leaf, _ in news if leaf.type == EvidenceReceived.TYPE])

    acme.lab.world.issuer.log.sequencer.listeners.append(follow)
    sent = await acme.hand("cloud", report(acme))
    assert (sent.status_code, len(sent.json()["items"])) == (201, 3)
    (together,) = [commit for commit in commits if commit]
    first = together[0][0]
    assert [at for at, _ in together] == [first, first + 1, first + 2]
    # Each names the one before it as the last that changed the register.
    assert [leaf.register for _, leaf in together[1:]] == [first + 1, first + 2]
    await acme.lab.world.restart()  # which folds it all again
    assert scopes(acme) == ACCOUNTS
    issuer = acme.lab.world.issuer
    signer = issuer.secrets.log
    audited = audit_export(
        Forgery(issuer.log.reader).write(tmp_path / "out", signer), signer.public
    )
    assert audited.clean, audited.findings


async def test_a_crash_leaves_all_of_it_or_nothing(acme: Acme) -> None:
    lab, body = acme.lab.world, report(acme)
    before, seen = lab.brake.before, 0

    def crash(batch: Batch) -> None:
        """With the second commit from the first that holds an item."""
        nonlocal seen
        seen += bool(seen) or RECEIVED in batch.leaves
        if seen == 2:
            raise CommitFailed("the power is gone")
        before(batch)

    lab.brake.before = crash  # type: ignore[method-assign]
    asking = asyncio.create_task(acme.hand("cloud", body))
    with pytest.raises(BailmentError, match="the power is gone"):
        await lab.ended()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    lab.brake.before = before  # type: ignore[method-assign]
    await lab.restart()
    assert scopes(acme) == ACCOUNTS
    again = await acme.hand("cloud", body)
    assert (again.status_code, again.json()["reason"]) == (422, "evidence-reused")


async def test_what_was_lost_with_the_commit_may_be_handed_in_again(acme: Acme) -> None:
    lab, body = acme.lab.world, report(acme)
    lab.brake.error = CommitFailed("the power is gone")
    async with lab.brake.holding(EvidenceReceived.TYPE):
        asking = asyncio.create_task(acme.hand("cloud", body))
        await lab.brake.reach()
        lab.brake.go.set()
        with pytest.raises(BailmentError, match="the power is gone"):
            await lab.ended()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    lab.brake.error = None
    await lab.restart()
    assert scopes(acme) == []
    assert (await acme.hand("cloud", body)).status_code == 201
    assert scopes(acme) == ACCOUNTS


async def test_an_item_that_may_not_be_there_keeps_the_others_out(acme: Acme) -> None:
    world = acme.lab.world
    body = report(acme)
    register = world.register
    check = register.check

    def third_refused(facts: object, now: int) -> object:
        if isinstance(facts, EvidenceReceived) and facts.item["scope"] == ACCOUNTS[2]:
            return check(EvidenceReceived("nobody", facts.item, ""), now)
        return check(facts, now)

    register.check = third_refused
    sent = await acme.hand("cloud", body)
    assert (sent.status_code, sent.json()["reason"]) == (403, "chain-broken")
    register.check = check
    assert scopes(acme) == []
    assert (await acme.hand("cloud", body)).status_code == 201
