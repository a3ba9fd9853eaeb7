"""What `decoy-model` must find, and what not."""

from __future__ import annotations

from bailment.detect.sample import Sample, event, in_order

_REFUSED = {"what": "refused", "reason": "model-outside-chain"}

SAMPLES = (
    Sample(
        "the decoy is asked for",
        in_order(event(0, **_REFUSED, model="m1-internal", kind="decoy")),
        ("device:ana-laptop",),
    ),
    Sample(
        "a model that is not in the chain, or was never there",
        in_order(event(0, **_REFUSED, model="m2"), event(1, **_REFUSED, model="gpt-5")),
    ),
    Sample("an ordinary access", in_order(event(0))),
)
