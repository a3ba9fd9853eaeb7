"""The lab's gate: a real issuer in this process, with a canned upstream and a clock that is moved.

What strangers do with what leaked is tried at it, by requests with real proofs over a socket, and
so is what the holders do meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import httpx2

from bailment.access.chain import Link
from bailment.access.tripwire import CAPABILITY, PATH, digest, registration_body
from bailment.agent.admin import Admin, make_admin_key
from bailment.agent.client import GatewayClient, enrol, wait_until_active
from bailment.agent.profile import KEY, PROFILE, Device, load
from bailment.agent.ratchet import HANDLE
from bailment.agent.sdk import BailmentAuth
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.drills.breach.attackers import CHAT
from bailment.drills.breach.canaries import PURPOSE
from bailment.drills.breach.variants import Variant
from bailment.drills.fleet import DAY, Ask
from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.facts import Facts
from bailment.ledger.records import HoldAdded
from bailment.store.folder import Folder
from bailment.store.log import Log
from bailment.store.sequencer import News

MODEL, EDGE = "canary", "127.0.0.2"
SETTINGS = """
[issuer]
origin = "lab.example/drill"
url = "{url}"
contact = "security@lab.example"

[listen]
port = {port}
proxies = ["127.0.0.2/32"]

[worker]
enabled = false

