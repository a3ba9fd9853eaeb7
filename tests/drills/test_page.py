"""docs/drill.md shows what the program prints: `benchmarks/drill.py --write` makes it anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailment.cli.catalogue import spec_text
from bailment.cli.drill_run import row_of
from bailment.drills.breach.lab import NOTES
from bailment.drills.breach.order import Tried
from bailment.drills.breach.result import outcome_of
from bailment.drills.breach.variants import NAMES, VARIANTS
from bailment.spec.validation import check
from bailment.spec.vocabulary import VOCABULARIES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "drill.md").read_text()


def _block(form: str) -> list[str]:
    """The lines between the marks of a form."""
    mark = f"<!-- {form}: written by benchmarks/drill.py -->\n"
    return PAGE.partition(mark)[2].partition("<!-- end -->")[0].splitlines()


@pytest.mark.parametrize("form", ["live", "lab"])
def test_the_page_has_the_programs_columns_and_variants(form: str) -> None:
    lines = _block(form)
    tried = [Tried("stranger 1", 1, 2, 401, "proof-missing")]
    outcome = outcome_of("bearer", "t", 1, "refused", "", "r", tried, [], [])
    columns = list(row_of(outcome, simulated=form == "lab"))
    assert lines[:2] == ["```", f"$ bailment drill run breach-2026 --{form}"]
    at = next(number for number, line in enumerate(lines) if line.startswith("variant "))
    assert re.split(r"\s{2,}", lines[at]) == columns
    assert tuple(line.split()[0] for line in lines[at + 1 : at + 1 + len(NAMES)]) == NAMES
    picture = (DOCS / "images" / f"drill-{form}.svg").read_text()
    assert all(f">{name}<" in picture for name in NAMES)
    assert f"images/drill-{form}.svg" in PAGE


def test_the_page_says_what_is_simulated_and_what_cannot_be_seen() -> None:
    lines = _block("lab")
    assert any("SIMULATED, lab" in line and "50 recipients" in line for line in lines)
    assert set(NOTES) <= set(lines)
    relay = next(one for one in VARIANTS if one.name == "relay-2")
    assert any(f"{relay.name}: {relay.unseen}" in line for line in (*lines, *_block("live")))


def test_every_variant_is_explained() -> None:
    for variant in VARIANTS:
        assert f"`{variant.name}`" in PAGE


def test_what_the_page_puts_into_the_built_in_spec_is_valid_there() -> None:
    block = PAGE.partition("```yaml\n")[2].partition("```")[0]
    kinds, _, rest = block.partition("requirements:\n")
    requirements, _, tiers = rest.partition("tiers:\n")
    text = spec_text()
    for section, more in (
        ("\nevidence_kinds:\n", kinds.partition("evidence_kinds:\n")[2]),
        ("\nrequirements:\n", requirements),
        ("    require:\n      - ID-7", "      - LAB-1\n"),
    ):
        before, found, after = text.partition(section)
        assert found, section
        line, end, after = after.partition("\n") if section.endswith("ID-7") else ("", "", after)
        text = f"{before}{found}{line}{end}{more}{after}"
    assert tiers.startswith("  T3: {require: [LAB-1]}")
    checked = check(text.encode(), VOCABULARIES)
    document = checked.document
    assert document is not None and "LAB-1" in document.requirements
    assert all(one.warning and "LAB-1" not in one.path for one in checked.problems)
