"""What something may be about is there, or is called what people call a firm or a system."""

from __future__ import annotations

import pytest

from bailment.incident.subjects import unfit

from .test_blast_radius import Town, node

TOWN = Town()


@pytest.mark.parametrize("party", ["acme", "sub", "maria", "device"])
def test_a_subject_of_the_register_is_there(party: str) -> None:
    assert unfit(TOWN.book.register, node(getattr(TOWN, party))) == ""


@pytest.mark.parametrize(
    "subject", ["vendor:mercury", "system:ci-vault.eu_1", "network:AS64500", "model:any"]
)
def test_what_is_in_no_register_has_a_name(subject: str) -> None:
    assert unfit(TOWN.book.register, subject) == ""


@pytest.mark.parametrize(
    "subject",
    [
        *("vendor:../../etc", "vendor:", "system:a/b", "system:.hidden", "vendor:a b", "vendor:é"),
        *(f"vendor:{'a' * 65}", "system:ci-vault\n", "vndor:mercury", "mercury", "", "network:"),
        *("finding:4f2a9c11", "everything", "person:nobody", f"source:{'0' * 32}"),
        f"person:{TOWN.device.its.subject}",
    ],
)
def test_what_is_no_subject_or_is_not_there_is_refused_by_its_name(subject: str) -> None:
    assert f"`{subject}`" in unfit(TOWN.book.register, subject)
