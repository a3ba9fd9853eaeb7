"""An organisation begins with its link and its clients' address, or does not begin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailment.access.chain import Link, sign_link
from bailment.auditor.audit import audit_export
from bailment.errors import BailmentError
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.records import DelegationGranted, RecipientRegistered
from bailment.store.staging import Batch, CommitFailed

from ..auditor.forge import Forgery
from ..world import DAY, PURPOSE, Key, World, world

pytestmark = pytest.mark.anyio

BEGINS = (RecipientRegistered, DelegationGranted, TripwireSet)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def asked(lab: World, **changes: Any) -> dict[str, Any]:
    told = {"handle": "acme", "contact": "security@acme.example", "key": Key(lab).public.jwk}
    told |= {"models": ["smollm2"], "purposes": [PURPOSE], "until": lab.clock.now() + DAY}
    return told | changes


async def test_it_is_one_commit_and_the_log_passes_an_audit(lab: World, tmp_path: Path) -> None:
    since, before, commits = lab.size, lab.brake.before, list[int]()

    def counted(batch: Batch) -> None:
        commits.append(batch.first)
        before(batch)

    lab.brake.before = counted  # type: ignore[method-assign]
    done = await lab.act("recipient-add", **asked(lab))
    new = [(at, facts) for at, _, facts in lab.news if at >= since and isinstance(facts, BEGINS)]
    (first, *_), kinds = [at for at, _ in new], tuple(type(facts) for _, facts in new)
    assert kinds == BEGINS and [at for at, _ in new] == [first, first + 1, first + 2]
    assert not {first + 1, first + 2} & set(commits)
    assert lab.register.links[done["link"]].subject == done["recipient"]
    key = lab.issuer.secrets.log
    out = Forgery(lab.issuer.log.reader).write(tmp_path / "out", key)
    report = await asyncio.to_thread(audit_export, out, key.public)
    assert report.clean, report.findings


@pytest.mark.parametrize("kind", BEGINS)
async def test_what_is_lost_with_the_commit_may_be_said_again(lab: World, kind: type[Any]) -> None:
    told, since = asked(lab), lab.size
    lab.brake.error = CommitFailed("the power is gone")
    async with lab.brake.holding(kind.TYPE):
        asking = asyncio.create_task(lab.act("recipient-add", **told))
        await lab.brake.reach()
        lab.brake.go.set()
        with pytest.raises(BailmentError, match="the power is gone"):
            await lab.ended()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    lab.brake.error = None
    await lab.restart()
    assert not [one for one in BEGINS if lab.of(one, since)]
    assert not any(one.handle == "acme" for one in lab.register.organisations.values())
    done = await lab.act("recipient-add", **told)
    assert done["recipient"] in lab.register.state.recipients


async def test_one_that_may_not_begin_leaves_nothing_behind(lab: World) -> None:
    told, since = asked(lab), lab.size
    await lab.act("recipient-add", **told)
    size, known = lab.size, dict(lab.register.state.recipients)
    for wrong in (
        told,
        asked(lab, handle="other", key=told["key"]),
        asked(lab, handle="other", models=["unknown"]),
        asked(lab, handle="other", until=1),
    ):
        sent = await lab.console.post(
            "http://console/act", json={"act": "recipient-add", "author": "tests", **wrong}
        )
        assert sent.status_code == 403 or sent.status_code == 400, sent.text
    assert lab.size == size and lab.register.state.recipients == known
    assert len(lab.of(RecipientRegistered, since)) == 1


async def test_each_is_judged_with_the_organisation_there_and_nothing_stays(lab: World) -> None:
    register, name, key = lab.register, "a" * 32, Key(lab).public.jwk
    now = lab.issuer.log.sequencer.time
    first = RecipientRegistered(name, "acme", "security@acme.example", key, "tests")
    given = ("b" * 32, "", "recipient", name, now, now + DAY, key, ("smollm2",), (PURPOSE,))
    secrets = lab.issuer.secrets

    def link(**changes: Any) -> DelegationGranted:
        made = msgspec.structs.replace(Link(*given), **changes)
        compact = sign_link(made, secrets.issuer, secrets.issuer_key.thumbprint)
        return DelegationGranted(compact)

    wire = TripwireSet("c" * 64, "slug", f"recipient:{name}")
    assert register.check_all([first, link(), wire], now) is None
    for wrong in (
        [first, link(key=Key(lab).public.jwk), wire],
        [first, link(subject="d" * 32), wire],
        [first, link(), msgspec.structs.replace(wire, subject=f"recipient:{'d' * 32}")],
        [first, link()],
        [first, wire, link()],
        [link(), wire],
    ):
        assert register.check_all(wrong, now) is not None
    assert name not in register.state.recipients
