"""What `wrong-key` must find, and what not."""

from __future__ import annotations

from bailment.detect.sample import Sample, event, in_order
from bailment.spec.detection import RuleTerms

_MISSING = {"what": "refused", "reason": "proof-missing"}
_NONCE = {"what": "refused", "reason": "proof-nonce"}

SAMPLES = (
    Sample(
        "a token that was passed on, as a bearer",
        in_order(event(0, where="AS64599/US", client="curl/8/MacOS", **_MISSING)),
        ("device:ana-laptop",),
    ),
    Sample(
        "a proof by another key",
        in_order(event(0, what="refused", reason="proof-key")),
        ("device:ana-laptop",),
    ),
    Sample(
        "another certificate",
        in_order(event(0, what="refused", reason="certificate-other")),
        ("device:ana-laptop",),
    ),
    Sample(
        "each client has to ask for a nonce first",
        in_order(*(event(at, **_NONCE) for at in range(9))),
    ),
    Sample(
        "an expired token is shown again",
        in_order(event(0, what="refused", reason="token-expired")),
    ),
    Sample(
        "a slow clock",
        in_order(event(0, what="refused", reason="proof-stale")),
    ),
    Sample(
        "fewer than the spec counts from",
        in_order(event(0, **_MISSING)),
        terms=RuleTerms("person", 2, 3_600_000),
    ),
)
