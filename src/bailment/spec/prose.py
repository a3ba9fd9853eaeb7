"""A spec's parts in words, as lines of CommonMark: durations, limits, and rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import UNSET, UnsetType

from bailment.spec.document import Document, Requirement, Rule
from bailment.spec.quantity import DAY, HOUR, MILLION, MINUTE, SECOND, duration_ms
from bailment.spec.terms import TIERS, TierName

#: The ladder of independence: what evidence of each rung is.
INDEPENDENCE: Final = {
    "self": "the recipient's word",
    "self-tool": "what a tool says that the recipient ran itself",
    "peer": "what another recipient saw",
    "pulled": "what the issuer fetched",
    "third-party": "what an assessor signed",
    "observed": "what the gateway or a drill saw",
}
_AT_LEAST: Final = {
    "self": "",
    "self-tool": ", by a tool",
    "peer": ", seen by another recipient or better",
    "pulled": ", fetched by the issuer or better",
    "third-party": ", signed by an assessor or better",
    "observed": ", observed",
}
# What a claim counts, by how its name ends.
_SPANS = {"_ms": 1, "_s": SECOND, "_days": DAY}


def words(duration: str | int) -> str:
    """A duration, as a spec writes it or in ms: `P1DT12H` is "1 day 12 hours"."""
    rest = duration_ms(duration) if isinstance(duration, str) else duration
    parts = []
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")):
        count, rest = divmod(rest, unit)
        if count:
            parts.append(counted(count, name))
    if rest:
        parts.append(f"{rest} ms")
    return " ".join(parts) or "no time"


def counted(count: int, noun: str) -> str:
    """1 day, 2 days."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def amount(claim: str, number: int) -> str:
    """A claimed number in the unit that the claim's name ends in."""
    for suffix, unit in _SPANS.items():
        if claim.endswith(suffix):
            return words(number * unit) if number >= 0 else f"{number}"
    if claim.endswith("_ppm"):
        whole, rest = divmod(number * 100, MILLION)
        return f"{whole}{f'.{rest:06}'.rstrip('0') if rest else ''}%"
    return f"{number:,}"


def listed(parts: Sequence[str]) -> str:
    """One, two and three."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def escaped(text: str) -> str:
    """Somebody's text, so that none of it is markup."""
    return "".join(f"\\{ch}" if ch in "\\`*_{}[]<>#|~&!" else ch for ch in text)


def title_of(document: Document, kind: str) -> str:
    """What a kind of evidence is called."""
    title = document.evidence_kinds[kind].title
    return f"`{kind}`" if title is UNSET else escaped(title)


def rule_lines(document: Document, requirement: Requirement) -> Iterator[str]:
    """The rule of a requirement as a list, one line for each node."""
    yield from _node(document, requirement, requirement.satisfied_by, "")


def against_lines(document: Document, requirement: Requirement) -> Iterator[str]:
    """What contradicts a requirement, as a list."""
    for rule in () if requirement.contradicted_by is UNSET else requirement.contradicted_by:
        what = _claimed(requirement, rule) if rule.check is UNSET else f"fails `{rule.check}`"
        span = "" if rule.within is UNSET else f", for {words(rule.within)}"
        yield f"- {_source(document, rule.kind)} {what}{span}"


def by_tier(requirement: Requirement, tier: TierName) -> str:
    """What the tier's override asks for, in words; empty without one."""
    overrides = {} if requirement.by_tier is UNSET else requirement.by_tier
    if tier not in overrides:
        return ""
    age, limits = overrides[tier].max_age, overrides[tier].limits
    parts = [] if age is UNSET else [f"evidence of the last {words(age)}"]
    for claim, limit in () if limits is UNSET else limits.items():
        parts.append(f"`{claim}` {amount(claim, limit)}")
    return listed(parts)


def _node(document: Document, requirement: Requirement, rule: Rule, margin: str) -> Iterator[str]:
    below = rule.all if rule.all is not UNSET else rule.of
    if below is UNSET:
        yield f"{margin}- {_leaf(document, requirement, rule)}"
        return
    if rule.all is not UNSET:
        head = "all of these"
    else:
        apart = "" if rule.distinct is UNSET else ", from different collectors"
        head = f"at least {rule.at_least} of these{apart}"
    yield f"{margin}- {head}:"
    for one in below:
        yield from _node(document, requirement, one, margin + "  ")


def _leaf(document: Document, requirement: Requirement, rule: Rule) -> str:
    if rule.join is not UNSET:
        covering = listed([_source(document, kind) for kind in rule.join.covered_by])
        what = f"everybody in {_source(document, rule.join.seen)} is covered by {covering}"
    elif rule.check is not UNSET:
        what = f"{_source(document, rule.kind)} passes `{rule.check}`"
    else:
        what = f"{_source(document, rule.kind)} {_claimed(requirement, rule)}"
    if rule.min_independence is not UNSET:
        what += _AT_LEAST[rule.min_independence]
    if rule.max_age is not UNSET:
        what += f", of the last {words(rule.max_age)}"
    return what


def _source(document: Document, kind: str | UnsetType) -> str:
    return f"*{title_of(document, str(kind))}*"


def _claimed(requirement: Requirement, rule: Rule) -> str:
    claim = str(rule.claim)
    bounds = [
        f"{word} {amount(claim, bound)}"
        for word, bound in (("at least", rule.min), ("at most", rule.max))
        if bound is not UNSET
    ]
    over = {} if requirement.by_tier is UNSET else requirement.by_tier
    tighter = [
        f"from {tier} {amount(claim, limits[claim])}"
        for tier in TIERS
        if tier in over and (limits := over[tier].limits) is not UNSET and claim in limits
    ]
    return f"`{claim}` is {' and '.join(bounds)}" + (f" ({', '.join(tighter)})" if tighter else "")
