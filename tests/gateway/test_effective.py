"""A revocation is called effective once it is enforced: refused, cut, and closed on the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from unittest.mock import patch

import pytest

from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded

from ..world import (
    PATIENCE,
    STREAM,
    Asked,
    Device,
    Recipient,
    Wire,
    World,
    broken,
    canned,
    chunk,
    events,
    refused,
    world,
)
from .scripted import Peer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
async def lab(shared: World) -> AsyncIterator[World]:
    play = shared.model.play
    shared.model.play = endless
    yield shared
    shared.model.play = play


async def endless(peer: Peer, asked: Asked) -> None:
    await peer.send(STREAM, *map(chunk, events(canned(asked)[0])[:3]))
    await peer.gone()


async def started(wire: Wire) -> None:
    await wire.until(lambda: wire.body.count(b"\n\n") == 3)


def subjects(lab: World, device: Device) -> dict[str, str]:
    path = lab.register.path(lab.register.link_of[device.id])
    recipient, person, own = path[0], path[-2], path[-1]
    return {
        "person": f"person:{person.subject}",
        "device": f"device:{device.id}",
        "key": f"key:{device.public.thumbprint}",
        "person's link": f"link:{person.id}",
        "device's link": f"link:{own.id}",
        "recipient": f"recipient:{recipient.subject}",
        "attribute": "attribute:jurisdiction=DE",
    }


async def quiet(lab: World) -> None:
    """Wait until nothing of the tests before is open: who left is noticed a moment later."""
    async with asyncio.timeout(PATIENCE):
        while lab.issuer.log.fold.admission.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def german(recipient: Recipient) -> Device:
    return await (await recipient.person(attributes={"jurisdiction": "DE"})).device()


@pytest.mark.parametrize(
    "kind",
    ["person", "device", "key", "person's link", "device's link", "recipient", "attribute"],
)
async def test_a_hold_answers_once_everything_that_it_covers_is_closed(
    lab: World, kind: str
) -> None:
    device, other, since = await german(await lab.recipient()), await lab.device(), lab.size
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(device.wire(stream=True)) for _ in range(3)]
        beside = await stack.enter_async_context(other.wire(stream=True))
        for wire in (*wires, beside):
            await started(wire)
        done = await lab.act("hold-add", subject=subjects(lab, device)[kind], reason="a test")
        # It has answered, so this is so already:
        assert (done["effective"], done["cut"], done["left"]) == (True, 3, 0)
        assert 0 <= done["refused_after"] <= done["cut_after"]
        # An access of the test before may close only now.
        opened = {facts.access for facts in lab.of(AccessOpened, since)}
        closed = [facts for facts in lab.of(AccessClosed, since) if facts.access in opened]
        assert [(facts.outcome, facts.reason) for facts in closed] == [("cut", "held")] * 3
        assert refused(await device.ask()) == (403, "held")
        for wire in wires:
            await wire.end()
            assert broken(wire.body) == "held"
        await lab.settle()
        assert not beside.ended
    await lab.lift(done["hold"])
    lab.model.play = _json
    assert (await device.ask()).status_code == 200


async def _json(peer: Peer, asked: Asked) -> None:
    await peer.answer(canned(asked)[0], b"content-type: application/json\r\n")


@pytest.mark.parametrize("subject", ["everything", "model:smollm2", "purpose:red-team"])
async def test_a_hold_on_what_all_have_in_common_closes_all(lab: World, subject: str) -> None:
    await quiet(lab)
    devices = [await lab.device(), await german(await lab.recipient())]
    async with AsyncExitStack() as stack:
        for device in devices:
            await started(await stack.enter_async_context(device.wire(stream=True)))
        done = await lab.act("hold-add", subject=subject, reason="a test")
        assert (done["effective"], done["cut"], done["left"]) == (True, 2, 0)
        await lab.lift(done["hold"])


async def test_an_ended_link_and_a_revoked_token_answer_so_too(lab: World) -> None:
    device = await lab.device()
    path = lab.register.path(lab.register.link_of[device.id])
    async with device.wire(stream=True) as wire:
        await started(wire)
        opened = lab.of(AccessOpened)[-1]
        done = await lab.act("token-revoke", token=opened.token, reason="it leaked")
        assert (done["effective"], done["cut"]) == (True, 1)
        await wire.end()
        assert broken(wire.body) == "token-revoked"
    assert refused(await device.ask()) == (401, "token-revoked")
    await device.renew()
    async with device.wire(stream=True) as wire:
        await started(wire)
        done = await lab.act("link-end", link=path[-2].id, reason="left")
        assert (done["effective"], done["cut"]) == (True, 1)
        await wire.end()
        assert broken(wire.body) == "link-ended"


async def test_lifting_never_revives_what_was_ended(lab: World) -> None:
    device = await lab.device()
    path = lab.register.path(lab.register.link_of[device.id])
    hold = await lab.hold(f"link:{path[-2].id}")
    await lab.act("link-end", link=path[-2].id, reason="left")
    await lab.lift(hold)
    assert refused(await device.ask()) == (403, "link-ended")


async def test_what_is_not_closed_is_not_called_effective(lab: World) -> None:
    """The record is durable and everybody is refused; the stream's end is not on the record yet."""
    device = await lab.device()
    async with device.wire(stream=True) as wire:
        await started(wire)
        async with lab.brake.holding("access.closed"):
            with patch("bailment.control.effect._PATIENCE", 0.05):
                done = await lab.act(
                    "hold-add", subject=subjects(lab, device)["person"], reason="a test"
                )
            assert (done["effective"], done["cut"], done["left"]) == (False, 1, 1)
            assert done["cut_after"] is None
            await wire.end()
            assert broken(wire.body) == "held"
        await lab.until(lambda: lab.of(AccessClosed)[-1].reason == "held")


