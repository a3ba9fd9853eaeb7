"""What nobody should ask, all the way: gateway, hand-over, worker, vector, window, finding.

Each is sent as the bytes of a request. Those that are no JSON are refused before anybody looks at
what they ask; the others are let in, whatever is in them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bailment.detect import drift
from bailment.detect.prompt import MAX_LINE, Asked, decode, encode
from bailment.detect.static_table import parse
from bailment.detect.wordpiece import MAX_CHARACTERS
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import AccessOpened
from bailment.spec.detection import DetectionTerms
from bailment.store.secrets import load_kek
from bailment.worker.drifting import Drifting
from bailment.worker.embedding import TABLE
from bailment.worker.vectors import Vectors
from tests.world import DIALECTS, PATIENCE, Device, World, world

from .test_drifting import KITCHEN, SECURITY, say

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

#: Between the quotes of a JSON string, as bytes; and what the gateway says to that.
BAD = {
    "a megabyte": (b"water the garden in summer " * 38_000, 200),
    "a hundred thousand tokens": (b"my mother eats " * 34_000, 200),
    "one word of a megabyte": (b"x" * 1_000_000, 200),
    "right to left, and an override": ("שלום עולם، مرحبا \u202e dlrow".encode(), 200),
    "an escaped NUL": (b"house \\u0000 and \\u0000 food", 200),
    "a lone high surrogate": (b"family \\ud800 food", 200),
    "a lone low surrogate": (b"\\udfff", 200),
    "control characters": ("".join(f"\\u{n:04x}" for n in range(32)).encode(), 200),
    "every plane": (("\U0001f600\U000e0001\u0301\ufdfa" * 3_000).encode(), 200),
    "empty": (b"", 200),
    "white space": (b" \\n\\t\\u2003\\u00a0 ", 200),
    "binary": (bytes(range(256)), 400),
    "invalid UTF-8": (b"caf\xe9 \xff\xfe \xc3\x28 \xed\xa0\x80", 400),
    "a raw NUL": (b"house \0 food", 400),
    "nothing but NUL": (bytes(100_000), 400),
}
ASKED = {
    "chat": b'{"model":"smollm2","max_tokens":16,"messages":[{"role":"user","content":"%b"}]}',
    "responses": b'{"model":"smollm2","max_output_tokens":16,"input":"%b"}',
    "messages": b'{"model":"smollm2","max_tokens":16,"messages":[{"role":"user","content":'
    b'[{"type":"text","text":"%b"}]}]}',
}
#: Of these in one dialect, those in which somebody says something.
HANDED = sum(status == 200 for _, status in BAD.values()) - 2
#: What the worker's memory may grow by while 60 MB of prompts go by, bytes.
GROWS = 16 << 20


class Beside:
    """The worker's process beside an issuer, as the issuer's console sees it."""

    def __init__(self, at: World) -> None:
        self._at, self._pid = at, 0

    async def running(self) -> None:
        """Wait until it runs, and has been handed something."""
        async with asyncio.timeout(PATIENCE):
            while (await self._told())["state"] != "running":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        self._pid = (await self._told())["pid"]
        await self.read()

    async def lives(self) -> bool:
        """Whether it is the same as at first."""
        told = await self._told()
        return (told["pid"], told["restarts"], told["state"]) == (self._pid, 0, "running")

    async def read(self) -> None:
        """Wait until it has taken all that was asked before: what comes last is kept."""
        recipient = await self._at.recipient()
        await ask(await (await recipient.person()).device(), b"hello")
        with closing(Vectors(self._at.folder.vectors, load_kek(self._at.folder))) as store:
            async with asyncio.timeout(PATIENCE):
                while not any(  # noqa: ASYNC110 - as above
                    row.name.startswith(recipient.id) for row in store.rows()
                ):
                    await asyncio.sleep(0.05)

    def resident(self) -> int:
        """Its memory, in bytes."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does nothing inside the block."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    async def _told(self) -> Any:
        return (await self._at.console.get("http://console/status")).json()["worker"]


async def ask(device: Device, text: bytes, status: int = 200) -> None:
    answered = await device.ask(body=ASKED["chat"] % text)
    assert answered.status_code == status, answered.text


def drifted(at: World) -> list[FindingRaised]:
    return [one for one in at.of(FindingRaised) if one.kind == drift.KIND]


