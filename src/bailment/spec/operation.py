"""Whether what a policy asks of callers, gateway, signals and operators can be meant."""

from __future__ import annotations

from itertools import pairwise

from msgspec import UNSET

from bailment.spec.conditions import CallerTerms, looser, terms_over
from bailment.spec.document import Document
from bailment.spec.policy import TierCredential
from bailment.spec.quantity import DAY, duration_ms, show_duration
from bailment.spec.reading import Path, Reading
from bailment.spec.shape import nearest
from bailment.spec.terms import TIERS

_TIGHTER = "let what is asked not shrink towards higher tiers"


def find(document: Document, reading: Reading) -> None:
    """Note in the reading all that is wrong with these parts of the policy."""
    _callers(document, reading)
    _enforcement(document, reading)
    policy = document.policy
    for group in ("signals", "operators"):
        part = getattr(policy, group)
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, str):
                _not_zero(reading, value, ("policy", group, name))
    if duration_ms(policy.signals.silent_after) < duration_ms(policy.signals.verify_every):
        what = "shorter than `verify_every`, so everybody would be silent"
        reading.complain(("policy", "signals", "silent_after"), what, "write a longer time")


def _callers(document: Document, reading: Reading) -> None:
    """What is asked of callers grows with the tiers."""
    credential, path = document.policy.credential, ("policy", "credential")
    _not_zero(reading, credential.certificate_ttl, (*path, "certificate_ttl"))
    below = CallerTerms()
    names = [name for name in TIERS if name in document.tiers]
    for tier, said in sorted((credential.by_tier or {}).items()):
        here: Path = (*path, "by_tier", tier)
        if tier not in names:
            remedy = nearest(tier, names)
            reading.complain(here, f"there is no tier `{tier}`", remedy, of_key=True)
        if said == TierCredential():
            reading.complain(here, "nothing is in it", "add `key_class` or `max_sign_in_age`")
        if said.max_sign_in_age is not UNSET:
            _not_zero(reading, said.max_sign_in_age, (*here, "max_sign_in_age"))
        terms = terms_over(below, said)
        for name in looser(below, terms):
            reading.complain((*here, name), "less than the tier below asks for", _TIGHTER)
        below = terms


def _enforcement(document: Document, reading: Reading) -> None:
    enforcement, path = document.policy.enforcement, ("policy", "enforcement")
    spans = [(name, duration_ms(getattr(enforcement, name))) for name in _SPANS]
    if not 50 <= spans[0][1] <= 5_000:
        reading.complain((*path, "heartbeat"), "out of bounds", "write `PT0.05S` to `PT5S`")
    for (before, shorter), (name, longer) in pairwise(spans):
        if longer < 2 * shorter:
            what = f"less than twice `{before}`"
            remedy = f"write at least `{show_duration(2 * shorter)}`"
            reading.complain((*path, name), what, remedy)
    if duration_ms(enforcement.maintenance_max) > DAY:
        reading.complain((*path, "maintenance_max"), "out of bounds", "write at most `P1D`")


_SPANS = ("heartbeat", "stale", "cut")


def _not_zero(reading: Reading, duration: str, path: Path) -> None:
    if duration_ms(duration) == 0:
        reading.complain(path, "no time at all", "write a longer time, such as `P1D`")