async def test_who_is_locked_is_not_still_connected_nor_missing_from_the_log(lab: World) -> None:
    """gravitational/teleport#36884: a locked agent could still connect, its session unlogged."""
    device, since = await lab.device(), lab.size
    async with device.wire(stream=True) as wire:
        await started(wire)
        await lab.hold(subjects(lab, device)["device"])
        await wire.end()
    for dialect in ("chat", "responses", "messages"):
        assert refused(await device.ask(dialect), dialect) == (403, "held")
    assert (await device.fetch()).json()["reason"] == "held"
    order = [facts for at, _, facts in lab.news if at >= since]
    hold = next(at for at, facts in enumerate(order) if isinstance(facts, HoldAdded))
    assert [type(facts) for facts in order[:hold]] == [AccessOpened]
    assert not [facts for facts in order[hold:] if isinstance(facts, AccessOpened)]
    assert ("held", 1) in lab.refusals(since)


async def test_a_session_that_was_ended_is_not_served_from_any_cache(lab: World) -> None:
    """pomerium/pomerium#6024: a deleted session was authorised from a cache."""
    lab.model.play = _json
    device = await lab.device()
    for _ in range(3):  # so that whatever may be cached is
        assert (await device.ask()).status_code == 200
    path = lab.register.path(lab.register.link_of[device.id])
    await lab.act("link-end", link=path[-2].id, reason="left")
    for _ in range(3):
        assert refused(await device.ask()) == (403, "link-ended")
    assert (await device.fetch()).json()["reason"] == "link-ended"


# Whom a hold covers is shown before


async def preview(lab: World, subject: str) -> tuple[int, dict[str, Any]]:
    value = {"act": "hold-preview", "author": "tests", "subject": subject}
    sent = await lab.console.post("http://console/act", json=value)
    return sent.status_code, sent.json()


async def test_a_hold_on_an_attribute_cuts_just_those_who_were_shown(lab: World) -> None:
    acme, beta = await lab.recipient(), await lab.recipient()
    people = [
        await acme.person("Anna", attributes={"citizen": "DE"}),
        await beta.person("Bert", attributes={"citizen": "DE"}),
        await acme.person("Cara", attributes={"citizen": "FR"}),
        await beta.person("Dora"),
    ]
    devices = [await person.device() for person in people]
    since = lab.size
    status, shown = await preview(lab, "attribute:citizen=DE")
    assert status == 200
    assert [(row["name"], row["subject"]) for row in shown["covers"]] == [
        ("Anna", f"person:{people[0].id}"),
        ("Bert", f"person:{people[1].id}"),
    ]
    assert lab.size == since  # a preview is no record
    lab.model.play = _json
    done = await lab.act(
        "hold-add", subject="attribute:citizen=DE", reason="an order", selects=shown["selects"]
    )
    assert len(lab.of(HoldAdded, since)) == 1
    answers = [(await device.ask()).status_code for device in devices]
    assert answers == [403, 403, 200, 200]
    told = (await devices[0].ask()).json()
    assert "attribute:citizen=DE" in told["detail"]
    await lab.lift(done["hold"])
    assert [(await device.ask()).status_code for device in devices] == [200] * 4


async def test_a_group_that_has_changed_since_it_was_shown_is_not_cut(lab: World) -> None:
    acme = await lab.recipient()
    await (await acme.person("Anna", attributes={"citizen": "IT"})).device()
    _, shown = await preview(lab, "attribute:citizen=IT")
    late = await (await acme.person("Bert", attributes={"citizen": "IT"})).device()
    value = {"act": "hold-add", "author": "tests", "subject": "attribute:citizen=IT"}
    value |= {"reason": "an order", "selects": shown["selects"]}
    sent = await lab.console.post("http://console/act", json=value)
    assert sent.status_code == 403
    assert "changed since" in sent.json()["detail"]
    lab.model.play = _json
    assert (await late.ask()).status_code == 200


@pytest.mark.parametrize(
    ("subject", "near"),
    [("model:smolm2", "model:smollm2"), ("attribute:citizen=XX", "attribute:citizen=")],
)
async def test_a_hold_that_can_match_nothing_is_an_error_with_near_names(
    lab: World, subject: str, near: str
) -> None:
    acme = await lab.recipient()
    await acme.person("Anna", attributes={"citizen": "ES"})
    for act in ("hold-preview", "hold-add"):
        value = {"act": act, "author": "tests", "subject": subject}
        value |= {"reason": "r"} if act == "hold-add" else {}
        sent = await lab.console.post("http://console/act", json=value)
        assert sent.status_code == 403
        assert near in sent.json()["detail"]


async def test_a_hold_on_what_was_ended_is_an_error(lab: World) -> None:
    device = await lab.device()
    path = lab.register.path(lab.register.link_of[device.id])
    await lab.act("link-end", link=path[-2].id, reason="left")
    for subject in (f"link:{path[-2].id}", f"link:{path[-1].id}", f"device:{device.id}"):
        status, told = await preview(lab, subject)
        assert (status, "nobody is left" in told["detail"]) == (403, True)


async def test_two_holds_at_once_count_each_their_own(lab: World) -> None:
    first, second = await lab.device(), await lab.device()
    async with first.wire(stream=True) as one, second.wire(stream=True) as other:
        await started(one)
        await started(other)
        holds = [
            lab.act("hold-add", subject=subjects(lab, device)["person"], reason="r")
            for device in (first, second)
        ]
        done = await asyncio.gather(*holds)
        assert [(each["cut"], each["effective"]) for each in done] == [(1, True)] * 2
