"""What `many-clusters` must find, and what not."""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event
from bailment.detect.sample import DAY, HOUR, MINUTE, Sample, event, in_order

_MINE, _CURL, _NODE = "openai-python/2/Linux", "curl/8/MacOS", "node/5/Windows"


def _used(at: int, where: str, client: str, workspace: str, person: str = "ana") -> Event:
    one = event(at, person, where, client)
    return msgspec.structs.replace(
        one, context=msgspec.structs.replace(one.context, workspace=workspace)
    )


_USUAL = [_used(hour * HOUR, "AS1/NL", _MINE, "w1") for hour in range(8)]

SAMPLES = (
    Sample(
        "two strangers in a day",
        in_order(
            *_USUAL, _used(DAY, "AS2/US", _CURL, "w2"), _used(DAY + MINUTE, "AS3/BR", _NODE, "w3")
        ),
        ("device:ana-laptop",),
    ),
    Sample(
        "two strangers who say nothing of client, task or tools",
        in_order(*_USUAL, _used(DAY, "AS2/US", "", ""), _used(DAY + MINUTE, "AS3/BR", "", "")),
        ("device:ana-laptop",),
    ),
    Sample(
        "one new laptop in a new place with a new task",
        in_order(*_USUAL, *(_used(DAY + at, "AS2/US", _CURL, "w2") for at in range(5))),
    ),
    Sample(
        "two new places, but the work as ever",
        in_order(*_USUAL, _used(DAY, "AS2/US", _CURL, "w1"), _used(DAY + 1, "AS3/BR", _NODE, "w1")),
    ),
    Sample(
        "two strangers days apart",
        in_order(*_USUAL, _used(DAY, "AS2/US", _CURL, "w2"), _used(4 * DAY, "AS3/BR", _NODE, "w3")),
    ),
    Sample(
        "the first hour",
        in_order(*(_used(at * MINUTE, f"AS{at}/NL", f"c{at}/1/x", f"w{at}") for at in range(1, 9))),
    ),
)
