"""The built-in spec, and an evaluation under it in which every status occurs."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from msgspec import UNSET

from bailment.assurance.evaluation import Evaluation, evaluate
from bailment.assurance.grant import Grant
from bailment.assurance.item import Item
from bailment.cli import catalogue
from bailment.spec.compiled import compile_spec
from bailment.spec.document import Document, Rule
from bailment.spec.terms import Independence
from bailment.spec.validation import load

NOW = 1_793_000_000_000
DAY = 86_400_000
PEOPLE = ("a" * 32, "b" * 32)


@functools.cache
def document() -> Document:
    return load(catalogue.spec_text().encode())


def leaves(*rules: Rule) -> Iterator[Rule]:
    """The leaves of rules."""
    for rule in rules:
        below = rule.all if rule.all is not UNSET else rule.of
        if below is UNSET:
            yield rule
        else:
            yield from leaves(*below)


def item(
    number: int, kind: str, independence: Independence = "observed", *, age: int = 0, **says: object
) -> Item:
    """An item of evidence, so many days old."""
    dated = NOW - age * DAY
    return Item(
        id=f"{number:032x}",
        kind=kind,
        adapter=document().evidence_kinds[kind].adapter,
        independence=independence,
        collector="collector",
        report=f"report-{number}",
        scope="tenant",
        dated=dated,
        received=dated,
        digest=f"{number:064x}",
        **says,  # type: ignore[arg-type]
    )


ITEMS = (
    item(1, "gw.use", people=PEOPLE, claims={"bound_ppm": 999_999, "shared_credential_alerts": 1}),
    item(2, "idp.roster", "pulled", people=PEOPLE),
    item(
        3,
        "scuba.entra",
        "pulled",
        checks={"MS.AAD.3.1v1": "fail", "MS.AAD.3.2v2": "pass"},
        notes=("`MS.AAD.3.1v1` says *Pass*, and its OriginalResult says Fail",),
    ),
    item(4, "drill.offboarding", age=40, claims={"refused_after_s": 20}),
    item(5, "attest.executive", "self", claims={"tier": 4}, simulated=True),
    item(6, "scan.secrets", "self-tool", checks={"no-secrets": "pass"}),
)
GRANTS = (
    Grant("f" * 32, "IR-1", NOW - DAY, NOW + 5 * DAY, ("c" * 32, "d" * 32), ("A second contact.",)),
)


def evaluation() -> Evaluation:
    return evaluate(compile_spec(document()), ITEMS, GRANTS, NOW)
