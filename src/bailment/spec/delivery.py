"""Whether anything can deliver the evidence that the rules of a document ask for.

What no evidence can ever say is an error: a misspelt claim, a number that no count can be. What is
defined, and made by nothing yet, is a warning: only recipients are held up by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from msgspec import UNSET

from bailment.spec.document import Document, EvidenceKind, Rule
from bailment.spec.reading import Path, Reading
from bailment.spec.rules import kinds_at, leaves, listed
from bailment.spec.shape import nearest
from bailment.spec.terms import GATEWAY, RANK
from bailment.spec.vocabulary import Range, Vocabulary

Vocabularies = Mapping[str, Vocabulary]


def find(document: Document, reading: Reading, known: Vocabularies) -> tuple[str, ...]:
    """Note in the reading what cannot be delivered; the ids of the requirements that nothing can
    satisfy yet, in order."""
    for name, kind in document.evidence_kinds.items():
        if kind.adapter == GATEWAY and kind.caps_at not in (UNSET, "observed"):
            what = f"what the gateway saw is `observed` or nothing: `{name}` never counts"
            reading.complain(("evidence_kinds", name, "caps_at"), what, "remove `caps_at`")
    return tuple(
        id_
        for id_ in document.requirements
        if not _Requirement(document, reading, known, id_).is_met()
    )


class _Gap(NamedTuple):
    """What nothing makes yet, and where it is asked for."""

    path: Path
    what: str
    remedy: str


class _Asked(NamedTuple):
    """A kind of evidence that a leaf asks, and what its evidence can say."""

    name: str
    kind: EvidenceKind
    says: Vocabulary
    leaf: Rule
    path: Path
    named: Path

    @property
    def observed(self) -> bool:
        """Whether only what the gateway collected counts."""
        return self.kind.adapter == GATEWAY or self.leaf.min_independence == "observed"


class _Requirement:
    def __init__(self, document: Document, reading: Reading, known: Vocabularies, id_: str) -> None:
        self._kinds = document.evidence_kinds
        self._reading = reading
        self._known = known
        self._id = id_
        self._its = document.requirements[id_]
        self._gaps: list[_Gap] = []

    def is_met(self) -> bool:
        """Whether anything can satisfy the requirement; what is wrong, or not made, is noted."""
        path: Path = ("requirements", self._id)
        met = self._holds(self._its.satisfied_by, (*path, "satisfied_by"))
        self._warn("this never holds" if met else f"nobody can satisfy `{self._id}`")
        for at, rule in enumerate(listed(self._its.contradicted_by)):
            where = (*path, "contradicted_by", at)
            self._holds(rule, where)
            for asked in self._asked(rule, where):
                self._always(asked)
        self._warn("it contradicts nothing")
        self._limits(path)
        return met

    def _warn(self, so: str) -> None:
        """Say of each gap what follows from it."""
        for gap in self._gaps:
            self._reading.warn(gap.path, f"{gap.what}: {so}", gap.remedy)
        self._gaps.clear()

    def _holds(self, rule: Rule, path: Path) -> bool:
        """Whether evidence that is made by now can satisfy the rule."""
        for name in ("of", "all"):
            if below := listed(getattr(rule, name)):
                held = [self._holds(one, (*path, name, at)) for at, one in enumerate(below)]
                self._apart(rule, path)
                return sum(held) >= (len(below) if rule.at_least is UNSET else rule.at_least)
        before = len(self._gaps)
        for asked in self._asked(rule, path):
            self._independence(asked)
            if rule.join is not UNSET:
                self._people(asked)
            elif rule.check is not UNSET:
                self._check(asked)
            elif rule.claim is not UNSET:
                self._claim(asked)
        return len(self._gaps) == before

    def _asked(self, leaf: Rule, path: Path) -> Iterator[_Asked]:
        """The kinds that a leaf asks; those that do not exist, or whose adapter does not, are
        noted already."""
        for name, where in kinds_at(leaf, path):
            kind = self._kinds.get(name)
            if kind is not None and kind.adapter in self._known:
                yield _Asked(name, kind, self._known[kind.adapter], leaf, path, where)

    def _independence(self, asked: _Asked) -> None:
        lowest, cap, most = asked.leaf.min_independence, asked.kind.caps_at, asked.says.most
        if lowest is UNSET or RANK[lowest] <= RANK[most]:
            return
        if cap is UNSET or RANK[lowest] <= RANK[cap]:  # else it is noted already
            what = f"nothing of `{_of(asked)}` is collected as more than `{most}`"
            self._say((*asked.path, "min_independence"), what, f"ask for `{most}` or less")

    def _people(self, asked: _Asked) -> None:
        if not asked.says.people:
            named = [name for name, _ in kinds_at(asked.leaf, ())]
            some = [
                name
                for name, kind in self._kinds.items()
                if name not in named and self._known.get(kind.adapter, Vocabulary()).people
            ]
            what = f"`{asked.name}` names no people: nothing of `{_of(asked)}` does"
            remedy = _one_of(some) if some else f"add a kind of {_naming(self._known)}"
            self._say(asked.named, what, remedy)

    def _check(self, asked: _Asked) -> None:
        check, says = str(asked.leaf.check), asked.says
        if not says.checks:
            what = f"`{asked.name}` has no checks: nothing of `{_of(asked)}` has"
            remedy = f"write `claim` with `min` or `max`; {nearest(check, says.claims)}"
            self._say((*asked.path, "check"), what, remedy)
        elif asked.observed and says.observed is not None:
            self._gap(asked, "check", check)

    def _claim(self, asked: _Asked) -> None:
        claim, says = str(asked.leaf.claim), asked.says
        found = says.range_of(claim)
        if found is None:
            self._unknown(asked, claim)
            return
        for bound in ("min", "max"):
            number = getattr(asked.leaf, bound)
            if number is not UNSET:
                self._number(claim, found, bound, number, (*asked.path, bound))
        made = not asked.observed or says.observed is None or claim in says.observed
        if claim in says.planned or not made:
            self._gap(asked, "claim", claim)

    def _unknown(self, asked: _Asked, claim: str) -> None:
        says, where = asked.says, (*asked.path, "claim")
        if not says.claims and says.others is None:
            what = f"`{asked.name}` has no claims: nothing of `{_of(asked)}` has"
            self._say(where, what, "write `check`, and what the tool calls it")
        else:
            names = [*says.claims, *says.planned]
            remedy = says.others.how if says.others else nearest(claim, names, len(names))
            self._say(where, f"nothing of `{_of(asked)}` claims `{claim}`", remedy)

    def _gap(self, asked: _Asked, member: str, name: str) -> None:
        observed = sorted(asked.says.observed or ())
        meant = get_close_matches(name, observed, n=1, cutoff=0.9)
        if meant:
            remedy = f"did you mean `{meant[0]}`?"
        elif observed:
            remedy = "ask for `pulled`: as that a file counts which the issuer hands in"
        else:
            remedy = "leave it out until the gateway tells it"
        rank = "as `observed` " if observed else ""
        what = f"nothing tells `{name}` of `{asked.name}` {rank}yet"
        self._gaps.append(_Gap((*asked.path, member), what, remedy))

    def _number(self, claim: str, found: Range, bound: str, number: int, path: Path) -> None:
        """Note a bound that no number meets, or that every number does."""
        least, most = found.least, found.most
        if least is not None and number < least:
            what, remedy = f"`{claim}` is never less than `{least}`", f"write `{least}` or more"
            never = bound == "max"
        elif most is not None and number > most:
            what, remedy = f"`{claim}` is never more than `{most}`", f"write `{most}` or less"
            never = bound == "min"
        elif least is None and bound == "max" and number < 0:
            what = f"`{claim}` would have to be negative, which what is counted never is"
            self._reading.warn(path, what, "write `0` or more, unless it is no count")
            return
        else:
            return
        if never:
            self._say(path, f"{what}, so that this never holds", remedy)
        else:
            self._reading.warn(path, f"{what}, so that this asks for nothing", remedy)

    def _limits(self, path: Path) -> None:
        """Look at what `by_tier` puts in the place of a bound."""
        for tier, override in (self._its.by_tier or {}).items():
            for claim, number in (override.limits or {}).items():
                where = (*path, "by_tier", tier, "limits", claim)
                same = (one for one in leaves((self._its.satisfied_by,)) if one.claim == claim)
                for asked in (one for leaf in same for one in self._asked(leaf, path)):
                    found = asked.says.range_of(claim) or Range()
                    bound = "max" if asked.leaf.min is UNSET else "min"
                    self._number(claim, found, bound, number, where)
                    break

    def _always(self, asked: _Asked) -> None:
        """Note what contradicts whatever is counted."""
        leaf = asked.leaf
        found = Range() if leaf.claim is UNSET else asked.says.range_of(leaf.claim) or Range()
        if found.least is None or leaf.claim is UNSET:
            return
        low = leaf.min is UNSET or leaf.min <= found.least
        high = leaf.max is UNSET or (found.most is not None and leaf.max >= found.most)
        if low and high:
            what = f"every `{leaf.claim}` contradicts, `{found.least}` too"
            self._say(asked.path, what, "let the bounds leave out the numbers that are right")

    def _apart(self, rule: Rule, path: Path) -> None:
        """Note where more collectors are asked for than there can be."""
        if rule.distinct is UNSET or rule.at_least is UNSET:
            return
        below = listed(rule.of)
        ours = sum(any(asked.observed for asked in self._asked(one, path)) for one in below)
        most = len(below) - max(ours - 1, 0)
        if most < rule.at_least <= len(below):
            what = f"{ours} of these only the gateway collects, and they count as one"
            self._say((*path, "at_least"), what, f"ask for at most {most}, or remove `distinct`")

    def _say(self, path: Path, what: str, remedy: str) -> None:
        self._reading.complain(path, what, remedy)


def _of(asked: _Asked) -> str:
    return asked.kind.adapter


def _one_of(names: list[str]) -> str:
    return "write one that does: " + ", ".join(f"`{name}`" for name in names)


def _naming(known: Vocabularies) -> str:
    return " or ".join(f"`{adapter}`" for adapter, says in known.items() if says.people)
