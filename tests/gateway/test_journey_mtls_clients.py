"""Clients as they are, over mTLS, through a whole issuer: SDKs, curl, and our own command line."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from bailment.agent import certificate as certificates
from bailment.agent import profile as profiles
from bailment.agent.answers import GatewayRefused
from bailment.agent.certificate import CertifiedAuth, fetch_certified_token, ssl_context
from bailment.agent.profile import Device as Profiled
from bailment.agent.profile import Profile
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import AccessOpened, TokenIssued

from ..world import PURPOSE, Device, World, world

pytestmark = [pytest.mark.anyio, pytest.mark.journey]

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), tls=True) as made:
        yield made


@pytest.fixture
async def device(
    lab: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Profiled]:
    """The profile of an enrolled device, on a machine that knows the issuer's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.pem))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = profiles.default_folder()
    yield await enrolled(lab, folder, profiles.device_key(folder))


async def enrolled(lab: World, folder: Path, key: Any) -> Profiled:
    recipient = await lab.recipient()
    person = await recipient.person()
    known = await person.enrol(Device(lab, private=key))
    await recipient.confirm(known)
    made = Profile(
        gateway=lab.url,
        device=known.id,
        person=person.id,
        key_class="software",
        status="active",
        purposes=(PURPOSE,),
        models=("smollm2",),
    )
    profiles.save(found := Profiled(folder, made, key))
    return found


def kinds(lab: World, since: int) -> set[tuple[str, object]]:
    return {(one.kind, one.certificate) for one in lab.of(AccessOpened, since)}


def name_of(lab: World, since: int) -> str:
    """The one certificate that was made since."""
    (made,) = lab.of(DeviceCertified, since)
    return made.certificate


async def in_thread(call: Any, *arguments: Any) -> Any:
    return await asyncio.to_thread(call, *arguments)


# SDKs, with nothing of ours but the client that they are given


@pytest.mark.parametrize("stream", [False, True])
async def test_openai_calls_by_mtls(lab: World, device: Profiled, stream: bool) -> None:
    since = lab.size

    def ask() -> str:
        auth = CertifiedAuth(device, PURPOSE)
        with httpx2.Client(auth=auth, verify=ssl_context(device)) as http:
            client = openai.OpenAI(base_url=auth.gateway + "/v1", api_key="-", http_client=http)
            made: Any = client.chat.completions.create(
                model="smollm2", messages=HELLO, max_tokens=16, stream=stream
            )
            if not stream:
                return str(made.choices[0].message.content)
            parts = [part.choices[0].delta.content or "" for part in made if part.choices]
            return "".join(parts)

    assert await in_thread(ask)
    assert kinds(lab, since) == {("mtls", name_of(lab, since))}
    assert (await lab.closed(since)).outcome == "complete"


@pytest.mark.parametrize("stream", [False, True])
async def test_async_openai_calls_by_mtls(lab: World, device: Profiled, stream: bool) -> None:
    since = lab.size
    context = await in_thread(ssl_context, device)
    auth = CertifiedAuth(device, PURPOSE)
    async with httpx2.AsyncClient(auth=auth, verify=context) as http:
        client = openai.AsyncOpenAI(base_url=auth.gateway + "/v1", api_key="-", http_client=http)
        made: Any = await client.responses.create(
            model="smollm2", input="hello", max_output_tokens=16, stream=stream
        )
        if stream:
            assert [one.type async for one in made][-1] == "response.completed"
        else:
            assert made.output_text
    assert kinds(lab, since) == {("mtls", name_of(lab, since))}


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_calls_by_mtls(lab: World, device: Profiled, stream: bool) -> None:
    since = lab.size

    def ask() -> str:
        auth = CertifiedAuth(device, PURPOSE)
        with httpx2.Client(auth=auth, verify=ssl_context(device)) as http:
            client = anthropic.Anthropic(base_url=auth.gateway, api_key="-", http_client=http)
            if stream:
                with client.messages.stream(model="smollm2", messages=HELLO, max_tokens=16) as made:
                    return made.get_final_text()
            whole: Any = client.messages.create(model="smollm2", messages=HELLO, max_tokens=16)
            return str(whole.content[0].text)

    assert await in_thread(ask)
    assert kinds(lab, since) == {("mtls", name_of(lab, since))}


