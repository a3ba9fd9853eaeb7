"""What is wrong with a set-up is said before anything starts, by the name it has there."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from bailment.cli.serve import initialise, opened, run, serve
from bailment.errors import ConfigurationError
from bailment.settings import Limits, Settings, load_settings
from bailment.store.folder import Folder, FolderLock

from .gateway.scripted import certificate

PLAIN = """
[issuer]
origin = "lab.example/log"
url = "http://127.0.0.1:8443"
contact = "security@lab.example"
"""
MODEL = """
[models.small]
url = "unix:///run/model.sock"
context = 4096
output = 512
"""


def load(folder: Path, text: str) -> Settings:
    path = folder / "bailment.toml"
    path.write_text(text)
    return load_settings(path)


def test_a_file_with_no_more_than_needed_is_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, PLAIN + MODEL)
    assert settings.listen.host == "127.0.0.1"
    assert settings.limits == Limits()
    assert settings.models["small"].context == 4096


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[limit]\nbody_bytes = 1", "`limit` is unknown in `the top level`: misspelt?"),
        ("[limits]\nbody_byte = 1", "`body_byte` is unknown in `limits`: misspelt?"),
        ("[listen]\nHost = 'x'", "`Host` is unknown in `listen`: misspelt?"),
        (MODEL + "keyfile = 'x'", "`keyfile` is unknown in `models"),
        (MODEL + "meter = { second = 1 }", "`second` is unknown in `models"),
        ("[limits]\nbody_bytes = 'many'", "limits.body_bytes"),
        ("[limits]\nbody_bytes = 0", "limits.body_bytes"),
        ("[limits]\nbody_seconds = -1", "limits.body_seconds"),
        ("[limits]\ndrain_seconds = nan", "limits.drain_seconds"),
        ("[limits]\nheader_seconds = inf", "limits.header_seconds"),
        ("[limits]\nconnections = true", "limits.connections"),
        (MODEL.replace("512", "5000"), "models.small.output must lie between 1 and"),
        (MODEL.replace("512", "0"), "models.small.output must lie between 1 and"),
        (MODEL.replace("context = 4096\n", ""), "`context`"),
        (MODEL + "pool = 0", "pool"),
        (
            MODEL + MODEL.replace("small", "canary") + "canary = true",
            "models.canary is a canary and has the server of models.small",
        ),
        (MODEL + "meter = { seconds = 0 }", "meter.seconds"),
        ("[listen]\nhost = '0.0.0.0'", "listen.host `0.0.0.0` is not loopback and there is no TLS"),
        ("[listen]\nhost = '192.0.2.1'", "is not loopback and there is no TLS"),
        ("[listen]\nhost = 'gateway.example'", "is not loopback and there is no TLS"),
        ("[listen]\nhost = '::'", "is not loopback and there is no TLS"),
        ("[listen]\ncertificate = 'a.pem'", "listen.certificate and listen.key go together"),
        ("[listen]\nkey = 'a.pem'", "listen.certificate and listen.key go together"),
        ("[listen]\nproxies = ['here']", "`here` is no network"),
        ("[listen]\nproxies = ['10.0.0.1/8']", "`10.0.0.1/8` is no network"),
        ("[listen]\nport = 0", "listen.port"),
        ("[listen]\nport = 70000", "listen.port"),
        ("[auditors]\nann = 'secret'", "auditors.ann is not a SHA-256 in hex"),
        ("[limits]\nbody_bytes = 1\nbody_bytes = 2", "bailment.toml"),
        ("[limits", "bailment.toml"),
        ("\x00", "bailment.toml"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, PLAIN + text)
    assert words in str(raised.value)
    assert "bailment.toml" in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "gateway", "ftp://gateway", "http://", "http://gateway/v1", "http://gateway?a=b"),
        *("http://gateway#a", "http://gateway:x", "http://gateway:0"),
    ],
)
def test_the_url_is_a_scheme_and_a_host(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"issuer\.url must be"):
        load(tmp_path, PLAIN.replace("http://127.0.0.1:8443", url))


@pytest.mark.parametrize("missing", ["origin", "url", "contact"])
def test_what_is_needed_is_named(tmp_path: Path, missing: str) -> None:
    lines = [line for line in PLAIN.splitlines() if not line.startswith(missing)]
    with pytest.raises(ConfigurationError, match=f"`{missing}`"):
        load(tmp_path, "\n".join(lines))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*bailment\.toml"):
        load_settings(tmp_path / "bailment.toml")
    (tmp_path / "bailment.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"bailment\.toml"):
        load_settings(tmp_path / "bailment.toml")


@pytest.mark.parametrize(
    "text",
    [
        "[listen]\nhost = '127.0.0.2'",
        "[listen]\nhost = '::1'",
        "[listen]\nhost = 'localhost'",
        "[listen]\nhost = '0.0.0.0'\ncertificate = 'a'\nkey = 'b'",
        "[listen]\nhost = '0.0.0.0'\nplain_behind_proxy = true",
    ],
)
def test_a_listener_that_nobody_can_listen_to_is_good(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, PLAIN + text).listen.host


# Starting


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    """An issuer that could be served, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Folder(tmp_path / "issuer")
    text = PLAIN.replace("8443", str(port)) + f"[listen]\nport = {port}\n" + MODEL
    await initialise(made, text, "lab.example/log", "tests")
    yield made


