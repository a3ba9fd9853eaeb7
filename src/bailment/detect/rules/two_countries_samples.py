"""What `two-countries` must find, and what not."""

from __future__ import annotations

from bailment.detect.sample import HOUR, MINUTE, Sample, event, in_order

_MINE, _OTHER = "openai-python/2/Linux", "curl/8/MacOS"

SAMPLES = (
    Sample(
        "two countries within five minutes",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(5 * MINUTE, "ana", "AS2/US", _MINE)),
        ("device:ana-laptop",),
    ),
    Sample(
        "a VPN in another country, and another client behind it",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(MINUTE, "ana", "AS2/SE/vpn", _OTHER)),
        ("device:ana-laptop",),
    ),
    Sample(
        "a VPN is switched on",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(MINUTE, "ana", "AS2/SE/vpn", _MINE)),
    ),
    Sample(
        "from one data centre to another",
        in_order(
            event(0, "ana", "AS1/NL/hosting", _MINE), event(MINUTE, "ana", "AS2/SE/vpn", _OTHER)
        ),
    ),
    Sample(
        "a flight",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(3 * HOUR, "ana", "AS2/GB", _MINE)),
    ),
    Sample(
        "two people",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(1, "ben", "AS2/US", _MINE)),
    ),
    Sample(
        "a country that no table has",
        in_order(event(0, "ana", "AS1/NL", _MINE), event(1, "ana", "AS2", _MINE)),
    ),
)
