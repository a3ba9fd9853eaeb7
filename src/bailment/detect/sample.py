"""Samples: short streams of events in which a detector must find something, or must not.

They lie beside each detector, in the words of `event` below, and a test runs them all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bailment.detect.event import Event
from bailment.ledger.context import Context
from bailment.spec.detection import RuleTerms

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
#: When samples begin, ms.
START = 20_717 * DAY


class Sample(msgspec.Struct, frozen=True):
    """What happens, and how many findings that must make about which subjects; `terms` where the
    rule's own will not do."""

    says: str
    events: tuple[Event, ...]
    findings: tuple[str, ...] = ()
    terms: RuleTerms | None = None


def context(where: str, client: str = "") -> Context:
    """`AS64500/NL/vpn` and `openai-python/2.1/Linux x64`."""
    asn, country, kind = [*where.split("/"), "", ""][:3]
    name, version, system = [*client.split("/"), "", ""][:3]
    number = int(asn.removeprefix("AS")) if asn else 0
    return Context(number, country, kind, client=name, version=version, system=system)


def event(
    at: int,
    person: str = "ana",
    where: str = "",
    client: str = "",
    what: str = "opened",
    **more: Any,
) -> Event:
    """Something that a person's only device does `at` so many ms after the start."""
    told: dict[str, Any] = {
        "recipient": "acme",
        "organisation": "acme",
        "person": person,
        "device": f"{person}-laptop",
        "credential": f"{person}-laptop",
        "links": ("l-acme", f"l-{person}"),
        "model": "m1",
        "context": context(where, client),
    }
    return Event(0, START + at, what, **(told | more))  # type: ignore[arg-type]


def in_order(*events: Event) -> tuple[Event, ...]:
    """The events as the log would have them: by time, each at its entry."""
    ordered = sorted(events, key=lambda one: one.time)
    return tuple(
        msgspec.structs.replace(one, index=index) for index, one in enumerate(ordered, start=1)
    )