async def refused(folder: Folder) -> str:
    """Why it does not start."""
    with pytest.raises(ConfigurationError) as raised:
        await asyncio.wait_for(serve(folder), 10)
    return str(raised.value)


def rewrite(folder: Folder, old: str, new: str) -> None:
    text = folder.settings.read_text()
    assert old in text
    folder.settings.write_text(text.replace(old, new))


@pytest.mark.anyio
async def test_an_issuers_folder_is_its_owners_alone(folder: Folder) -> None:
    assert folder.root.stat().st_mode & 0o777 == 0o700
    for path in folder.root.rglob("*"):
        mode = path.stat().st_mode & 0o777
        public = folder.log in path.parents or path == folder.log
        assert mode & 0o077 == 0 or public, f"{path.name} {mode:04o}"


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
@pytest.mark.parametrize("name", ["log.key", "issuer.pem", "bodies.key"])
async def test_a_secret_that_others_can_reach_stops_the_start(
    folder: Folder, name: str, mode: int
) -> None:
    (folder.secrets / name).chmod(mode)
    words = await refused(folder)
    assert name in words
    assert f"{mode:04o}" in words


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["log.key", "issuer.pem", "bodies.key"])
async def test_a_missing_or_damaged_secret_stops_the_start(folder: Folder, name: str) -> None:
    path = folder.secrets / name
    kept = path.read_bytes()
    path.write_bytes(b"nonsense")
    assert "damaged" in await refused(folder)
    path.unlink()
    assert name in await refused(folder)
    path.write_bytes(kept)


@pytest.mark.anyio
async def test_a_models_key_that_others_can_read_stops_the_start(folder: Folder) -> None:
    rewrite(folder, "output = 512", 'output = 512\nkey_file = "model.key"')
    assert "model.key" in await refused(folder)
    key = folder.root / "model.key"
    key.write_text("k")
    key.chmod(0o644)
    assert "model.key" in await refused(folder)


# TLS


@pytest.fixture
def pem(folder: Folder) -> Path:
    """The issuer's certificate with its key in one file, which its settings name."""
    made = certificate(folder.root)
    made.chmod(0o600)
    rewrite(folder, "[listen]", '[listen]\ncertificate = "model.pem"\nkey = "model.pem"')
    return made


@pytest.mark.anyio
async def test_certificate_and_key_lie_in_the_issuers_folder(folder: Folder, pem: Path) -> None:
    asked, ready = asyncio.Event(), asyncio.Event()
    client = ssl.create_default_context(cafile=pem)
    async with opened(folder) as issuer:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(run(issuer, listener, asked, ready))
            await asyncio.wait_for(ready.wait(), 10)
            answer = await asyncio.wait_for(_healthz(listener.getsockname()[1], client), 10)
            asked.set()
            await asyncio.wait_for(serving, 10)
    assert answer.startswith(b"HTTP/1.1 200 OK")


