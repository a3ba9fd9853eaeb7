"""Whether the requirements of a document can be meant: their rules, limits and ages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.spec.document import Document, EvidenceKind, Override, Requirement, Rule
from bailment.spec.quantity import duration_ms
from bailment.spec.reading import Path, Reading
from bailment.spec.shape import nearest
from bailment.spec.terms import GATEWAY, RANK, TIERS

#: The members that make each form of a rule, and those that may stand beside them.
FORMS = {
    "check": ({"kind", "check"}, {"min_independence", "max_age", "within"}),
    "claim": ({"kind", "claim"}, {"min", "max", "min_independence", "max_age", "within"}),
    "join": ({"join"}, {"min_independence", "max_age"}),
    "of": ({"at_least", "of"}, {"distinct"}),
    "all": ({"all"}, set()),
}
_HOW = (
    "write `kind` with `check`, `kind` with `claim` and `min` or `max`, `join`, `at_least` with "
    "`of`, or `all`"
)
Said = str | UnsetType


def find(document: Document, reading: Reading) -> None:
    """Note in the reading what is wrong with each requirement."""
    for id_, requirement in document.requirements.items():
        _Requirement(document, reading, ("requirements", id_), requirement).find()


def kinds_used(document: Document) -> set[str]:
    """The kinds of evidence that any rule looks at."""
    return {
        kind
        for requirement in document.requirements.values()
        for rule in leaves((requirement.satisfied_by, *listed(requirement.contradicted_by)))
        for kind in _kinds(rule)
    }


class _Requirement:
    def __init__(
        self, document: Document, reading: Reading, path: Path, requirement: Requirement
    ) -> None:
        self._tiers = document.tiers
        self._known = document.evidence_kinds
        self._reading = reading
        self._path = path
        self._requirement = requirement
        self._id = str(path[-1])

    def find(self) -> None:
        requirement, path = self._requirement, self._path
        self._not_zero(requirement.max_age, (*path, "max_age"))
        self._rule(requirement.satisfied_by, (*path, "satisfied_by"))
        for at, rule in enumerate(listed(requirement.contradicted_by)):
            self._contradiction(rule, (*path, "contradicted_by", at))
        self._overrides()

    def _rule(self, rule: Rule, path: Path) -> None:
        form = self._form(rule, path)
        if form == "of" and rule.at_least is not UNSET:
            count = len(listed(rule.of))
            if rule.at_least > count:
                self._say(
                    (*path, "at_least"),
                    f"{rule.at_least} of {count} can never hold",
                    f"ask for at most {count}, or add rules below `of`",
                )
        elif form in ("check", "claim", "join"):
            self._leaf(rule, path)
            if rule.within is not UNSET:
                self._say((*path, "within"), "`within` is for `contradicted_by`", "say `max_age`")
        for name in ("of", "all"):
            below: Sequence[Rule] = listed(getattr(rule, name))
            self._repeated(below, (*path, name))
            for at, one in enumerate(below):
                self._rule(one, (*path, name, at))

    def _form(self, rule: Rule, path: Path) -> str:
        """The form of a rule; empty, and noted by now, where it is of none or of several."""
        if self._reading.has_unknown(path):  # which may be its form, misspelt
            return ""
        given = {name for name in rule.__struct_fields__ if getattr(rule, name) is not UNSET}
        forms = [form for form in FORMS if form in given]
        if not forms:
            self._say(path, "a rule of no form", _lacking(given))
            return ""
        if len(forms) > 1:
            what = " and ".join(f"`{form}`" for form in forms) + " in one rule"
            self._say(path, what, "keep one, or make them two rules below `all`")
            return ""
        needed, allowed = FORMS[forms[0]]
        for name in sorted(needed - given):
            self._say(path, f"`{forms[0]}` without `{name}`", f"add `{name}:`")
        for name in sorted(given - needed - allowed):
            self._say((*path, name), f"`{name}` does not go with `{forms[0]}`", "remove it")
        if forms[0] == "claim" and rule.min is UNSET and rule.max is UNSET:
            self._say(path, "a claim without a bound", "add `min` or `max`")
        return forms[0]

    def _repeated(self, rules: Sequence[Rule], path: Path) -> None:
        """The same evidence must not be counted twice."""
        seen: dict[bytes, int] = {}
        for at, rule in enumerate(rules):
            first = seen.setdefault(canonical.encode(rule), at)
            if first != at:
                self._say((*path, at), f"the same as item {first + 1}", "remove one of the two")

    def _leaf(self, rule: Rule, path: Path) -> None:
        for kind, where in kinds_at(rule, path):
            if kind not in self._known:
                self._say(
                    where, f"no kind of evidence is named `{kind}`", nearest(kind, self._known)
                )
            else:
                self._reachable(kind, self._known[kind], rule, path)
        if rule.join is not UNSET:
            covers = rule.join.covered_by
            for at, kind in enumerate(covers):
                if kind == rule.join.seen or kind in covers[:at]:
                    where = (*path, "join", "covered_by", at)
                    self._say(where, f"`{kind}` stands in the join already", "remove it")
        if rule.min is not UNSET and rule.max is not UNSET and rule.min > rule.max:
            self._say((*path, "min"), "no number is so large and so small", "let `min` be below")
        self._not_zero(rule.max_age, (*path, "max_age"))
        self._not_zero(rule.within, (*path, "within"))

    def _reachable(self, name: str, kind: EvidenceKind, rule: Rule, path: Path) -> None:
        lowest, cap = rule.min_independence, kind.caps_at
        if lowest is not UNSET and cap is not UNSET and RANK[lowest] > RANK[cap]:
            what = f"`{name}` is never more than `{cap}`, so that it never counts here"
            remedy = f"ask for `{cap}` or less, or raise the kind's `caps_at`"
            if kind.adapter == GATEWAY:
                remedy = "remove the kind's `caps_at`"
            self._say((*path, "min_independence"), what, remedy)

    def _contradiction(self, rule: Rule, path: Path) -> None:
        form = self._form(rule, path)
        if form not in ("check", "claim"):
            if form:
                remedy = "remove it" if form == "join" else "write its leaves one by one"
                self._say(path, "only a check or a claim contradicts", remedy)
            return
        self._leaf(rule, path)
        if rule.max_age is not UNSET:
            self._say((*path, "max_age"), "`max_age` is for `satisfied_by`", "say `within`")
        if rule.within is UNSET:
            self._say(path, "nothing says for how long it contradicts", "add `within: P7D`")
        for leaf in leaves((self._requirement.satisfied_by,)):
            same = form == "claim" and (leaf.kind, leaf.claim) == (rule.kind, rule.claim)
            if same and _inside(leaf, rule):
                self._say(
                    path,
                    f"every `{rule.claim}` that satisfies the requirement contradicts it",
                    "let the bounds here begin where those above end",
                )

    def _overrides(self) -> None:
        by_tier = self._requirement.by_tier
        if by_tier is UNSET:
            return
        asking = [tier for tier in TIERS if tier in self._tiers]
        first = next((tier for tier in asking if self._id in self._tiers[tier].require), asking[-1])
        age, limits = self._requirement.max_age, dict[str, int]()
        for tier in sorted(by_tier):
            override, path = by_tier[tier], (*self._path, "by_tier", tier)
            if tier not in self._tiers:
                self._say(path, f"there is no tier `{tier}`", nearest(tier, self._tiers), key=True)
            elif tier < first:
                what = f"`{tier}` does not ask for `{self._id}`"
                self._say(path, what, f"say it from `{first}` on", key=True)
            if override == Override():
                self._say(path, "nothing is in it", "add `max_age` or `limits`")
            self._not_zero(override.max_age, (*path, "max_age"))
            if override.max_age is not UNSET:
                if age is not UNSET and duration_ms(override.max_age) > duration_ms(age):
                    self._looser((*path, "max_age"), f"`{age}`", "less")
                age = override.max_age
            for claim, limit in (override.limits or {}).items():
                self._limit(claim, limit, limits, (*path, "limits", claim))

    def _limit(self, claim: str, limit: int, above: dict[str, int], path: Path) -> None:
        asking = [leaf for leaf in leaves((self._requirement.satisfied_by,)) if leaf.claim == claim]
        if not asking:
            claims = {
                leaf.claim
                for leaf in leaves((self._requirement.satisfied_by,))
                if leaf.claim is not UNSET
            }
            remedy = nearest(claim, sorted(claims)) if claims else "remove it: no rule has a claim"
            self._say(path, f"no rule here looks at a claim `{claim}`", remedy, key=True)
            return
        bounds = sorted({bound for leaf in asking for bound in ("min", "max") if _has(leaf, bound)})
        if len(bounds) > 1:
            what = f"`{claim}` has both `min` and `max`, and this replaces which?"
            self._say(path, what, "give the rules different claims")
        for bound in bounds if len(bounds) == 1 else ():
            said = [above[claim]] if claim in above else [getattr(leaf, bound) for leaf in asking]
            # The strictest of several leaves: the limit replaces that one too.
            before = max(said) if bound == "min" else min(said)
            if (limit < before) if bound == "min" else (limit > before):
                self._looser(path, f"`{before}`", "more" if bound == "min" else "less")
        above[claim] = limit

    def _looser(self, path: Path, before: str, strict: str) -> None:
        what = f"looser than {before}, which a lower tier asks for"
        self._say(path, what, f"write {before} or {strict}")

    def _not_zero(self, duration: Said, path: Path) -> None:
        if duration is not UNSET and duration_ms(duration) == 0:
            self._say(path, "no evidence is so young", "write a longer time, such as `P1D`")

    def _say(self, path: Path, what: str, remedy: str, *, key: bool = False) -> None:
        self._reading.complain(path, what, remedy, of_key=key)


def _lacking(given: set[str]) -> str:
    """What would make a rule of these members one."""
    if "at_least" in given or "distinct" in given:
        return "add `of` with the rules to choose from"
    if "min" in given or "max" in given:
        return "add `claim`" if "kind" in given else "add `kind` and `claim`"
    return "add `check`, or `claim` with `min` or `max`" if "kind" in given else _HOW


def listed(rules: tuple[Rule, ...] | UnsetType) -> tuple[Rule, ...]:
    """The rules, or none where there is no such member."""
    return () if rules is UNSET else rules


def leaves(rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules below which there are no others."""
    for rule in rules:
        below = (*listed(rule.of), *listed(rule.all))
        yield from leaves(below)
        if not below:
            yield rule


def _kinds(rule: Rule) -> Iterator[str]:
    yield from (kind for kind, _ in kinds_at(rule, ()))


def kinds_at(rule: Rule, path: Path) -> Iterator[tuple[str, Path]]:
    """The kinds of evidence of a leaf, and where each is named."""
    if rule.kind is not UNSET:
        yield rule.kind, (*path, "kind")
    if rule.join is not UNSET:
        yield rule.join.seen, (*path, "join", "seen")
        for at, kind in enumerate(rule.join.covered_by):
            yield kind, (*path, "join", "covered_by", at)


def _has(rule: Rule, bound: str) -> bool:
    return getattr(rule, bound) is not UNSET


def _inside(inner: Rule, outer: Rule) -> bool:
    """Whether all numbers within the inner bounds are within the outer ones."""
    above = outer.min is UNSET or (inner.min is not UNSET and outer.min <= inner.min)
    below = outer.max is UNSET or (inner.max is not UNSET and inner.max <= outer.max)
    return above and below