[models.canary]
url = "unix://{socket}"
context = 8192
output = 512
canary = true
"""
#: So many refusals after one another, and whoever comes later is refused alike.
_SURE = 5
#: No more of a variant's requests are tried, nor of its holder's; the rest fare as the last did.
_MOST = 60
#: Seconds in which a refusal's effects are on record, and after which nothing more comes.
_EFFECT, _QUIET = 0.02, 0.4
#: Variants follow each other at this distance, so that the clock only goes forward.
_APART = 9 * DAY


class Serving(Protocol):
    """An issuer that serves."""

    @property
    def log(self) -> Log: ...
    @property
    def actions(self) -> Actions: ...


#: Serves a new issuer in a folder with these settings, on this port.
Serve = Callable[[Folder, str], AbstractAsyncContextManager[Serving]]


@dataclass(slots=True)
class Verdict:
    """What the gate said to each of a variant's requests: empty, or why not; what it found, and
    what it cut, each with the number of the request."""

    reasons: list[str] = field(default_factory=list)
    found: list[tuple[int, FindingRaised]] = field(default_factory=list)
    cut: list[tuple[int, str]] = field(default_factory=list)


class Gate:
    """Tries variants, one after the other."""

    def __init__(self, issuer: Serving, url: str, move: Callable[[int], None], root: Path) -> None:
        self._issuer, self._url, self._move, self._root = issuer, url, move, root
        self._http = httpx2.AsyncClient(transport=_Undated(local_address=EDGE), timeout=60)
        self._begun = now_ms()
        self._news: list[tuple[int, Facts]] = []
        #: What each device's agent shows its clients.
        self._capabilities: dict[str, str] = {}
        issuer.log.sequencer.listeners.append(self._hear)

    async def try_all(
        self,
        played: Iterable[tuple[Variant, list[Ask], list[Ask]]],
        tell: Callable[[str], None],
    ) -> list[Verdict]:
        """What the gate says to each variant's group, whose holder's own requests are beside."""
        variants = list(played)
        # Everybody enrols first, by the real time.
        devices = [await self._enrol(number) for number, _ in enumerate(variants)]
        found = []
        for number, (variant, asks, own) in enumerate(variants):
            tell(variant.name)
            since = self._begun + (number + 1) * _APART
            shift = since - min((ask.time for ask in asks), default=since)
            found.append(await self._try(variant, asks, own, devices[number], shift))
        await self._http.aclose()
        return found

    def _hear(self, news: News) -> None:
        self._news += [(leaf.time, facts) for _, leaf, facts in news]

    async def _enrol(self, number: int) -> Device:
        folder = self._root / f"holder-{number}"
        folder.mkdir(mode=0o700)
        now = now_ms()
        grant = Link(
            "", "", "recipient", "", now, now + 365 * DAY, None, (MODEL,), (PURPOSE,), (), None, 0
        )
        key = make_admin_key(folder / "admin")
        contact = f"security@holder-{number}.example"
        await self._issuer.actions.register_recipient(
            f"holder-{number}", contact, key.jwk, grant, "the drill"
        )
        async with Admin(folder / "admin", self._url) as admin:
            invited = await admin.sign_person_link("Ada Holm", contact)
            if invited.invitation is None:
                raise AssertionError("a person's link comes with an invitation")
            pending = await enrol(invited.invitation.url, folder / "device", "laptop")
            await admin.confirm_device(pending.code)
        device = await wait_until_active(folder / "device")
        capability = CAPABILITY + secrets.token_urlsafe(32)
        body = registration_body(device.profile.device, digest(capability.encode()))
        async with GatewayClient(self._url, device.key) as client:
            await client.send(PATH, body, "application/json", dict)
        self._capabilities[device.profile.device] = capability
        return device

    async def _try(
        self, variant: Variant, asks: list[Ask], own: list[Ask], device: Device, shift: int
    ) -> Verdict:
        verdict, begun = Verdict(), len(self._news)
        holder = BailmentAuth(device, PURPOSE, clock=_seconds)
        last = asks[min(len(asks), _MOST) - 1].time if asks else 0
        mixed = sorted([*asks[:_MOST], *own[:_MOST]], key=lambda ask: ask.time)
        if asks:
            # The holder is at work when it leaks.
            self._move(asks[0].time + shift - 60_000)
            await self._send(asks[0], holder)
        strangers = self._strangers(variant, device, holder)
        sent: list[int] = []
        for ask in mixed:
            sure = len(verdict.reasons) >= _SURE and all(verdict.reasons[-_SURE:])
            if sure or ask.time > last:
                break
            self._move(ask.time + shift)
            if not ask.outsider:
                await self._send(ask, holder)
                continue
            sent.append(now_ms())
            verdict.reasons.append(await self._send(ask, strangers(ask.outsider)))
            if verdict.reasons[-1]:  # what follows from it is on record before the clock moves on
                await asyncio.sleep(_EFFECT)
        await self._settled()
        self._look(verdict, device, sent, begun)
        verdict.reasons += (
            [verdict.reasons[-1]] * (len(asks) - len(verdict.reasons)) if asks else []
        )
        return verdict

    async def _settled(self) -> None:
        """Wait until nothing more is recorded."""
        known = -1
        while known != len(self._news):
            known = len(self._news)
            await asyncio.sleep(_QUIET)

    def _look(self, verdict: Verdict, device: Device, sent: list[int], since: int) -> None:
        """What is on record about the holder, and at which request."""
        ids = {f"device:{device.profile.device}", f"person:{device.profile.person}"}
        for time, facts in self._news[since:]:
            match facts:
                case FindingRaised() if facts.subject in ids:
                    verdict.found.append((max(1, bisect_right(sent, facts.since)), facts))
                case HoldAdded() if facts.subject in ids:
                    what = f"{facts.subject.partition(':')[0]} on hold"
                    verdict.cut.append((max(1, bisect_right(sent, time)), what))
                case StepUpAsked() if f"person:{facts.person}" in ids:
                    at = max(1, bisect_right(sent, time))
                    verdict.cut.append((at, "has to sign in again"))

    def _strangers(
        self, variant: Variant, device: Device, holder: BailmentAuth
    ) -> Callable[[int], httpx2.Auth | str]:
        """By what each of a group is let in, or not."""
        if variant.loot == "relay":
            return lambda _: holder
        if variant.loot == "token":
            token = holder.tokens.current()
            return lambda _: token
        if variant.loot == "capability":
            capability = self._capabilities[device.profile.device]
            return lambda _: capability
        files = {name: (device.folder / name).read_bytes() for name in (KEY, PROFILE, HANDLE)}
        copies: dict[int, BailmentAuth] = {}

        def copy(outsider: int) -> BailmentAuth:
            number = 0 if variant.loot == "shared-key" else outsider
            if number not in copies:
                folder = device.folder.parent / f"copy-{number}"
                folder.mkdir(mode=0o700)
                for name, data in files.items():
                    (folder / name).touch(mode=0o600)
                    (folder / name).write_bytes(data)
                copies[number] = BailmentAuth(load(folder), PURPOSE, clock=_seconds)
            return copies[number]

        return copy

    async def _send(self, ask: Ask, way: httpx2.Auth | str) -> str:
        """Make a request; empty, or why it was refused."""
        headers = {**ask.headers(), "x-forwarded-for": ask.address}
        system = {"role": "system", "content": f"workspace {ask.workspace}"}
        first = {"role": "user", "content": f"conversation {ask.conversation}"}
        body = {"model": MODEL, "max_tokens": 16, "messages": [system, first]}
        if isinstance(way, str):
            headers["authorization"] = f"Bearer {way}"
            sent = await self._http.post(self._url + CHAT, json=body, headers=headers)
        else:
            sent = await self._http.post(self._url + CHAT, json=body, headers=headers, auth=way)
        if sent.status_code == 200:
            return ""
        told = sent.json().get("error")
        return str(told.get("code") if isinstance(told, dict) else told)


class _Undated(httpx2.AsyncHTTPTransport):
    """Answers without their `Date`, which is the real one: clients would set their clocks by it."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answered = await super().handle_async_request(request)
        answered.headers.pop("date", None)
        return answered


def _seconds() -> float:
    return now_ms() / 1000


@asynccontextmanager
async def canned(path: Path) -> AsyncIterator[None]:
    """A model's server that always says the same."""
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Yes."},
                }
            ],
            "usage": {"prompt_tokens": 24, "completion_tokens": 3, "total_tokens": 27},
        }
    ).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = asked.partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                writer.write(head % len(body) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        server.close()
