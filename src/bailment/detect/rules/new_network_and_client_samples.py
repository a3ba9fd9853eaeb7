"""What `new-network-and-client` must find, and what not."""

from __future__ import annotations

from bailment.detect.event import Event
from bailment.detect.sample import DAY, HOUR, MINUTE, Sample, event, in_order

_HOME, _OFFICE, _FAR = "AS64500/NL", "AS64501/NL", "AS64599/US"
_MINE, _NEWER, _OTHER = "openai-python/2.1/Linux x64", "openai-python/2.2/Linux x64", "curl/8/MacOS"


def _usual(person: str = "ana", where: str = _HOME) -> list[Event]:
    return [event(hour * HOUR, person, where, _MINE) for hour in range(8)]


SAMPLES = (
    Sample(
        "somebody else uses it from elsewhere with another client",
        in_order(*_usual(), event(DAY, "ana", _FAR, _OTHER)),
        ("device:ana-laptop",),
    ),
    Sample(
        "each network and client of several outsiders",
        in_order(
            *_usual(),
            event(DAY, "ana", _FAR, _OTHER),
            event(DAY + MINUTE, "ana", "AS64598/BR", "curl/8/Windows"),
        ),
        ("device:ana-laptop", "device:ana-laptop"),
    ),
    Sample(
        "what nobody judged stays new",
        in_order(*_usual(), event(DAY, "ana", _FAR, _OTHER), event(2 * DAY, "ana", _FAR, _OTHER)),
        ("device:ana-laptop", "device:ana-laptop"),
    ),
    Sample(
        "travel: a new network, and the client as ever",
        in_order(*_usual(), event(DAY, "ana", _FAR, _MINE)),
    ),
    Sample(
        "a new client at home",
        in_order(*_usual(), event(DAY, "ana", _HOME, _OTHER)),
    ),
    Sample(
        "a smaller update of the client while travelling",
        in_order(*_usual(), event(DAY, "ana", _FAR, _NEWER)),
    ),
    Sample(
        "a new client in an office that colleagues work from",
        in_order(*_usual(), *_usual("ben", _OFFICE), event(DAY, "ana", _OFFICE, _OTHER)),
    ),
    Sample(
        "a declared network is not new",
        in_order(*_usual(), event(DAY, "ana", _FAR, _OTHER, networks=("198.51.100.0/24",))),
    ),
    Sample(
        "a new laptop, set up while travelling, is young",
        in_order(*_usual(), event(DAY, "ana", _FAR, _OTHER, device="new", credential="new")),
    ),
    Sample(
        "back from 31 days away: the same network and client",
        in_order(*_usual(), event(32 * DAY, "ana", _HOME, _MINE)),
    ),
    Sample(
        "where nothing is known of the address nothing is said",
        in_order(*_usual(), event(DAY, "ana", "", _OTHER)),
    ),
    Sample(
        "a thief whose client does not say which it is",
        in_order(*_usual(), event(DAY, "ana", _FAR, "")),
        ("device:ana-laptop",),
    ),
    Sample(
        "a holder whose client never says which it is, travelling",
        in_order(
            *(event(hour * HOUR, "ana", _HOME, "") for hour in range(8)),
            event(DAY, "ana", _FAR, ""),
        ),
    ),
)
