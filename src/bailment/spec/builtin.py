"""The built-in spec, put together from the pieces that lie in `catalogue/`.

The pieces are YAML: `spec` is all of a spec but its requirements, and each family is a mapping of
requirements by id. They are joined as text, so that what comes out is a spec to edit, with the
comments that explain it. `mappings` says how the controls were checked that requirements map to.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from bailment.errors import FormatError
from bailment.spec import reading
from bailment.spec.document import Document
from bailment.spec.terms import Part, TierName, Title

SPEC, MAPPINGS = "spec", "mappings"
FAMILIES = (
    "identity",
    "device",
    "network",
    "credentials",
    "third-parties",
    "logging",
    "incident",
    "personnel",
    "purpose",
    "data",
    "governance",
)

_REQUIREMENTS = f"""
# ── Requirements {"─" * 84}
# What a recipient must prove, by family. `max_age` is how old the evidence may be; where it is left
# out, the kind's and the tier's numbers hold. `by_tier` says what a tier asks for beyond that. A
# claim that ends in `_s` counts seconds, `_days` days, and `_ppm` millionths of a whole.
requirements:
"""


class Status(Part, frozen=True):
    """How well a control is known; without `controls`, that of all which no other status lists."""

    meaning: str
    controls: tuple[str, ...] = ()


class Framework(Part, frozen=True):
    """A catalogue of others that requirements map to. Without statuses it is not mapped to."""

    title: Title
    note: str
    statuses: Annotated[dict[str, Status], Meta(min_length=1)] | msgspec.UnsetType = UNSET

    def status_of(self, control: str) -> str:
        """The name of the control's status; FormatError if nothing is known of any control."""
        statuses = {} if self.statuses is UNSET else self.statuses
        for name, status in statuses.items():
            if control in status.controls:
                return name
        for name, status in statuses.items():
            if not status.controls:
                return name
        raise FormatError(f"`{control}` of `{self.title}` has no status")


def spec_text(pieces: Mapping[str, str]) -> str:
    """The whole built-in spec as YAML, from the text of `SPEC` and of each of `FAMILIES`."""
    families = (indent(pieces[family], "  ") for family in FAMILIES)
    return pieces[SPEC] + _REQUIREMENTS + "\n".join(families)


def read_mappings(data: bytes) -> dict[str, Framework]:
    """The frameworks by the prefix that `maps` has; FormatError where the data is none."""
    read = reading.read(data)
    if read.problems:
        first = read.problems[0]
        raise FormatError(f"{first.what} at line {first.line}", hint=first.remedy)
    try:
        return msgspec.convert(read.value, dict[str, Framework])
    except msgspec.ValidationError as error:
        raise FormatError(str(error)) from None


def tiers_from(document: Document) -> dict[str, TierName]:
    """The lowest tier that asks for each requirement, by id, in the order of the tiers."""
    asked: dict[str, TierName] = {}
    for name in sorted(document.tiers):
        for id_ in document.tiers[name].require:
            asked.setdefault(id_, name)
    return asked
