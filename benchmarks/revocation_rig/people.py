"""The people whose access is taken away: enrolled, each with a device, and with streams open."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from gateway_rig.bailment import MODEL, PURPOSE, Bailment
from gateway_rig.proofs import Session, Signer, b64url
from gateway_rig.targets import PATH

from bailment.agent.admin import Admin


def asked(text: str, **more: object) -> bytes:
    """A chat completion request."""
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "bench", "messages": messages, **more}).encode()


#: A stream's model says one token a second and never ends.
PACED = asked("pace=20,1000000,1000 ", stream=True, max_tokens=128)
SHORT = asked("hello", max_tokens=1)
PROBES = 400
WITHIN = 60  # seconds in which anything here must happen


class Issuer(Bailment):
    """Served on core 0 as for the gateway benchmark, with room for many streams."""

    settings = MODEL.replace("pool = 512", "pool = 4096")


class Stream(asyncio.Protocol):
    """One stream, seen from its client: when it began, and when and how it ended."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()
        self.last = b""
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.last = data
        if not self.begun.done() and b"data:" in data:
            self.begun.set_result(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(time.perf_counter())
        if not self.begun.done():
            self.begun.set_exception(RuntimeError(f"no stream: {self.last[:300]!r}"))

    def reason(self) -> str:
        """The slug in the error event that ended it; empty if it ended in no error."""
        error = self.last.rpartition(b"data: ")[2].partition(b"\n")[0]
        try:
            return str(json.loads(error)["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass
class Holder:
    """Somebody with a device, and the streams that are open on it."""

    session: Session
    subjects: dict[str, str]
    streams: list[Stream] = field(default_factory=list)

    def requests(self, body: bytes, count: int) -> list[bytes]:
        """So many signed requests, under one fresh token."""
        url = self.session.issuer
        headers, proofs = self.session.present(url + PATH, body, count)
        fields = {
            "Host": urlsplit(url).netloc,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }
        head = f"POST {PATH} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        return [f"{head}DPoP: {proof}\r\n\r\n".encode() + body for proof in proofs]

    async def open(self, count: int) -> None:
        """Open so many streams, and wait until all are under way."""
        address = urlsplit(self.session.issuer)
        host, port = str(address.hostname), address.port or 80
        loop = asyncio.get_running_loop()
        for request in self.requests(PACED, count):
            stream = Stream(request)
            await loop.create_connection(lambda s=stream: s, host, port)  # type: ignore[misc]
            self.streams.append(stream)
        async with asyncio.timeout(WITHIN):
            await asyncio.gather(*(stream.begun for stream in self.streams))


async def enrol(issuer: Issuer, count: int) -> list[Holder]:
    """Name so many people, each with an attribute of their own, and enrol a device of each."""
    holders = []
    async with Admin(issuer.admin, issuer.url) as admin:
        for number in range(count):
            badge = f"b{number}"
            named = await admin.sign_person_link(f"Person {number}", attributes={"badge": badge})
            assert named.invitation is not None
            signer = Signer(ec.generate_private_key(ec.SECP256R1()))
            told = {
                "invitation": named.invitation.url.partition("#")[2],
                "key_class": "software",
                "name": badge,
            }
            device = issuer.request_enrolment(signer, json.dumps(told).encode())
            own = await admin.confirm_device(device["code"])
            subjects = {
                "person": f"person:{named.person}",
                "device": f"device:{device['device']}",
                "key": f"key:{thumbprint(signer)}",
                "person's link": f"link:{named.link}",
                "device's link": f"link:{own.link}",
                "attribute": f"attribute:badge={badge}",
            }
            session = Session(issuer.url, device["device"], signer, PURPOSE)
            holders.append(Holder(session, subjects))
    return holders


def thumbprint(signer: Signer) -> str:
    """RFC 7638."""
    members = {name: signer.jwk[name] for name in ("crv", "kty", "x", "y")}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return b64url(hashlib.sha256(text.encode()).digest())
