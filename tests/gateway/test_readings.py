"""What goes around the gateway while it is down is found when it is up again, and found once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bailment.gateway.readings import Readings
from bailment.ledger.counters import CountersRead
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import AccessClosed, AccessOpened

from ..world import STREAM, Asked, World, answer, canned, chunk, events, world
from .scripted import Peer

pytestmark = pytest.mark.anyio

METER = """
[models.smollm2.meter]
seconds = 0.02
input = ["in"]
output = ["out"]
"""


class Counting:
    """A model's server that counts what it serves; `stuck` never comes to the end of a stream."""

    def __init__(self, lab: World) -> None:
        self.input = self.output = self.asked = 0
        self.stuck = False
        self._lab = lab
        lab.model.play = self._play

    async def _play(self, peer: Peer, asked: Asked) -> None:
        if asked.path == "/metrics":
            self.asked += 1
            await peer.answer(b"in %d\nout %d\n" % (self.input, self.output))
            return
        if self.stuck:
            first = events(canned(asked)[0])[0]
            await peer.send(STREAM, chunk(first))
            await peer.request()
        usage = json.loads(canned(asked)[0])["usage"]
        self.input += usage["prompt_tokens"]
        self.output += usage["completion_tokens"]
        await answer(peer, asked)

    async def compared(self, times: int = 2) -> None:
        """Wait until the counters were read so many times more, and compared all but once."""
        until = self.asked + times + 1
        await self._lab.until(lambda: self.asked >= until)


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=METER, start=False) as made:
        yield made


@pytest.fixture
async def server(lab: World) -> Counting:
    made = Counting(lab)
    await lab.start()
    return made


def found(lab: World) -> list[tuple[str, int, int]]:
    findings = lab.of(FindingRaised)
    return [
        (f.kind, f.numbers.get("input_tokens", 0), f.numbers.get("output_tokens", 0))
        for f in findings
    ]


async def used(lab: World, server: Counting) -> None:
    """The gateway was used, and compared."""
    device = await lab.device()
    for _ in range(3):
        assert (await device.ask()).status_code == 200
    await server.compared()
    assert found(lab) == []


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept at the end."""

    async def end(readings: Readings) -> None:
        pass

    monkeypatch.setattr(Readings, "keep", end)


async def around_while_down(lab: World, server: Counting, tokens: tuple[int, int]) -> None:
    await lab.stop()
    server.input += tokens[0]
    server.output += tokens[1]
    await lab.restart()
    await server.compared()


async def test_what_goes_around_while_the_gateway_is_down_is_found_at_the_start(
    lab: World, server: Counting
) -> None:
    await used(lab, server)
    await around_while_down(lab, server, (1000, 7))
    assert found(lab) == [("around-the-gateway", 1000, 7)]
    # And not again at the next.
    await around_while_down(lab, server, (0, 0))
    assert found(lab) == [("around-the-gateway", 1000, 7)]


async def test_a_start_after_nothing_finds_nothing(lab: World, server: Counting) -> None:
    await used(lab, server)
    await around_while_down(lab, server, (0, 0))
    await used(lab, server)
    assert found(lab) == []


async def test_what_was_logged_after_the_last_record_explains_what_was_served(
    lab: World, server: Counting, request: pytest.FixtureRequest
) -> None:
    await used(lab, server)
    await lab.until(lambda: lab.of(CountersRead))
    request.getfixturevalue("crash")
    await used(lab, server)
    kept = len(lab.of(CountersRead))
    await around_while_down(lab, server, (0, 3))
    assert len(lab.of(CountersRead)) == kept
    assert found(lab) == [("around-the-gateway", 0, 3)]


async def test_a_server_that_was_started_again_meanwhile_is_found(
    lab: World, server: Counting
) -> None:
    await used(lab, server)
    await around_while_down(lab, server, (-server.input, -server.output))
    assert [kind for kind, _, _ in found(lab)] == ["counters-reset"]


async def test_another_servers_counters_are_not_held_against_those_of_before(
    lab: World, server: Counting
) -> None:
    await used(lab, server)
    settings = lab.folder.settings
    await lab.stop()
    settings.write_text(settings.read_text().replace('output = ["out"]', 'output = ["in"]'))
    await around_while_down(lab, server, (0, 0))
    assert found(lab) == []


async def test_what_was_left_open_is_explained_by_its_ceiling(
    lab: World, server: Counting, request: pytest.FixtureRequest
) -> None:
    device = await lab.device()
    await server.compared()
    server.stuck = True
    async with device.wire(stream=True) as wire:
        await wire.until(lambda: b"data:" in wire.got)
        opened = lab.of(AccessOpened)[-1]
        lab.clock.ahead += 61_000
        await lab.until(lambda: lab.of(CountersRead)[-1].models["smollm2"].open)
        request.getfixturevalue("crash")
        lab.issuer.log.sequencer.fail(OSError("a crash"))
        with pytest.raises(Exception, match="the log failed"):
            await lab.ended()
    server.stuck = False
    await around_while_down(lab, server, (opened.ceiling, opened.ceiling))
    assert found(lab) == []
    assert lab.of(AccessClosed)[-1].reason == "the gateway restarted"
    await around_while_down(lab, server, (1, 0))
    assert found(lab) == [("around-the-gateway", 1, 0)]


async def test_an_idle_gateway_keeps_nothing_anew(lab: World, server: Counting) -> None:
    await used(lab, server)
    lab.clock.ahead += 61_000
    await server.compared()
    kept = len(lab.of(CountersRead))
    for _ in range(3):
        lab.clock.ahead += 61_000
        await server.compared()
    assert len(lab.of(CountersRead)) == kept