async def _healthz(port: int, tls: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: lab\r\nconnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.anyio
@pytest.mark.parametrize("mode", [0o640, 0o604])
async def test_a_tls_key_that_others_can_read_stops_the_start(
    folder: Folder, pem: Path, mode: int
) -> None:
    pem.chmod(mode)  # noqa: ASYNC240 - nothing else runs
    words = await refused(folder)
    assert f"`{pem}` is a secret that others may read (mode {mode:04o})" in words


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "held", "words"),
    [
        ("certificate", "", "cannot read `{}`"),
        ("certificate", "nonsense", "`{}` is no certificate in PEM"),
        ("key", "", "cannot read `{}`"),
        ("key", "nonsense", "`{}` is no private key in PEM"),
        ("key", "another", "`{}` is not the key of the first certificate"),
        ("key", "encrypted", "the key in `{}` is encrypted"),
    ],
)
async def test_a_wrong_certificate_or_key_is_named(
    folder: Folder, pem: Path, name: str, held: str, words: str
) -> None:
    path = folder.root / "wrong.pem"
    rewrite(folder, f'\n{name} = "model.pem"', f'\n{name} = "wrong.pem"')
    if held:
        password = b"p" if held == "encrypted" else None
        path.write_bytes(held.encode() if held == "nonsense" else private_pem(password))
        path.chmod(0o600)
    assert words.format(path) in await refused(folder)


def private_pem(password: bytes | None) -> bytes:
    """A new private key, encrypted if there is a password."""
    how = BestAvailableEncryption(password) if password else NoEncryption()
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


@pytest.mark.anyio
async def test_a_second_process_on_the_same_folder_stops(folder: Folder) -> None:
    with FolderLock(folder):
        words = await refused(folder)
    assert f"pid {os.getpid()}" in words
    assert str(folder.root) in words


@pytest.mark.anyio
async def test_a_port_in_use_is_named(folder: Folder) -> None:
    port = load_settings(folder.settings).listen.port
    with socket.create_server(("127.0.0.1", port)):
        assert f"cannot listen on 127.0.0.1:{port}" in await refused(folder)


@pytest.mark.anyio
async def test_what_is_fixed_in_the_log_cannot_be_changed(folder: Folder) -> None:
    rewrite(folder, "http://127.0.0.1", "https://127.0.0.1")
    assert "issuer.url is not the one in the log" in await refused(folder)
    rewrite(folder, "https://127.0.0.1", "http://127.0.0.1")
    rewrite(folder, "lab.example/log", "other.example/log")
    assert "issuer.origin is `other.example/log`" in await refused(folder)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["model.sock", "ftp://model", "http://", "http://user@model", "unix://host/path"]
)
async def test_a_model_that_cannot_be_reached_by_its_url_is_named(folder: Folder, url: str) -> None:
    rewrite(folder, "unix:///run/model.sock", url)
    words = await refused(folder)
    assert url in words or "models.small.url" in words


@pytest.mark.anyio
async def test_a_folder_is_initialised_once(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not empty"):
        await initialise(folder, PLAIN, "lab.example/log", "tests")
    with pytest.raises(ConfigurationError, match="is not an issuer's folder"):
        await serve(Folder(tmp_path / "elsewhere"))


@pytest.mark.anyio
async def test_settings_that_are_wrong_make_no_issuer(tmp_path: Path) -> None:
    made = Folder(tmp_path / "issuer")
    with pytest.raises(ConfigurationError):
        await initialise(made, PLAIN + "[limit]\n", "lab.example/log", "tests")
    assert not made.secrets.exists()


@pytest.mark.journey
@pytest.mark.anyio
async def test_the_command_says_which_key_is_wrong_and_fails(folder: Folder) -> None:
    rewrite(folder, "[listen]", "[listen]\nhots = 'x'")
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bailment", "serve", "-d", str(folder.root)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "`hots` is unknown in `listen`: misspelt?" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