@pytest.mark.parametrize("stream", [False, True])
async def test_async_anthropic_calls_by_mtls(lab: World, device: Profiled, stream: bool) -> None:
    since = lab.size
    context = await in_thread(ssl_context, device)
    auth = CertifiedAuth(device, PURPOSE)
    async with httpx2.AsyncClient(auth=auth, verify=context) as http:
        client = anthropic.AsyncAnthropic(base_url=auth.gateway, api_key="-", http_client=http)
        if stream:
            async with client.messages.stream(
                model="smollm2", messages=HELLO, max_tokens=16
            ) as made:
                assert await made.get_final_text()
        else:
            whole: Any = await client.messages.create(
                model="smollm2", messages=HELLO, max_tokens=16
            )
            assert whole.content[0].text
    assert kinds(lab, since) == {("mtls", name_of(lab, since))}


async def test_one_token_serves_many_requests_and_is_renewed_when_it_is_refused(
    lab: World, device: Profiled
) -> None:
    since = lab.size
    context = await in_thread(ssl_context, device)
    auth = CertifiedAuth(device, PURPOSE)
    async with httpx2.AsyncClient(auth=auth, verify=context) as http:
        client = openai.AsyncOpenAI(
            base_url=auth.gateway + "/v1", api_key="-", http_client=http, max_retries=0
        )
        for _ in range(3):
            await client.models.list()
        (issued,) = lab.of(TokenIssued, since)
        await lab.act("token-revoke", token=issued.token, reason="a test")
        with pytest.raises(openai.AuthenticationError, match="revoked"):
            await client.models.list()
        await client.models.list()
    assert len(lab.of(TokenIssued, since)) == 2


async def test_a_refusal_reaches_the_sdk_in_its_own_words(lab: World, device: Profiled) -> None:
    context = await in_thread(ssl_context, device)
    async with lab.held(f"device:{device.profile.device}"):
        auth = CertifiedAuth(device, PURPOSE)
        async with httpx2.AsyncClient(auth=auth, verify=context) as http:
            client = anthropic.AsyncAnthropic(base_url=auth.gateway, api_key="-", http_client=http)
            with pytest.raises(anthropic.PermissionDeniedError, match="on hold"):
                await client.messages.create(model="smollm2", messages=HELLO, max_tokens=16)


async def test_a_client_without_the_context_is_told_that_it_has_no_certificate(
    lab: World, device: Profiled
) -> None:
    """As anthropic-python's own federation does, which exchanges on another client."""
    token = await in_thread(fetch_certified_token, device, PURPOSE)
    context = lab.context()
    async with httpx2.AsyncClient(verify=context) as http:
        client = anthropic.AsyncAnthropic(base_url=lab.url, api_key=token, http_client=http)
        with pytest.raises(anthropic.AuthenticationError, match="certificate"):
            await client.messages.create(model="smollm2", messages=HELLO, max_tokens=16)


