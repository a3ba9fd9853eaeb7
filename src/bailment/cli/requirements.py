"""The page of the built-in requirements.

`python -m bailment.cli.requirements > docs/requirements.md`
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby

import msgspec
from msgspec import UNSET

from bailment.cli import catalogue
from bailment.spec import reading
from bailment.spec.builtin import Framework, tiers_from
from bailment.spec.document import Document, Requirement
from bailment.spec.markdown import requirement_lines, table
from bailment.spec.prose import by_tier, words
from bailment.spec.terms import TIERS

_HEAD = """\
# Requirements

Made by `python -m bailment.cli.requirements > docs/requirements.md`; a test holds it to that.

These are the requirements that bailment brings along. They are data, in
`src/bailment/spec/catalogue`, written in the language of every spec, and none of their numbers is
anywhere else. `bailment spec init FILE` writes them out with their comments, as one spec to make
your own: change numbers, strike requirements, add others. Nothing is inherited. What your file does
not say does not hold, and a later version of the catalogue changes nothing for you.

The tiers are T1, early access; T2, relaxed refusals; T3, withheld models; T4, safeguards removed or
close to the weights. Each asks for all that the tiers below it ask for. The numbers are proposals.
Many requirements on third parties, people and governance rest on somebody's statement, which is why
the independence of evidence is always shown beside it.
"""
_MAPPED = """\
## How the mappings were checked

That a requirement maps to a control says that both ask for something of the kind, not that to meet
one is to meet the other. A control has the first status of its framework unless another is named
beside it.
"""


def page() -> str:
    """The page, in CommonMark with tables."""
    document = msgspec.convert(reading.read(catalogue.spec_text().encode()).value, Document)
    frameworks = catalogue.mappings()
    tiers = tiers_from(document)
    rows = (
        (f"[{id_}](#{_anchor(id_, one)})", one.title, tiers[id_], _age(one))
        for id_, one in document.requirements.items()
    )
    lines = [_HEAD, *table(("", "Requirement", "From", "Evidence of the last"), rows)]
    for family, ids in groupby(document.requirements, lambda id_: _family(document, id_)):
        lines += [f"## {family}", ""]
        for id_ in ids:
            lines += requirement_lines(document, id_, tiers[id_])
            lines += _mapped(document.requirements[id_], frameworks)
    lines.append(_MAPPED)
    lines += table(("Framework", "How it was checked", "Statuses"), _checked(frameworks))
    return "\n".join(lines)


def _family(document: Document, id_: str) -> str:
    return str(document.requirements[id_].family)


def _anchor(id_: str, requirement: Requirement) -> str:
    """The name that GitHub gives to the requirement's heading."""
    return re.sub(r"[^\w -]", "", f"{id_} {requirement.title}".lower()).replace(" ", "-")


def _age(requirement: Requirement) -> str:
    age = "by kind and tier" if requirement.max_age is UNSET else words(requirement.max_age)
    stricter = [f"{tier}: {text}" for tier in TIERS if (text := by_tier(requirement, tier))]
    return "; ".join((age, *stricter))


def _mapped(requirement: Requirement, frameworks: Mapping[str, Framework]) -> Iterator[str]:
    maps = () if requirement.maps is UNSET else requirement.maps
    yield from ("Maps to:", "")
    for prefix, group in groupby((one.split(":", 1) for one in maps), lambda pair: pair[0]):
        framework = frameworks[prefix]
        yield f"- {framework.title}: " + ", ".join(_control(framework, one) for _, one in group)
    yield ""


def _control(framework: Framework, control: str) -> str:
    status = framework.status_of(control)
    return control if status == _first(framework) else f"{control} (`{status}`)"


def _first(framework: Framework) -> str:
    return next(iter({} if framework.statuses is UNSET else framework.statuses), "")


def _checked(frameworks: Mapping[str, Framework]) -> Iterator[tuple[str, str, str]]:
    for framework in frameworks.values():
        statuses = {} if framework.statuses is UNSET else framework.statuses
        meanings = (f"`{name}`: {status.meaning}" for name, status in statuses.items())
        yield framework.title, framework.note, "; ".join(meanings)


if __name__ == "__main__":
    sys.stdout.write(page())
