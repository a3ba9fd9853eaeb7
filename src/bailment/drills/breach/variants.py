"""The variants of the breach: what came into whose hands, and what is to become of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

from bailment.drills.breach.order import Loot, Stranger

#: What must become of a variant: no request is answered; somebody is told; or nothing is claimed.
Expected = Literal["refused", "noticed", "open"]
Where = Literal["abroad", "same country", "vpn", "the holder's device"]


@dataclass(frozen=True, slots=True)
class Variant:
    """`people` use what leaked; `own_work` is the share of them who do what the holder does."""

    name: str
    title: str
    loot: Loot
    people: int
    where: Where
    expected: Expected
    on_purpose: bool = False
    #: What is said where nothing was noticed, and nothing is claimed.
    unseen: str = ""
    #: What is said where nothing was noticed of the same requests with a shared static key.
    static_unseen: str = ""


VARIANTS = (
    Variant("bearer", "an access token, passed on to ten", "token", 10, "abroad", "refused"),
    Variant(
        "capability", "the agent's capability, passed on to ten", "capability", 10, "abroad",
        "refused",
    ),
    Variant("copied-key", "a software key, copied to ten machines", "key", 10, "abroad", "noticed"),
    Variant("vpn", "a copied key, shared by four behind VPNs", "shared-key", 4, "vpn", "noticed"),
    Variant(
        "same-country", "a copied key, one thief in the same country, on purpose",
        "shared-key", 1, "same country", "noticed", on_purpose=True,
        static_unseen="cannot be seen: whoever has the key, in the holder's country and at the "
        "holder's work, is the holder",
    ),
    Variant(
        "relay-10", "relayed through the holder's own device by ten", "relay", 10,
        "the holder's device", "open",
        unseen="ten people behind one device show by what they ask, but after hours, not minutes",
    ),
    Variant(
        "relay-4", "relayed through the holder's own device by four", "relay", 4,
        "the holder's device", "open",
        unseen="four behind one device are seen in about half of all cases, and late",
    ),
    Variant(
        "relay-2", "relayed through the holder's own device by two, on purpose", "relay", 2,
        "the holder's device", "open", on_purpose=True,
        unseen="cannot be seen: two people who do the holder's work with the holder's device",
    ),
)  # fmt: skip
NAMES = tuple(variant.name for variant in VARIANTS)

#: Real networks, for an edge that says where a request is from: address, country, what it is.
HOME = ("84.128.0.10", "84.129.0.10")
_ABROAD = (
    *("73.0.0.10", "86.128.0.10", "90.0.0.10", "83.32.0.10", "79.0.0.10"),
    *("60.32.0.10", "177.32.0.10", "49.32.0.10", "1.128.0.10", "24.48.0.10"),
)
_VPN = ("146.70.0.10", "159.65.0.10", "51.68.0.10", "95.216.0.10")
_SAME = ("91.0.0.10",)

#: The holder's program, and those of others.
HOLDERS = {
    "user-agent": "OpenAI/Python 2.8.1",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "2.8.1",
    "x-stainless-os": "Linux",
    "x-stainless-arch": "x64",
    "x-stainless-runtime": "CPython",
    "x-stainless-runtime-version": "3.12.7",
}
_OTHERS = (
    ("OpenAI/JS 6.9.0", "js", "6.9.0", "MacOS", "arm64", "node", "v22.11.0"),
    ("OpenAI/Python 1.99.2", "python", "1.99.2", "Windows", "x64", "CPython", "3.10.11"),
    ("OpenAI/JS 5.12.0", "js", "5.12.0", "Windows", "x64", "node", "v20.18.0"),
    ("OpenAI/Go 3.8.1", "go", "3.8.1", "Linux", "arm64", "go", "go1.24.1"),
    ("OpenAI/Python 2.3.0", "python", "2.3.0", "MacOS", "arm64", "CPython", "3.13.1"),
)
SYSTEM = "You review the code of a C library for memory errors."
WORK = (
    "Is memcpy with this length safe?",
    "Does the parser check the bound of this array?",
    "Write a test for the integer overflow in the decoder.",
    "Which of these calls may use memory after it is freed?",
    "Explain the crash in this stack trace.",
)
_LEISURE = (
    ("You are a travel agent.", "Plan a weekend in Lisbon."),
    ("You write shop pages.", "Describe a wooden lamp."),
    ("You are a poet.", "Write a line about rain."),
    ("You build websites.", "Make a header for a bakery."),
    ("You help with homework.", "When did Rome fall?"),
    ("You trade.", "Summarise the news on copper."),
    ("You are a game master.", "Describe a cave."),
    ("You translate.", "Say good morning in Czech."),
    ("You cook.", "What goes with fennel?"),
    ("You are a fan of chess.", "Name a good opening."),
)


def strangers(variant: Variant, number: int, *, edge: str = "") -> tuple[Stranger, ...]:
    """Who they are, in the drill's variant of this number; with an edge at that address."""
    return tuple(islice(_strangers(variant, number, edge), variant.people))


def _strangers(variant: Variant, number: int, edge: str) -> Iterator[Stranger]:
    places = {"abroad": _ABROAD, "vpn": _VPN, "same country": _SAME}.get(variant.where, HOME[:1])
    for at, place, program, (system, asks) in zip(
        range(variant.people), cycle(places), cycle(_OTHERS), cycle(_LEISURE), strict=False
    ):
        yield Stranger(
            name=f"stranger {at + 1}",
            address=edge or f"127.{100 + number}.{at + 1}.7",
            forwarded=place if edge else "",
            headers=HOLDERS if variant.on_purpose or variant.loot == "relay" else _headers(program),
            system=SYSTEM if variant.on_purpose else system,
            prompts=WORK if variant.on_purpose else (asks,),
        )


def holder(number: int, *, edge: str = "") -> Stranger:
    """The one whose access it is."""
    place = HOME[number % len(HOME)] if edge else ""
    address = edge or f"127.{10 + number}.1.7"
    return Stranger("the holder", address, place, HOLDERS, SYSTEM, WORK)


def _headers(program: tuple[str, ...]) -> dict[str, str]:
    agent, lang, version, system, processor, runtime, runs = program
    return {
        "user-agent": agent,
        "x-stainless-lang": lang,
        "x-stainless-package-version": version,
        "x-stainless-os": system,
        "x-stainless-arch": processor,
        "x-stainless-runtime": runtime,
        "x-stainless-runtime-version": runs,
    }
