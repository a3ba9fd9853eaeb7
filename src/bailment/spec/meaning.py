"""Whether a document can be meant: its tiers, consequences, thresholds and policy.

Whatever would make the spec unsatisfiable, undecidable or weaker for a higher tier is a problem;
what is only odd is a warning.
"""

from __future__ import annotations

from msgspec import UNSET

from bailment.errors import FormatError
from bailment.spec import delivery, operation, rules
from bailment.spec.compiled import rank_of
from bailment.spec.delivery import Vocabularies
from bailment.spec.detection import RULES, DetectorRule
from bailment.spec.document import Document
from bailment.spec.policy import BOUNDS, DelegationLimit, policy_of
from bailment.spec.quantity import (
    SECOND,
    date_ms,
    duration_ms,
    number_ppm,
    share_ppm,
    show_duration,
)
from bailment.spec.reading import Path, Reading
from bailment.spec.shape import nearest
from bailment.spec.terms import SUSPENDED, TIERS, TierName


def find(document: Document, reading: Reading, known: Vocabularies | None) -> tuple[str, ...]:
    """Note in the reading all that is wrong with the document; the ids of the requirements that
    nothing can satisfy yet. What adapters can say is not looked at where they are not `known`."""
    meaning = _Meaning(document, reading)
    meaning.kinds(known)
    meaning.tiers()
    rules.find(document, reading)
    meaning.exceptions()
    meaning.lapse()
    meaning.capabilities()
    meaning.policy()
    operation.find(document, reading)
    unsatisfiable = delivery.find(document, reading, known) if known is not None else ()
    meaning.unused()
    return unsatisfiable


