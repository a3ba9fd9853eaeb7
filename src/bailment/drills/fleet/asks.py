"""A request as somebody makes it, and the event that detectors see of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from hashlib import sha256
from itertools import count
from typing import Literal

import msgspec

from bailment.detect.event import Event
from bailment.drills.fleet.ground import Network
from bailment.ledger.context import Context

#: How whoever asks comes by the access: their own; a token that was passed on; a copy of the
#: device's software key; through the holder's own device.
Means = Literal["own", "bearer", "copied-key", "relay"]


class Client(msgspec.Struct, frozen=True):
    """What an SDK or a program says of itself, as `Context` has it."""

    name: str
    version: str
    system: str
    runtime: str


class Ask(msgspec.Struct, frozen=True):
    """One request.

    time          ms since the epoch
    recipient     its number; `person` and `device` are numbers in the whole fleet, of the holder
    outsider      0 for the holder, else which of those who should not be there
    network       where it comes from; `address` in it
    prompt        what it is about: `purpose` as declared, `off` anything else
    workspace     number of the system prompt and tools; `conversation` within everything
    input, output tokens
    """

    time: int
    recipient: int
    person: int
    device: int
    outsider: int
    means: Means
    network: Network
    address: str
    client: Client
    prompt: Literal["purpose", "off"]
    workspace: int
    conversation: int
    input: int
    output: int

    def headers(self) -> dict[str, str]:
        """The headers by which the client says what it is, as such programs send them."""
        client = self.client
        system, _, machine = client.system.partition(" ")
        runtime, _, version = client.runtime.partition(" ")
        if not client.system:
            return {"User-Agent": f"{client.name}/{client.version}"}
        if not runtime:
            told = f"{_SYSTEMS[system]}; {'arm64' if machine == 'arm64' else 'x86_64'}"
            return {"User-Agent": f"{client.name}/{client.version} ({told}) xterm-256color"}
        agent, package = f"{client.name}/{client.version}", client.version
        if client.name == "claude-cli":
            agent, package = f"{agent} (external, cli)", _CLAUDES_SDK
        elif "/" in client.name:  # an SDK itself; other programs are built on one
            agent = f"{client.name} {client.version}"
        return {
            "User-Agent": agent,
            "X-Stainless-Lang": "js" if runtime == "node" else "python",
            "X-Stainless-Package-Version": package,
            "X-Stainless-OS": system,
            "X-Stainless-Arch": machine,
            "X-Stainless-Runtime": runtime,
            "X-Stainless-Runtime-Version": version,
        }


#: How a program that is no SDK calls systems, and the SDK that `claude-cli` is built with.
_SYSTEMS = {"MacOS": "Mac OS 15.6.1", "Linux": "Ubuntu 24.4.0", "Windows": "Windows 10.0.26200"}
_CLAUDES_SDK = "0.112.1"


@lru_cache(1 << 16)
def hashed(kind: str, number: int) -> str:
    """Stands for a keyed hash: 16 bytes of hex."""
    return sha256(f"{kind}/{number}".encode()).hexdigest()[:32]


@cache
def _id(kind: str, number: int) -> str:
    return hashed(kind, number)


def context_of(ask: Ask) -> Context:
    """What the gateway makes of where a request comes from."""
    client = ask.client
    prefix = int(ipaddress.IPv4Address(ask.address)) >> 8
    return Context(
        asn=ask.network.asn,
        country=ask.network.country,
        address=ask.network.kind,
        prefix=hashed("prefix", prefix),
        client=client.name,
        version=client.version,
        system=client.system,
        runtime=client.runtime,
        workspace=hashed("workspace", ask.workspace),
        conversation=hashed("conversation", ask.conversation),
    )


def events(
    asks: Iterable[Ask], *, bound: bool = False, start: int = 0, step: int = 1
) -> Iterator[Event]:
    """The events of requests in order of time, numbered from `start` in steps of `step`.

    With bearer keys a person has one, and everything that shows it is let in. With bound keys each
    device has its own, and a token that was passed on is refused.
    """
    for index, ask in zip(count(start, step), asks, strict=False):
        person, device = _id("person", ask.person), _id("device", ask.device)
        refused = bound and ask.means == "bearer"
        recipient = _id("recipient", ask.recipient)
        yield Event(
            index,
            ask.time,
            "refused" if refused else "opened",
            recipient=recipient,
            organisation=recipient,
            person=person,
            device=device if bound else person,
            credential=device if bound else person,
            links=(recipient, person, device if bound else person),
            model="restricted",
            action="generate",
            purpose="declared",
            context=context_of(ask),
            access="" if refused else f"{index:032x}",
            reason="proof-missing" if refused else "",
        )
