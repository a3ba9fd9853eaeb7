"""Two people from the command line, with a key each: what one types, another has to sign."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..access.small_spec import SPEC
from .lab import CONTACT, MODEL, PURPOSE, Done, Lab, ModelServer, Quick

pytestmark = pytest.mark.journey

#: The check that the scanner really has, and acts that take two people.
TEXT = SPEC
for old, new in {
    b"check: MFA": b"check: MS.AAD.3.1v1",
    b"    contradicted_by: [{kind: scan, claim: shared, min: 1, within: P7D}]\n": b"",
    b"[]}": b"[hold-everything, lift-everything, spec-apply, operator-change]}",
}.items():
    assert old in TEXT
    TEXT = TEXT.replace(old, new)


@pytest.fixture(scope="module")
def lab(root: Path, model: ModelServer, quick: Quick) -> Iterator[Lab]:
    """A lab whose spec asks for two people, of whom there are ada and bo."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), model, quick)
    lab.init()
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk", "--contact", CONTACT),
            *("--model", MODEL, "--purpose", PURPOSE, "--until", "90d"),
        )
        for name in ("ada", "bo"):
            lab.admin.ok("approver", "key", lab.root / name)
            lab.team.ok("approver", "add", name, "--key", lab.root / name / "approver.jwk")
        (lab.root / "spec.yaml").write_bytes(TEXT)
        planned = lab.team("spec", "plan", lab.root / "spec.yaml", "-o", lab.root / "plan.json")
        assert planned.status == 10, planned.err
        lab.team.ok("spec", "apply", lab.root / "plan.json")
        yield lab


def proposal(done: Done) -> str:
    """What was proposed."""
    assert done.status == 10, done.err
    found = re.fullmatch(r"proposed ([0-9a-f]{32}): `[a-z-]+` takes 2 people who sign\n", done.out)
    assert found is not None, done.out
    assert f"bailment approve sign {found[1][:8]} --key FOLDER" in done.err
    return found[1]


def test_what_one_types_two_sign(lab: Lab) -> None:
    held = lab.team("hold", "add", "everything", "--reason", "the model leaked")
    name = proposal(held)
    (row,) = lab.team.json("approve", "list")
    assert (row["proposal"], row["about"], row["missing"]) == (name, "everything", 2)
    shown = lab.team.ok("approve", "show", name)
    assert "  reason: the model leaked" in shown
    assert row["digest"] in shown
    first = lab.team("approve", "sign", name[:8], "--key", lab.root / "ada", "--yes")
    assert (first.status, "signed by ada; it takes 1 more" in first.out) == (10, True)
    again = lab.team("approve", "sign", name[:8], "--key", lab.root / "ada", "--yes")
    assert again.status == 10
    second = lab.team.ok("approve", "sign", name[:8], "--key", lab.root / "bo", "--yes")
    assert f"signed by bo, and done: {name}" in second
    (hold,) = lab.team.json("hold", "list")
    assert hold["subject"] == "everything"


def test_a_proposal_is_signed_on_another_machine_and_handed_in(lab: Lab) -> None:
    name = proposal(lab.team("hold", "lift", "everything", "--reason", "it did not"))
    file = lab.root / "act.json"
    lab.team.ok("approve", "show", name, "-o", file)
    for who in ("ada", "bo"):
        lab.admin.ok("approve", "sign", file, "--key", lab.root / who, "--yes")
    assert "done" in lab.team("approve", "hand-in", file).out
    assert lab.team.json("hold", "list") == []


def test_an_edited_proposal_is_not_what_is_signed(lab: Lab) -> None:
    name = proposal(lab.team("hold", "add", "everything", "--reason", "x"))
    file = lab.root / "edited.json"
    lab.team.ok("approve", "show", name, "-o", file)
    file.write_text(file.read_text().replace('"everything"', f'"model:{MODEL}"'))
    lab.admin.ok("approve", "sign", file, "--key", lab.root / "ada", "--yes")
    refused = lab.team("approve", "hand-in", file)
    assert (refused.status, "another act was signed" in refused.err) == (1, True)
    lab.team.ok("approve", "withdraw", name, "--reason", "no")
    assert lab.team.json("approve", "list") == []


def test_a_spec_of_two_people_is_applied_by_two_and_by_a_plan_that_still_holds(lab: Lab) -> None:
    file, plan = lab.root / "next.yaml", lab.root / "next.json"
    file.write_bytes(TEXT.replace(b"version: 1.0.0", b"version: 1.0.1"))
    lab.team("spec", "plan", file, "-o", plan)
    name = proposal(lab.team("spec", "apply", plan))
    lab.team("approve", "sign", name, "--key", lab.root / "ada", "--yes")
    assert "spec: " in lab.team.ok("approve", "sign", name, "--key", lab.root / "bo", "--yes")
    stale = lab.team("spec", "apply", plan)
    assert (stale.status, "in force already" in stale.err) == (1, True)


def test_somebody_is_invited_without_a_password(lab: Lab) -> None:
    out = lab.team.ok("operator", "invite", "Eve", "--role", "issuer-security", "--approver", "ada")
    assert re.fullmatch(rf"{re.escape(lab.url)}/console/register#[\w-]{{32}}\n", out)
    (row,) = lab.team.json("operator", "list")
    assert (row["name"], row["state"], row["approver"]) == ("Eve", "invited", "ada")
    wrong = lab.team("operator", "invite", "Zed", "--role", "recipient-admin")
    assert wrong.status == 2
    name = proposal(lab.team("operator", "end", row["operator"][:8], "--reason", "left"))
    for who in ("ada", "bo"):
        lab.team("approve", "sign", name, "--key", lab.root / who, "--yes")
    assert lab.team.json("operator", "list")[0]["state"] == "ended"