class _Meaning:
    def __init__(self, document: Document, reading: Reading) -> None:
        self._document = document
        self._reading = reading
        self._say = reading.complain
        self._names: list[TierName] = [name for name in TIERS if name in document.tiers]

    def kinds(self, known: Vocabularies | None) -> None:
        try:
            date_ms(self._document.metadata.effective)
        except FormatError:
            day = self._document.metadata.effective
            remedy = "write a day that the calendar has"
            self._say(("metadata", "effective"), f"there is no day `{day}`", remedy)
        for name, kind in self._document.evidence_kinds.items():
            path: Path = ("evidence_kinds", name)
            self._not_zero(kind.max_age, (*path, "max_age"))
            if known is not None and kind.adapter not in known:
                remedy = nearest(kind.adapter, sorted(known))
                self._say((*path, "adapter"), f"there is no adapter `{kind.adapter}`", remedy)

    def unused(self) -> None:
        """Said only where nothing is wrong: a rule with a mistake in it looks at nothing."""
        if any(not one.warning for one in self._reading.problems):
            return
        used = rules.kinds_used(self._document)
        for name in self._document.evidence_kinds:
            if name not in used:
                remedy = "use it in a requirement, or remove it"
                self._reading.warn(("evidence_kinds", name), f"no rule looks at `{name}`", remedy)

    def tiers(self) -> None:
        document = self._document
        asked: set[str] = set()
        for at, name in enumerate(self._names):
            self._require(name, asked)
            if self._is_included_rightly(name, self._names[at - 1] if at else None):
                self._freshness(name)
        for id_ in document.requirements:
            if id_ not in asked:
                remedy = "add it to the `require` of a tier, or remove it"
                path = ("requirements", id_)
                self._say(path, f"no tier requires `{id_}`", remedy, of_key=True)

    def _require(self, name: TierName, asked: set[str]) -> None:
        tier, path = self._document.tiers[name], ("tiers", name, "require")
        if not tier.require:
            if tier.includes is UNSET:
                self._say(path, f"`{name}` asks for nothing", "name at least one requirement")
            elif not any(
                name in (one.by_tier or {}) for one in self._document.requirements.values()
            ):
                remedy = "name a requirement, or remove the tier"
                self._reading.warn(path, f"`{name}` asks for nothing of its own", remedy)
        for at, id_ in enumerate(tier.require):
            if id_ not in self._document.requirements:
                remedy = nearest(id_, self._document.requirements)
                self._say((*path, at), f"there is no requirement `{id_}`", remedy)
            elif id_ in asked:
                what = f"`{id_}` is asked for already, here or below"
                self._reading.warn((*path, at), what, "name it once")
            asked.add(id_)

    def _is_included_rightly(self, name: TierName, below: TierName | None) -> bool:
        """Each tier includes the next lower one: who stands in a tier may use all below it."""
        tiers, path = self._document.tiers, ("tiers", name, "includes")
        includes = tiers[name].includes
        if includes is UNSET:
            if below is not None:
                what = f"`{name}` is above `{below}` and does not include it"
                self._say(path[:2], what, f"add `includes: {below}`", of_key=True)
            return False
        if includes == name:
            self._say(path, f"`{name}` includes itself", _include(below))
        elif includes not in tiers:
            self._say(path, f"there is no tier `{includes}`", _include(below))
        elif includes > name and (cycle := self._cycle(name)):
            self._say(path, f"a cycle: {' includes '.join(cycle)}", _include(below))
        elif includes != below:
            self._say(path, f"`{name}` includes not the next lower tier", _include(below))
        else:
            return True
        return False

    def _cycle(self, name: TierName) -> list[str]:
        chain: list[str] = [name]
        tiers = self._document.tiers
        while (tier := tiers.get(chain[-1])) is not None and tier.includes is not UNSET:  # type: ignore[call-overload]
            chain.append(tier.includes)
            if tier.includes == name:
                return chain
            if tier.includes in chain[:-1]:
                break
        return []

    def _freshness(self, name: TierName) -> None:
        tier = self._document.tiers[name]
        for class_ in tier.freshness.__struct_fields__:
            path = ("tiers", name, "freshness", class_)
            age = getattr(tier.freshness, class_)
            before = getattr(self._document.tiers[tier.includes].freshness, class_)  # type: ignore[index]
            if duration_ms(age) > duration_ms(before):
                what = f"older evidence than the `{before}` of the tier below"
                self._say(path, what, f"write `{before}` or less")

    def exceptions(self) -> None:
        policy, path = self._document.exceptions_policy, ("exceptions_policy",)
        self._not_zero(policy.max_ttl, (*path, "max_ttl"))
        for at, id_ in enumerate(policy.never_for):
            if id_ not in self._document.requirements:
                remedy = nearest(id_, self._document.requirements)
                self._say((*path, "never_for", at), f"there is no requirement `{id_}`", remedy)

    def lapse(self) -> None:
        lapse, path, top = self._document.lapse, ("lapse",), self._names[-1]
        spans = [duration_ms(notice) for notice in lapse.notice]
        for at, span in enumerate(spans):
            self._not_zero(lapse.notice[at], (*path, "notice", at))
            if at and span >= spans[at - 1]:
                what = "a notice not later than the one before it"
                self._say((*path, "notice", at), what, "write the longest first")
        for name, to in (
            ("then", lapse.then.step_down),
            ("contradicted", lapse.contradicted.step_down),
        ):
            if to != SUSPENDED and to not in self._document.tiers:
                remedy = nearest(to, [*self._names, SUSPENDED])
                self._say((*path, name, "step_down"), f"there is no tier `{to}`", remedy)
            elif to == top:
                remedy = "write a lower tier, or `suspended`"
                self._say((*path, name, "step_down"), f"nobody stands above `{to}`", remedy)
        if rank_of(lapse.then.step_down) < rank_of(lapse.contradicted.step_down) < rank_of(top):
            what = "a contradiction weighs less than an expiry"
            remedy = f"step down to `{lapse.then.step_down}` or lower"
            self._say((*path, "contradicted", "step_down"), what, remedy)
        if share_ppm(lapse.mass_change_hold) == 0:
            what = "every expiry would wait for a person"
            self._say((*path, "mass_change_hold"), what, 'write a share such as `"20%"`')
        if lapse.hold_at_most is not UNSET:
            self._not_zero(lapse.hold_at_most, (*path, "hold_at_most"))

    def capabilities(self) -> None:
        for id_, capability in (self._document.capabilities or {}).items():
            lowest: dict[tuple[object, ...], tuple[str, int]] = {}
            ordered = sorted(enumerate(capability.thresholds), key=lambda pair: pair[1].tier)
            for at, one in ordered:
                path = ("capabilities", id_, "thresholds", at)
                if one.tier not in self._document.tiers:
                    remedy = nearest(one.tier, self._names)
                    self._say((*path, "tier"), f"there is no tier `{one.tier}`", remedy)
                if (one.min is UNSET) == (one.max is UNSET):
                    self._say(path, "a threshold has one bound", "write either `min` or `max`")
                    continue
                # Negated where low results are the dangerous ones, so that higher is always worse.
                bound, sign = (one.max, -1) if one.min is UNSET else (one.min, 1)
                value = sign * number_ppm(str(bound))
                measure = (one.task, one.scorer, one.metric, sign)
                tier, before = lowest.get(measure, ("", value - 1))
                if value <= before:
                    what = f"`{tier}` is reached no sooner than `{one.tier}`"
                    self._say(path, what, "let a higher tier need a more extreme result")
                lowest[measure] = one.tier, value

    def policy(self) -> None:
        section, path = self._document.policy, ("policy",)
        numbers = policy_of(section)
        for name, where, least, most in BOUNDS:
            number = getattr(numbers, name)
            if not least <= number <= most:
                start = f"`{show_duration(least)}`" if least >= SECOND else "a time above zero, up"
                remedy = f"write {start if least else '`PT0S`'} to `{show_duration(most)}`"
                what = f"`{show_duration(number)}` is out of bounds"
                self._say((*path, *where), what, remedy)
        for group in ("detection", "response", "disclosure"):
            part = getattr(section, group)
            for name in part.__struct_fields__:
                value = getattr(part, name)
                if isinstance(value, str) and value.startswith("P"):
                    longer = "P1D" if group == "disclosure" else "PT1M"
                    self._not_zero(value, (*path, group, name), longer)
        if duration_ms(section.disclosure.initial) > duration_ms(section.disclosure.final):
            what = "the initial report is due after the final one"
            self._say((*path, "disclosure", "initial"), what, "let it be due sooner")
        self._rules()
        self._delegation()

    def _rules(self) -> None:
        rules, path = self._document.policy.detection.rules, ("policy", "detection", "rules")
        for name, rule in {} if rules is UNSET else rules.items():
            here: Path = (*path, name)
            if name not in RULES:
                self._say(here, f"there is no detector `{name}`", nearest(name, RULES), of_key=True)
            if rule == DetectorRule():
                remedy = "add `response`, `threshold` or `window`"
                self._say(here, "nothing is in it", remedy)
            if rule.window is not UNSET:
                self._not_zero(rule.window, (*here, "window"), "PT1H")

    def _delegation(self) -> None:
        delegation, path = self._document.policy.delegation, ("policy", "delegation")
        self._not_zero(delegation.max_ttl, (*path, "max_ttl"))
        depth, ttl = delegation.max_depth, delegation.max_ttl
        for tier, limit in sorted((delegation.by_tier or {}).items()):
            here: Path = (*path, "by_tier", tier)
            if tier not in self._document.tiers:
                remedy = nearest(tier, self._names)
                self._say(here, f"there is no tier `{tier}`", remedy, of_key=True)
            if limit == DelegationLimit():
                self._say(here, "nothing is in it", "add `max_depth` or `max_ttl`")
            if limit.max_depth is not UNSET:
                if limit.max_depth > depth:
                    what = f"deeper than the `{depth}` of the tiers below"
                    self._say((*here, "max_depth"), what, f"write `{depth}` or less")
                depth = limit.max_depth
            if limit.max_ttl is not UNSET:
                self._not_zero(limit.max_ttl, (*here, "max_ttl"))
                if duration_ms(limit.max_ttl) > duration_ms(ttl):
                    what = f"longer than the `{ttl}` of the tiers below"
                    self._say((*here, "max_ttl"), what, f"write `{ttl}` or less")
                ttl = limit.max_ttl

    def _not_zero(self, duration: str, path: Path, longer: str = "P1D") -> None:
        if duration_ms(duration) == 0:
            self._say(path, "no time at all", f"write a longer time, such as `{longer}`")


def _include(below: TierName | None) -> str:
    return "remove `includes`" if below is None else f"write `includes: {below}`"
