"""The page of requirements is what the catalogue says."""

from __future__ import annotations

import re
from pathlib import Path

from bailment.cli.requirements import page

from .builtin import document

PAGE = Path(__file__).parents[2] / "docs" / "requirements.md"


def test_the_page_of_requirements_is_current() -> None:
    assert PAGE.read_text() == page()


def test_every_link_of_its_table_leads_to_a_requirement() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line[4:].lower()).replace(" ", "-")
        for line in page().splitlines()
        if line.startswith("### ")
    }
    links = re.findall(r"\]\(#([^)]+)\)", page())
    assert len(links) == len(document().requirements)
    assert set(links) <= headings


def test_a_control_that_was_checked_less_well_says_so() -> None:
    assert "AC-2(9) (`fedramp-high`)" in page()
    assert "AC-2 (`" not in page()
    assert "Not mapped. No list of its ids was found" in page()
