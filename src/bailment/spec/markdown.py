"""The spec as an annex to a scaling framework: for those who decide, in CommonMark with tables.

Nothing here is said that the spec does not say, and every number is the spec's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import UNSET

from bailment.spec.builtin import tiers_from
from bailment.spec.compiled import requirements_of
from bailment.spec.document import HOLD_AT_MOST, Document, Requirement, digest
from bailment.spec.prose import (
    INDEPENDENCE,
    against_lines,
    by_tier,
    counted,
    escaped,
    listed,
    rule_lines,
    title_of,
    words,
)
from bailment.spec.quantity import duration_ms
from bailment.spec.terms import TIERS, TierName


def annex(document: Document) -> str:
    """The whole annex; its digest is that of the document's canonical JSON."""
    parts = (_head, _capabilities, _tiers, _requirements, _kinds, _exceptions, _lapse, _policy)
    return "\n".join(line for part in parts for line in part(document)) + "\n"


def requirement_lines(document: Document, id_: str, from_tier: TierName) -> Iterator[str]:
    """One requirement: what it asks for, of whom, why, and by what evidence."""
    requirement = document.requirements[id_]
    yield from (f"### {id_} {escaped(requirement.title)}", "")
    if requirement.statement is not UNSET:
        yield from (escaped(requirement.statement), "")
    yield f"From {from_tier}. {_age(document, requirement, from_tier)}"
    yield from ("", "Evidence:", "", *rule_lines(document, requirement))
    if against := list(against_lines(document, requirement)):
        yield from ("", "Contradicted at once where:", "", *against)
    if requirement.remedy is not UNSET:
        yield from ("", f"Where it is missing: {escaped(requirement.remedy)}")
    yield ""


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """A table and the empty line that ends it."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _head(document: Document) -> Iterator[str]:
    metadata = document.metadata
    title = metadata.id if metadata.title is UNSET else metadata.title
    yield from (f"# {escaped(title)}", "")
    yield (
        f"`{metadata.id}` version {metadata.version}, published by {escaped(metadata.issuer)}, "
        f"meant to hold from {metadata.effective}."
    )
    yield from ("", f"SHA-256 of the canonical JSON: `{digest(document)}`", "")
    yield (
        "This says what an organisation must prove before it is entrusted with a restricted "
        "model, and what happens when it no longer can. A model belongs to a tier; who uses it "
        "must meet every requirement of that tier, with evidence that is recent and independent "
        "enough. Standing follows from the evidence alone: nobody grants it, and it ends when the "
        "evidence does."
    )
    yield ""


def _capabilities(document: Document) -> Iterator[str]:
    yield from ("## From capability to tier", "")
    yield "Results of evaluations propose a model's tier; a person decides it and says why."
    yield ""
    if document.capabilities is UNSET:
        yield from ("This spec states no thresholds.", "")
        return
    yield from table(
        ("Capability", "Evaluation", "Result", "Tier"),
        (
            (
                escaped(capability.title),
                f"`{one.task}`",
                f"{escaped(one.metric)} "
                + " and ".join(
                    f"{word} {bound}"
                    for word, bound in (("at least", one.min), ("at most", one.max))
                    if bound is not UNSET
                ),
                one.tier,
            )
            for capability in document.capabilities.values()
            for one in capability.thresholds
        ),
    )


def _tiers(document: Document) -> Iterator[str]:
    yield from ("## Tiers", "")
    yield from table(
        ("Tier", "For", "Requirements", "Evidence by machines", "by people"),
        (
            (
                name,
                escaped(document.tiers[name].name),
                str(len(requirements_of(document, name))),
                words(document.tiers[name].freshness.machine),
                words(document.tiers[name].freshness.process),
            )
            for name in _names(document)
        ),
    )
    yield "The ages hold where a requirement states none of its own."
    yield ""
    for name in _names(document):
        tier = document.tiers[name]
        below = "" if tier.includes is UNSET else f", on top of {tier.includes},"
        yield from (f"**{name}** asks{below} for:", "")
        asked = [f"- {id_} {escaped(document.requirements[id_].title)}" for id_ in tier.require]
        asked += [
            f"- {id_} more strictly: {tighter}"
            for id_ in requirements_of(document, name)
            if (tighter := by_tier(document.requirements[id_], name))
        ]
        yield from (*(asked or ["- nothing more, but fresher evidence"]), "")


def _requirements(document: Document) -> Iterator[str]:
    tiers = tiers_from(document)
    for family, ids in groupby(document.requirements, lambda id_: _family(document, id_)):
        yield from (f"## {family}", "")
        for id_ in ids:
            if id_ in tiers:
                yield from requirement_lines(document, id_, tiers[id_])


def _kinds(document: Document) -> Iterator[str]:
    yield from ("## Evidence", "")
    yield "How much evidence is worth depends on who collected it. From least to most:"
    yield ""
    for rank, (name, what) in enumerate(INDEPENDENCE.items(), 1):
        yield f"{rank}. `{name}`: {what}"
    yield ""
    yield from table(
        ("Kind", "Evidence", "Read by", "Renewed by", "Good for", "At most"),
        (
            (
                f"`{name}`",
                title_of(document, name),
                f"`{kind.adapter}`",
                {"machine": "a machine", "process": "people"}[kind.class_],
                words(kind.max_age),
                "" if kind.caps_at is UNSET else INDEPENDENCE[kind.caps_at],
            )
            for name, kind in document.evidence_kinds.items()
        ),
    )
    yield "A failed test stays failed however old it is. Only what passes expires."
    yield ""


def _exceptions(document: Document) -> Iterator[str]:
    policy = document.exceptions_policy
    renewals = {0: "not renewed", 1: "renewed once"}.get(
        policy.max_renewals, f"renewed {policy.max_renewals} times"
    )
    measure = {
        "required": "names the measure that stands in",
        "optional": "may name a measure that stands in",
    }[policy.compensating]
    yield from ("## Exceptions", "")
    yield (
        f"An exception is written, signed by {policy.approvers} different people and {measure}. "
        f"It lasts {words(policy.max_ttl)} at most and is {renewals}."
        + (f" There is none from {listed(policy.never_for)}." if policy.never_for else "")
    )
    yield ""


def _lapse(document: Document) -> Iterator[str]:
    lapse = document.lapse
    yield from ("## When evidence lapses", "")
    before = listed([words(one) for one in lapse.notice])
    down = _down(lapse.then.step_down)
    at_once = not duration_ms(lapse.contradicted.after)
    after = "at once" if at_once else f"after {words(lapse.contradicted.after)}"
    yield f"- {before} before evidence expires, the recipient is told."
    yield f"- {words(lapse.grace)} after it has expired, standing falls to {down}."
    yield f"- {words(lapse.suspend_after)} after that, it is suspended."
    yield f"- A contradiction takes it to {_down(lapse.contradicted.step_down)} {after}."
    yield (
        f"- If more than {lapse.mass_change_hold} of all recipients, and more than one, would "
        "change at one time, expiries wait for a person, since that is more likely the issuer's "
        f"outage than theirs, but for {words(lapse.hold_at_most or HOLD_AT_MOST)} at most. "
        "Contradictions never wait."
    )
    yield ""


def _policy(document: Document) -> Iterator[str]:
    policy = document.policy
    credential, delegation = policy.credential, policy.delegation
    yield from ("## Credentials, delegation, detection and response", "")
    yield (
        f"- A credential lives {words(credential.max_ttl)} at most and works only with the key of "
        f"the device that it was issued to (`{credential.sender_constrained}`)."
    )
    meets = {
        "same-tier": "meets the same tier as the recipient",
        "nothing": "needs to prove nothing",
    }[delegation.delegate_meets]
    depth = counted(delegation.max_depth, "subcontractor")
    yield (
        f"- A chain of delegation has at most {depth}, which {meets}. A link lasts "
        f"{words(delegation.max_ttl)} at most."
    )
    for tier, limit in {} if delegation.by_tier is UNSET else delegation.by_tier.items():
        parts = [] if limit.max_depth is UNSET else [counted(limit.max_depth, "subcontractor")]
        parts += [] if limit.max_ttl is UNSET else [f"{words(limit.max_ttl)} for a link"]
        yield f"- From {tier} on, at most {' and '.join(parts)}."
    detection, response = policy.detection, policy.response
    yield (
        f"- Noticed within: a shared credential {words(detection.shared_credential)}, an "
        f"undeclared network {words(detection.off_network)}, drift from the declared purpose "
        f"{words(detection.purpose_drift)}."
    )
    yield (
        f"- Done within: access revoked {words(response.revoke)}, the recipient told "
        f"{words(response.notify_recipient)}, credentials rotated {words(response.rotate)}. "
        f"{response.kill_switch.approvers} people together may stop everything."
    )
    names = {
        "redacted-committed": "Recipients are not named, but committed to, so that who was "
        "concerned can be proved later",
        "named": "Recipients are named",
    }[policy.disclosure.names]
    yield from ("", "## Disclosure", "")
    yield (
        f"A first report is due {words(policy.disclosure.initial)} after an incident is known and "
        f"the last {words(policy.disclosure.final)} after. {names}."
    )


def _names(document: Document) -> list[TierName]:
    return [name for name in TIERS if name in document.tiers]


def _family(document: Document, id_: str) -> str:
    family = document.requirements[id_].family
    return "Other requirements" if family is UNSET else escaped(family)


def _age(document: Document, requirement: Requirement, from_tier: TierName) -> str:
    if requirement.max_age is UNSET:
        age = "Evidence ages by its kind and tier"
    else:
        age = f"Evidence of the last {words(requirement.max_age)}"
    above = [name for name in _names(document) if name > from_tier]
    stricter = [f"from {name} {text}" for name in above if (text := by_tier(requirement, name))]
    return f"{age}; {'; '.join(stricter)}." if stricter else f"{age}."


def _down(tier: str) -> str:
    return tier if tier in TIERS else "no tier at all"
