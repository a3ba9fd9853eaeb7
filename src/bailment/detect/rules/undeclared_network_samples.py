"""What `undeclared-network` must find, and what not."""

from __future__ import annotations

from bailment.detect.sample import HOUR, MINUTE, Sample, event, in_order

_REFUSED = {"what": "refused", "reason": "network-outside-chain"}
_HELD = {"what": "refused", "reason": "held"}

SAMPLES = (
    Sample(
        "three refusals in an hour",
        in_order(*(event(at * MINUTE, where="AS64599/US", **_REFUSED) for at in (0, 10, 20))),
        ("device:ana-laptop",),
    ),
    Sample(
        "many that were counted in one record",
        in_order(event(0, **_REFUSED), event(MINUTE, **_REFUSED, count=40)),
        ("device:ana-laptop",),
    ),
    Sample(
        "somebody forgot the VPN",
        in_order(event(0, **_REFUSED), event(MINUTE, **_REFUSED)),
    ),
    Sample(
        "now and then over a day",
        in_order(*(event(at * HOUR, **_REFUSED) for at in (0, 2, 4, 6, 8))),
    ),
    Sample(
        "once by each of three people",
        in_order(*(event(0, person, **_REFUSED) for person in ("ana", "ben", "eva"))),
    ),
    Sample(
        "refusals for another reason",
        in_order(*(event(at, **_HELD) for at in range(9))),
    ),
)
