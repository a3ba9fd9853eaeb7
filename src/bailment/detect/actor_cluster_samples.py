"""What `actor-cluster` must find, and what not."""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event
from bailment.detect.sample import DAY, HOUR, Sample, context, event, in_order

_HOME, _FAR, _HIDDEN = "AS64500/NL", "AS64599/BR", "AS64598/US/vpn"
_MINE, _NEWER, _OTHER = "OpenAI/2.1/Linux x64", "OpenAI/2.2/Linux x64", "claude-cli/1.4/MacOS arm64"


def _asks(at: int, where: str, client: str, workspace: str, person: str = "ana") -> Event:
    seen = msgspec.structs.replace(
        context(where, client), workspace=workspace, conversation=f"{workspace}-{at // DAY}"
    )
    return event(at, person, context=seen)


def _usual(person: str = "ana", where: str = _HOME) -> list[Event]:
    return [
        _asks(day * DAY + hour * HOUR, where, _MINE, f"{person}-{hour % 2}", person)
        for day in range(10)
        for hour in range(9, 17)
    ]


SAMPLES = (
    Sample(
        "somebody else, from another country, with another client and prompt",
        in_order(*_usual(), _asks(10 * DAY + 2 * HOUR, _FAR, _OTHER, "strange")),
        ("device:ana-laptop",),
    ),
    Sample(
        "somebody behind a VPN with a client of their own",
        in_order(*_usual(), _asks(10 * DAY + 2 * HOUR, _HIDDEN, _OTHER, "strange")),
        ("device:ana-laptop",),
    ),
    Sample("the same work day after day", in_order(*_usual())),
    Sample(
        "travel: the client and the prompt as ever",
        in_order(*_usual(), _asks(10 * DAY + 12 * HOUR, _FAR, _MINE, "ana-0")),
    ),
    Sample(
        "an update, at home",
        in_order(*_usual(), _asks(10 * DAY + 12 * HOUR, _HOME, _NEWER, "ana-1")),
    ),
    Sample(
        "whoever came yesterday is learnt",
        in_order(
            *_usual(), _asks(0, _HOME, _MINE, "b", "ben"), _asks(DAY, _FAR, _OTHER, "c", "ben")
        ),
    ),
)
