"""From a prompt in the gateway to a finding in the log, and what is left of it on the way."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from bailment.cli.app import app
from bailment.detect import drift
from bailment.detect.grouping import Recorded
from bailment.detect.prompt import Asked, decode, encode
from bailment.detect.static_table import parse
from bailment.errors import FormatError, VerificationError
from bailment.gateway.dialects.prompt import prompt_of
from bailment.gateway.metrics import Metrics
from bailment.gateway.prompts import Prompts
from bailment.ledger.detection_records import FindingJudged, FindingRaised
from bailment.spec.detection import DetectionTerms
from bailment.worker.drifting import Drifting
from bailment.worker.embedding import TABLE, load_embedder
from bailment.worker.vectors import Row, Vectors
from tests.world import PATIENCE, world

pytestmark = pytest.mark.anyio

BAD = {
    "a megabyte": "fix the server " * 70_000,
    "binary": bytes(range(256)).decode("latin-1") * 400,
    "right to left": "שלום עולם، مرحبا بالعالم " * 100,
    "empty": "",
    "lone surrogates": "\ud800\udfff" * 50,
    "one word": "x" * 1_000_000,
}
SECURITY = ("server", "attack", "network", "system", "control", "access", "computer", "security")
KITCHEN = ("eat", "water", "house", "family", "food", "garden", "summer", "mother")
KEK = bytes(32)


def say(chance: random.Random, topic: tuple[str, ...]) -> str:
    return "please tell me about the " + " and the ".join(chance.sample(topic, 4))


def asked(index: int, text: str, now: int, device: str = "d") -> bytes:
    return encode(Asked(index, now, "r", device, "defence", "m", text))


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("kind", ["minilm", "static"])
def test_no_prompt_is_too_bad_for_an_embedder(name: str, kind: str) -> None:
    embedder = load_embedder() if kind == "minilm" else parse(TABLE.read_bytes())
    if embedder.name != kind:
        pytest.skip("MiniLM is not installed: `make test` installs it")
    found = embedder.embed(prompt_of({"messages": [{"role": "user", "content": BAD[name]}]}))
    assert found and all(value == value for value in found)
    assert drift.pack(embedder.embed(BAD[name]))


def test_minilm_is_as_near_as_its_authors_say() -> None:
    model = load_embedder()
    if model.name != "minilm":
        pytest.skip("MiniLM is not installed: `make test` installs it")
    happy, dog, very, day = map(
        model.embed,
        (
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ),
    )
    near = [sum(a * b for a, b in zip(happy, one, strict=True)) for one in (dog, very, day)]
    assert near == pytest.approx([0.6946, 0.9429, 0.2569], abs=1e-4)


@pytest.mark.parametrize("data", [b"", b"{}\n", b'{"size":2,"words":1}\nab\n\x00', b"\xff" * 99])
def test_a_damaged_table_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"input": "plain"}, "plain"),
        ({"input": " \n\u2003"}, ""),
        (
            {"messages": [{"role": "user", "content": "old"}, {"role": "user", "content": "new"}]},
            "new",
        ),
        ({"system": "no", "messages": [{"role": "system", "content": "no"}]}, ""),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "yes"}]}]}, "yes"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "task"}]},
                    {"role": "user", "content": [{"type": "tool_result", "content": "no"}]},
                ]
            },
            "task",
        ),
        ({"messages": {"role": "user"}}, ""),
        ({"messages": [None, 3, {"role": "user", "content": [4, {"text": 5}]}]}, ""),
        ({"input": "\ud800"}, "?"),
    ],
)
def test_what_the_user_said_last_is_found_in_every_dialect(
    members: dict[str, Any], said: str
) -> None:
    assert prompt_of(members) == said


def test_vectors_are_sealed_and_those_of_another_name_or_key_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    store = Vectors(path, KEK)
    store.save(Row("r m p", 10, 1), b"the meaning of it", new=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(store.load()) == [("r m p", b"the meaning of it")]
    store.close()
    stored = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    assert b"the meaning" not in stored
    other = Vectors(path, bytes([1]) * 32)
    with pytest.raises(VerificationError):
        list(other.load())
    other.close()


def test_vectors_expire_and_what_is_purged_is_gone_and_stays_so(tmp_path: Path) -> None:
    store = Vectors(tmp_path / "vectors.db", KEK)
    for name, expires in (("a", 10), ("b", 20), ("c", 30)):
        store.save(Row(name, expires, 1), b"x", new=True)
    assert store.expire(11) == 1 and store.purge(["b", "never there"]) == 1
    assert not store.save(Row("b", 99, 1), b"y", new=False)
    assert [row.name for row in store.rows()] == ["c"]
    store.close()


async def test_a_purpose_that_is_left_empty_takes_none_with_it_whose_name_goes_on_from_its_own(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as at:
        folder, now, table = at.issuer.folder, int(time.time() * 1000), parse(TABLE.read_bytes())
        worker = Drifting(folder, lambda _: True, DetectionTerms, table)
        for index, (purpose, device) in enumerate((("defence", "d"), ("defence by day", "e"))):
            line = Asked(index, now, "r", device, purpose, "m", "about the server")
            worker.take(encode(line))
        worker.keep(now)
        other = Vectors(folder.vectors, at.issuer.secrets.kek)
        assert other.leave({"d"}) == 1
        for _ in range(2):
            worker.keep(now)
            assert list(worker.state.scopes) == ["r m/static defence by day"]
            assert [row.name for row in other.rows() if row.count] == ["r m/static defence by day"]
        other.close()


def test_only_what_has_the_very_name_is_purged(tmp_path: Path) -> None:
    store = Vectors(tmp_path / "vectors.db", KEK)
    for name in ("r m defence", "r m defence by day", "r m/static defence"):
        store.save(Row(name, 1, 1), b"x", new=True)
    assert store.purge(["r m defence"]) == 1
    assert [row.name for row in store.rows()] == ["r m defence by day", "r m/static defence"]
    store.close()


async def test_a_restart_forgets_nothing_and_says_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        folder, now = at.issuer.folder, int(time.time() * 1000)
        chance, table = random.Random(3), parse(TABLE.read_bytes())
        told: list[Recorded] = []

        def begin() -> Drifting:
            return Drifting(folder, lambda one: not told.append(one), DetectionTerms, table)

        first = begin()
        for index in range(150):
            first.take(asked(index, say(chance, SECURITY), now))
        first.keep(now)
        assert told == []
        again = begin()
        assert again.state.scopes == first.state.scopes
        for index in range(150, 160):
            again.take(asked(index, say(chance, KITCHEN), now, "e"))
        again.keep(now)
        assert [one.kind for one in told] == [drift.KIND]
        third = begin()
        for index in range(160, 180):
            third.take(asked(index, say(chance, KITCHEN), now, "e"))
        third.keep(now)
        assert len(told) == 1  # it goes on, and is counted
        third.take(b"no prompt")
        stored = b"".join(one.read_bytes() for one in folder.root.glob("vectors.db*"))
        assert b"please" not in stored


async def test_a_verdict_is_taken_from_the_log_also_by_a_worker_that_was_away(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as at:
        folder, now = at.issuer.folder, int(time.time() * 1000)
        chance, table = random.Random(4), parse(TABLE.read_bytes())
        told: list[Recorded] = []

        def begin() -> Drifting:
            return Drifting(folder, lambda one: not told.append(one), DetectionTerms, table)

        def strangers(worker: Drifting) -> set[int]:
            (scope,) = worker.state.scopes.values()
            return {seen.index for seen in scope.reference if seen.device == "e"}

        first = begin()
        for index in range(150):
            first.take(asked(index, say(chance, SECURITY), now))
        for index in range(150, 180):
            first.take(asked(index, say(chance, KITCHEN), now, "e"))
        first.keep(now)
        (found,) = told
        assert isinstance(found, FindingRaised) and strangers(first) == set()
        judged = FindingJudged(found.finding, "benign", "a new project", "ann")
        await at.issuer.actions.append(lambda _: judged)
        first.keep(now)
        assert strangers(first) == {*range(150, 160)}  # what was judged, and nothing since
        second = begin()
        assert strangers(second) == {*range(150, 160)}
        again = FindingJudged(found.finding, "misuse", "it was not", "ann")
        await at.issuer.actions.append(lambda _: again)
        second.keep(now)
        assert strangers(second) == set()
        third = begin()
        third.keep(now)
        assert strangers(third) == set()


async def test_vectors_of_who_is_erased_or_purged_are_forgotten_and_no_others(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as at:
        folder, now, table = at.issuer.folder, int(time.time() * 1000), parse(TABLE.read_bytes())
        people = [await (await at.recipient()).person() for _ in range(3)]
        devices = [(await person.device()).id for person in people]

        def begin() -> Drifting:
            return Drifting(folder, lambda _: True, DetectionTerms, table)

        def left(worker: Drifting) -> set[str]:
            scopes = worker.state.scopes.values()
            return {seen.device for scope in scopes for seen in drift.vectors(scope)}

        worker = begin()
        for index, device in enumerate(devices):
            worker.take(asked(index, f"about the server {index}", now, device))
        worker.keep(now)
        await at.issuer.actions.erase(people[0].id, "asked for it", "ann")
        worker.keep(now)
        assert left(worker) == {*devices[1:]}
        root = ["-d", str(folder.root)]
        purge = ["detect", "vectors", "purge", "--person", people[1].id, *root]
        purged = await asyncio.to_thread(CliRunner().invoke, app, purge)
        assert purged.exit_code == 0 and "purged 1 vectors" in purged.stderr
        assert left(begin()) == {devices[2]}  # nothing is left on disk
        worker.take(asked(9, "about the network", now, devices[2]))
        worker.keep(now)  # and nothing in the memory of who was running, which writes it
        assert left(worker) == left(begin()) == {devices[2]}
        both = CliRunner().invoke(app, ["detect", "vectors", "purge", "r", "--person", "x", *root])
        assert both.exit_code == 1


async def test_a_recipient_that_was_purged_is_learnt_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        now, table = int(time.time() * 1000), parse(TABLE.read_bytes())
        worker = Drifting(at.issuer.folder, lambda _: True, DetectionTerms, table)
        worker.take(asked(1, "about the server", now))
        worker.keep(now)
        other = Vectors(at.issuer.folder.vectors, at.issuer.secrets.kek)
        assert other.purge([row.name for row in other.rows() if row.count]) == 1
        worker.keep(now)
        assert worker.state.scopes == {}
        other.close()


class Said:
    """As much of an access as what is handed over needs."""

    def __init__(self, index: int) -> None:
        self.index, self.time, self.recipient = index, 1, "r"
        self.request = SimpleNamespace(
            model="m", token=SimpleNamespace(device="d", purpose="defence")
        )


async def test_prompts_wait_in_memory_for_a_dead_worker_and_what_finds_no_room_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bailment.gateway.prompts.ROOM", 3)
    with TemporaryDirectory() as folder:
        metrics, path = Metrics(), Path(folder) / "prompts.sock"
        prompts = Prompts(path, metrics)
        prompts.offer(Said(0), "before it listens nothing is kept")  # type: ignore[arg-type]
        await prompts.start()
        assert path.stat().st_mode & 0o777 == 0o600
        for index in range(1, 6):
            prompts.offer(Said(index), f"prompt {index}")  # type: ignore[arg-type]
        prompts.offer(Said(6), "")  # type: ignore[arg-type]
        for turn in range(2):  # the first is gone again: whoever comes next is handed what comes
            reader, writer = await asyncio.open_unix_connection(str(path))
            async with asyncio.timeout(PATIENCE):
                if turn == 0:
                    lines = [decode(await reader.readline()) for _ in range(3)]
                    assert [one.text for one in lines] == ["prompt 3", "prompt 4", "prompt 5"]
                else:
                    await asyncio.sleep(0)
                    prompts.offer(Said(7), "prompt 7")  # type: ignore[arg-type]
                    assert decode(await reader.readline()).index == 7
            writer.close()
        exposed = metrics.expose()
        assert b'bailment_prompts_total{outcome="dropped"} 2.0' in exposed
        await prompts.stop()
        assert not path.exists()


async def test_a_prompt_that_one_worker_did_not_take_is_handed_to_the_next() -> None:
    with TemporaryDirectory() as folder:
        metrics, path = Metrics(), Path(folder) / "prompts.sock"
        prompts = Prompts(path, metrics)
        await prompts.start()
        prompts.offer(Said(1), "x" * 5_000_000)  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE):
            reader, slow = await asyncio.open_unix_connection(str(path))
            await reader.readexactly(1)  # it is being handed out, and most of it has no room
            prompts.offer(Said(2), "prompt 2")  # type: ignore[arg-type]
            reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 24)
            assert [decode(await reader.readline()).index for _ in range(2)] == [1, 2]
        assert b'outcome="dropped"' not in metrics.expose()
        for one in (slow, writer):
            one.close()
        await prompts.stop()


async def test_of_several_that_connect_at_once_all_but_the_last_are_let_go() -> None:
    with TemporaryDirectory() as folder, ExitStack() as opened:
        path = Path(folder) / "prompts.sock"
        prompts = Prompts(path, Metrics())
        await prompts.start()
        peers = [opened.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for one in peers:
            one.connect(str(path))
            one.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            assert [await loop.sock_recv(one, 1) for one in peers[:-1]] == [b"", b""]
            prompts.offer(Said(1), "prompt")  # type: ignore[arg-type]
            assert await loop.sock_recv(peers[-1], 1)
        await prompts.stop()


async def test_a_prompt_waits_for_a_dead_worker_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bailment.gateway.prompts.KEPT", 0.01)
    with TemporaryDirectory() as folder:
        metrics = Metrics()
        prompts = Prompts(Path(folder) / "prompts.sock", metrics)
        await prompts.start()
        for index in range(3):
            prompts.offer(Said(index), f"prompt {index}")  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE):
            while b'outcome="dropped"} 3.0' not in metrics.expose():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await prompts.stop()


async def test_what_a_device_asks_reaches_the_worker(tmp_path: Path) -> None:
    async with world(tmp_path, worker=True) as at:
        device = await at.device()
        assert (await device.ask()).status_code == 200
        async with asyncio.timeout(PATIENCE):
            while not await at.metric('bailment_prompts_total{outcome="handed"}'):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_what_is_kept_is_shown_and_purged_on_the_command_line(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        root = ["-d", str(at.issuer.folder.root)]
        store = Vectors(at.issuer.folder.vectors, at.issuer.secrets.kek)
        store.save(Row("r m/static on call", 2_000_000_000_000, 7), b"x", new=True)
        run = CliRunner()
        shown = run.invoke(app, ["detect", "vectors", "show", "--json", *root])
        (row,) = json.loads(shown.stdout)
        assert (row["recipient"], row["purpose"], row["vectors"]) == ("r", "on call", 7)
        assert run.invoke(app, ["detect", "vectors", "purge", "nobody", *root]).exit_code == 1
        assert run.invoke(app, ["detect", "vectors", "purge", "r", *root]).exit_code == 0
        assert store.rows() == []
        store.close()
