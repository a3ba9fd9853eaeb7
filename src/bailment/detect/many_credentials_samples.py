"""What `many-credentials` must find, and what not."""

from __future__ import annotations

import msgspec

from bailment.detect.event import Event
from bailment.detect.sample import DAY, HOUR, MINUTE, Sample, context, event, in_order

_MINE, _OTHER, _PROXY = "OpenAI/2.1/Linux x64", "curl/8.1/Linux arm64", "AS64599/US/hosting"
_PEOPLE = [f"p{number}" for number in range(9)]


def _asks(at: int, person: str, where: str, client: str, workspace: str) -> Event:
    seen = msgspec.structs.replace(context(where, client), workspace=workspace, prefix=where[:7])
    return event(at, person, organisation=f"of-{int(person[1:]) % 3}", context=seen)


def _usual() -> list[Event]:
    return [
        _asks(hour * 3 * HOUR + number, person, f"AS6450{number}/NL", _MINE, f"work-{number}")
        for hour in range(12)
        for number, person in enumerate(_PEOPLE)
    ]


def _then(where: str, client: str, workspace: str, people: int = 8) -> list[Event]:
    return [
        _asks(
            3 * DAY + number * MINUTE, person, where.format(number), client, f"{workspace}{number}"
        )
        for number, person in enumerate(_PEOPLE[:people])
    ]


def _insistent() -> tuple[Event, ...]:
    """The first thief asks again and again, before the others come; all are of one employer."""
    asked = _then(_PROXY, _OTHER, "x")
    again = [msgspec.structs.replace(asked[0], time=asked[0].time + wait) for wait in (1, 2, 3)]
    whole = (*_usual(), *asked, *again)
    return in_order(*(msgspec.structs.replace(one, organisation="of-0") for one in whole))


SAMPLES = (
    Sample("a proxy that the first of them uses more than once", _insistent(), ("person:p7",)),
    Sample(
        "eight people's credentials through one proxy",
        in_order(*_usual(), *_then(_PROXY, _OTHER, "x")),
        ("person:p7",),
    ),
    Sample("seven of them", in_order(*_usual(), *_then(_PROXY, _OTHER, "x", 7))),
    Sample(
        "a conference: one network, each with the client and the task as ever",
        in_order(*_usual(), *_then(_PROXY, _MINE, "work-")),
    ),
    Sample(
        "a release: another client at each one's desk",
        in_order(*_usual(), *_then("AS6450{}/NL", _OTHER, "work-")),
    ),
)
