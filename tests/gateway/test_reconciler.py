"""A comparison that cannot be made is on the record, as is what a comparison finds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bailment.gateway.metrics import Metrics
from bailment.gateway.reconciler import Reconciler
from bailment.gateway.upstream import Upstream, UpstreamConfig
from bailment.ledger.detection_records import FindingRaised
from bailment.settings import Meter

from ..world import Asked, World, world
from .scripted import Peer

pytestmark = pytest.mark.anyio

MINUTE, HOUR = 60_000, 3_600_000


@pytest.fixture
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


class Server:
    """A model's server that exposes what a test says, and its reconciler."""

    def __init__(self, lab: World) -> None:
        self.exposed = b""
        self._lab = lab
        lab.model.play = self._play
        self._upstream = Upstream(UpstreamConfig(f"unix://{lab.server.path}"))
        meter = Meter(input=("in",), output=("out",))
        log = lab.issuer.log
        self._reconciler = Reconciler("smollm2", "unix:///m", self._upstream, meter, log, Metrics())

    async def _play(self, peer: Peer, asked: Asked) -> None:
        await peer.answer(self.exposed)

    async def compare(self, exposed: bytes, minutes: int = 0) -> list[str]:
        """Compare when so many minutes have passed; the kinds of all findings so far."""
        self.exposed = exposed
        self._lab.clock.ahead += minutes * MINUTE
        await self._reconciler.compare()
        return [finding.kind for finding in self._lab.of(FindingRaised)]

    async def close(self) -> None:
        await self._upstream.close()


@pytest.fixture
async def server(lab: World) -> AsyncIterator[Server]:
    made = Server(lab)
    yield made
    await made.close()


@pytest.mark.parametrize("exposed", [b"", b"in 1\nout NaN\n", b"in 1\nout 1e999\n"])
async def test_counters_that_cannot_be_read_for_a_minute_are_one_finding_an_hour(
    lab: World, server: Server, exposed: bytes
) -> None:
    assert await server.compare(b"in 1\nout 1\n") == []
    assert await server.compare(exposed) == []
    once = ["counters-unreadable"]
    assert await server.compare(exposed, minutes=1) == once
    assert await server.compare(exposed, minutes=58) == once
    assert await server.compare(b"in 1\nout 1\n") == once
    assert await server.compare(exposed, minutes=1) == once
    assert await server.compare(exposed, minutes=1) == once * 2
    finding = lab.of(FindingRaised)[0]
    assert finding.until - finding.since >= MINUTE
    assert finding.model == "smollm2"


async def test_a_server_that_is_down_from_the_start_is_a_finding(
    lab: World, server: Server
) -> None:
    lab.server.path.unlink()
    assert await server.compare(b"") == []
    assert await server.compare(b"", minutes=1) == ["counters-unreadable"]


async def test_counters_that_go_backwards_are_a_finding(lab: World, server: Server) -> None:
    assert await server.compare(b"in 10\nout 10\n") == []
    assert await server.compare(b"in 0\nout 0\n", minutes=1) == ["counters-reset"]
    (finding,) = lab.of(FindingRaised)
    assert finding.until - finding.since >= MINUTE
    assert await server.compare(b"in 0\nout 0\n") == ["counters-reset"]
    assert await server.compare(b"in 0\nout 1\n") == ["counters-reset", "around-the-gateway"]