# curl


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("stream", [False, True])
async def test_curl_calls_by_mtls(lab: World, device: Profiled, stream: bool) -> None:
    since = lab.size
    token = await in_thread(fetch_certified_token, device, PURPOSE)
    body = {"model": "smollm2", "messages": HELLO, "max_tokens": 16, "stream": stream}
    words = [
        *("curl", "--silent", "--show-error", "--no-buffer", "--cacert", str(lab.pem)),
        *("--cert", str(device.folder / "device.crt"), "--key", str(device.folder / "device.pem")),
        *("--header", f"Authorization: Bearer {token}", "--json", json.dumps(body)),
        lab.url + "/v1/chat/completions",
    ]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    if stream:
        assert out.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(out)["choices"]
    assert kinds(lab, since) == {("mtls", name_of(lab, since))}
    without = [word for word in words if "device." not in word and word not in ("--cert", "--key")]
    process = await asyncio.create_subprocess_exec(*without, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert b"certificate-missing" in out
    assert len(lab.of(AccessOpened, since)) == 1


# The profile and the command line


async def test_the_certificate_is_private_and_kept_until_it_is_due(
    lab: World, device: Profiled
) -> None:
    since = lab.size
    path = await in_thread(certificates.certificate, device)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_bytes()
    assert await in_thread(certificates.certificate, device) == path
    assert path.read_bytes() == first
    assert len(lab.of(DeviceCertified, since)) == 1
    found = certificates.read_certificate(first, device)
    start, end = (
        one.timestamp() for one in (found.not_valid_before_utc, found.not_valid_after_utc)
    )
    due = start + (end - start) * certificates.RENEW_AFTER
    assert certificates._renewal(path, device) == due
    path.write_bytes(b"damaged")
    await in_thread(certificates.certificate, device)
    assert len(lab.of(DeviceCertified, since)) == 2
    assert path.read_bytes() not in (first, b"damaged")


async def test_a_certificate_that_is_due_is_renewed(
    lab: World, device: Profiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = lab.size
    await in_thread(certificates.certificate, device)
    monkeypatch.setattr(certificates, "RENEW_AFTER", 0.0)
    await in_thread(certificates.certificate, device)
    assert len(lab.of(DeviceCertified, since)) == 2


async def test_a_certificate_that_others_may_read_is_refused(lab: World, device: Profiled) -> None:
    path = await in_thread(certificates.certificate, device)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        await in_thread(certificates.certificate, device)


async def test_another_devices_certificate_in_the_profile_is_replaced(
    lab: World, device: Profiled, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    other = await enrolled(lab, folder, profiles.device_key(folder))
    theirs = await in_thread(certificates.certificate, other)
    path = device.folder / certificates.CERTIFICATE
    path.write_bytes(theirs.read_bytes())
    path.chmod(0o600)
    assert await in_thread(fetch_certified_token, device, PURPOSE)
    with pytest.raises(FormatError, match="another key"):
        certificates.read_certificate(theirs.read_bytes(), device)


async def test_a_refused_certificate_says_why(lab: World, device: Profiled) -> None:
    async with lab.held(f"device:{device.profile.device}"):
        with pytest.raises(GatewayRefused, match="on hold"):
            await in_thread(certificates.certificate, device)


async def command(*words: str) -> tuple[int, str, str]:
    """Run `bailment` as a person or an `apiKeyHelper` does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bailment", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_prints_a_token_and_nothing_else(
    lab: World, device: Profiled
) -> None:
    status, out, err = await command("agent", "token", "--mtls")
    assert (status, err) == (0, "")
    assert out.count(".") == 2
    assert out == out.strip() + "\n"
    since = lab.size
    context = await in_thread(ssl_context, device)
    async with httpx2.AsyncClient(verify=context) as http:
        client = openai.AsyncOpenAI(base_url=lab.url + "/v1", api_key=out.strip(), http_client=http)
        await client.models.list()
    assert {one.kind for one in lab.of(AccessOpened, since)} == {"mtls"}


async def test_the_command_line_says_where_the_certificate_is(lab: World, device: Profiled) -> None:
    status, out, _ = await command("agent", "certificate", "--json")
    assert status == 0
    said = json.loads(out)
    assert said["certificate"] == str(device.folder / "device.crt")
    assert said["key"] == str(device.folder / "device.pem")
    status, out, err = await command("agent", "certificate")
    assert out == f"--cert {said['certificate']} --key {said['key']}\n"
    assert "UTC" in err


async def test_a_token_that_nobody_could_use_is_not_printed(lab: World, device: Profiled) -> None:
    since = lab.size
    status, out, err = await command("agent", "token")
    assert (status, out) == (1, "")
    assert "--mtls" in err
    assert lab.of(TokenIssued, since) == []


async def test_the_doctor_looks_at_the_certificate(lab: World, device: Profiled) -> None:
    _, out, _ = await command("doctor", "--profile", "default", "--json")
    assert "certificate" not in {one["check"] for one in json.loads(out)}
    path = await in_thread(certificates.certificate, device)
    _, out, _ = await command("doctor", "--profile", "default", "--json")
    (found,) = [one for one in json.loads(out) if one["check"] == "certificate"]
    assert found["ok"]
    path.write_bytes(b"damaged")
    _, out, _ = await command("doctor", "--profile", "default", "--json")
    (found,) = [one for one in json.loads(out) if one["check"] == "certificate"]
    assert (found["ok"], found["mend"]) == (False, "bailment agent certificate")