@pytest.fixture
async def beside(tmp_path: Path) -> AsyncIterator[tuple[World, Beside]]:
    async with world(tmp_path, worker=True) as at:
        worker = Beside(at)
        await worker.running()
        yield at, worker
        assert await worker.lives()


async def answers(at: World) -> dict[tuple[str, str], tuple[int, str, bytes]]:
    """What each is answered in each dialect, and what of it the model's server was sent."""
    device, found = await at.device(), {}
    for dialect, form in ASKED.items():
        for name, (text, _) in BAD.items():
            before = len(at.model.requests)
            answered = await device.ask(dialect, body=form % text)
            said = "" if answered.status_code == 200 else answered.json()["detail"]
            sent = b"".join(one.body for one in at.model.requests[before:])
            found[dialect, name] = answered.status_code, said, sent
    return found


async def test_what_is_bad_is_answered_as_where_nobody_looks_at_prompts(tmp_path: Path) -> None:
    for name in ("without", "with"):
        (tmp_path / name).mkdir()
    async with world(tmp_path / "without") as at:
        without = await answers(at)
    async with world(tmp_path / "with", worker=True) as at:
        worker = Beside(at)
        await worker.running()
        assert await answers(at) == without
        await worker.read()
        assert await worker.lives()
    assert ASKED.keys() == DIALECTS.keys()
    for (_, name), (status, _, sent) in without.items():
        assert (status, bool(sent)) == (BAD[name][1], status == 200), name


async def test_what_is_bad_is_judged_with_the_rest(beside: tuple[World, Beside]) -> None:
    at, worker = beside
    chance, device = random.Random(9), await at.device()
    for _ in range(drift.ENOUGH + 20):
        await ask(device, say(chance, SECURITY).encode())
    since = at.size
    for text, status in BAD.values():
        await ask(device, text, status)
    async with asyncio.timeout(PATIENCE):
        while not drifted(at):
            await ask(device, say(chance, KITCHEN).encode())
            await worker.read()
    opened = [index for index, _, facts in at.news if isinstance(facts, AccessOpened)]
    bad = [index for index in opened if index >= since][: len(BAD)]
    cited = set(drifted(at)[0].records)
    # Both have words that any embedder knows.
    assert set(bad[:2]) <= cited <= set(opened)


async def test_whoever_looks_at_prompts_is_handed_little_of_a_long_one(
    beside: tuple[World, Beside],
) -> None:
    at, worker = beside
    device = await at.device()
    with worker.stopped():
        reader, writer = await asyncio.open_unix_connection(str(at.folder.prompts), limit=MAX_LINE)
        for text, status in BAD.values():
            await ask(device, text, status)
        async with asyncio.timeout(PATIENCE):
            said = [decode(await reader.readline()).text for _ in range(HANDED)]
        writer.close()
    assert max(map(len, said)) == MAX_CHARACTERS and all(one.strip() for one in said)
    assert "\0" in "".join(said)


async def test_the_memory_of_who_looks_at_prompts_is_bounded(beside: tuple[World, Beside]) -> None:
    at, worker = beside
    device, sizes = await at.device(), []
    for turn in range(3):
        for index in range(20):
            await ask(device, f"{turn} {index} ".encode() + BAD["a megabyte"][0])
        await worker.read()
        sizes.append(worker.resident())
    assert sizes[-1] - sizes[0] < GROWS


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0" * 99,
        b"\xff\xfe",
        b"{}",
        b"[]",
        b'{"text":"torn',
        b'{"index":1,"time":1,"recipient":"r","device":"d","purpose":"p","model":"m","text":7}',
        b'{"index":1e9,"time":1.5,"recipient":"r","device":"d","purpose":"p","model":"m","text":""}',
        b'{"index":1,"time":1,"recipient":"r","device":"d","purpose":"p","model":"m","text":"\xc3("}',
        b'{"index":1,"time":1,"recipient":"r","device":"d","purpose":"p","model":"m",'
        b'"text":"\\ud800"}',
        b"[" * 100_000,
    ],
    ids=lambda line: repr(line[:20]),
)
async def test_no_line_ends_who_takes_it(line: bytes, tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        drifting = Drifting(at.folder, lambda _: True, DetectionTerms, parse(TABLE.read_bytes()))
        drifting.take(line)
        drifting.keep(1)
        drifting.take(encode(Asked(1, 1, "r", "d", "p", "m", "the server")))
        (scope,) = drifting.state.scopes.values()
        assert len(scope.reference) == 1
