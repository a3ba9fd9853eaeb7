"""The log over HTTP: tiles and checkpoint for everybody, entries for auditors, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bailment.ledger.checkpoint import open_checkpoint
from bailment.ledger.tiles import decode_bundle, entries_path, tile_reader
from bailment.ledger.tree import Frontier, leaf_hash

from ..world import AUDITOR, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An issuer whose log has been published at least once."""
    async with world(tmp_path_factory.mktemp("lab")) as made:
        await made.device()
        async with asyncio.timeout(10):
            while (await made.http.get(made.url + "/log/checkpoint")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the publisher is a thread of its own
        yield made


async def checkpoint(lab: World) -> tuple[int, bytes]:
    """Size and root of the published log, its signature checked."""
    found = await lab.http.get(lab.url + "/log/checkpoint")
    assert found.headers["cache-control"] == "no-store"
    opened = open_checkpoint(found.content, lab.issuer.secrets.log.public)
    return opened.size, opened.root


async def bundle(lab: World, size: int, credential: str = AUDITOR) -> bytes:
    path = entries_path(0) + (f".p/{size}" if size < 256 else "")
    headers = {"authorization": f"Bearer {credential}"}
    found = await lab.http.get(f"{lab.url}/log/{path}", headers=headers)
    assert found.status_code == 200, found.text
    # Else a shared cache would hand it to whoever asks next (RFC 9111, 3.5).
    assert found.headers["cache-control"] == "private, max-age=31536000, immutable"
    return found.content


async def test_a_stranger_can_check_the_tree_and_an_auditor_the_entries(lab: World) -> None:
    size, root = await checkpoint(lab)
    tile = await lab.http.get(f"{lab.url}/log/tile/0/000.p/{size}")
    assert tile.status_code == 200
    assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert Frontier.at(size, tile_reader(size, lambda path: tile.content)).root() == root
    hashes = [leaf_hash(entry) for entry in decode_bundle(await bundle(lab, size), size)]
    assert b"".join(hashes) == tile.content


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer wrong", "Bearer ", f"Basic {AUDITOR}", AUDITOR, f"Bearer {AUDITOR}x"],
)
async def test_entries_are_for_auditors(lab: World, authorization: str | None) -> None:
    size, _ = await checkpoint(lab)
    headers = {"authorization": authorization.strip()} if authorization else {}
    found = await lab.http.get(f"{lab.url}/log/tile/entries/000.p/{size}", headers=headers)
    assert found.status_code == 401
    assert found.text.startswith("entry bundles are for auditors")
    assert found.headers["www-authenticate"] == "Bearer"


async def test_an_access_token_is_no_auditors_credential(lab: World) -> None:
    device, (size, _) = await lab.device(), await checkpoint(lab)
    headers = {"authorization": f"Bearer {device.token}"}
    found = await lab.http.get(f"{lab.url}/log/tile/entries/000.p/{size}", headers=headers)
    assert found.status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *("../bailment.toml", "..%2fbailment.toml", "%2e%2e/secrets/log.key", "tile/../../keys.db"),
        *("tile/0/../../../bailment.toml", "tile/entries/..%2f..%2f..%2fbailment.toml"),
        *("/etc/passwd", "tile//0/000", "tile/0/000%00", "tile/0/000.p/%2e%2e/%2e%2e"),
        *("tile/0/abc", "tile/0/0", "tile/-1/000", "tile/64/000", "tile/0/000.p/256", "tile/0/999"),
        *("tile/0/000.p/0", "tile/entries/000/..", "tile", "", "bodies/facts/000", "staging.db"),
        *("checkpoint/../../staging.db", "x" * 5000, "tile/0/x000", "tile/0/\u0660\u0660\u0660"),
    ],
)
async def test_nothing_but_the_log_can_be_read(lab: World, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
    request = f"GET /log/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    writer.write(f"{request}authorization: Bearer {AUDITOR}\r\n\r\n".encode())
    answered = await reader.read()
    writer.close()
    assert int(answered.split(b" ")[1]) in (400, 404, 431)
    for secret in (b"[issuer]", b"SQLite format", b"PRIVATE", b"root:"):
        assert secret not in answered


async def test_the_log_is_read_only(lab: World) -> None:
    for method in ("POST", "PUT", "DELETE"):
        found = await lab.http.request(method, lab.url + "/log/checkpoint")
        assert found.status_code == 405
