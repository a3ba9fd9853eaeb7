"""The published vectors of evidence through our own entry points, and the page of the reasons."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bailment.assurance.adapters import dsse
from bailment.assurance.adapters.recognition import ADAPTERS, read
from bailment.assurance.adapters.report import Account
from bailment.assurance.matching import match
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer, parse_key

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "formats" / "vectors"
VECTORS = json.loads((FOLDER / "evidence.json").read_bytes())


def cases(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case["name"]) for case in VECTORS[section]]
    )


@cases("files")
def test_a_file_is_read_or_refused_as_published(case: dict[str, Any]) -> None:
    known = [
        Signer(str(at), "third-party", parse_key(pem.encode()))
        for at, pem in enumerate(case["known"])
    ]
    found = read(case["text"].encode(), known)
    if isinstance(found, EvidenceRefused):
        assert {"refused": found.reason} == {"refused": case.get("refused")}, found
        return
    assert {
        "adapter": found.adapter,
        "report": "derived" if found.report.startswith("derived:") else found.report,
        "kind": found.kind,
        "claimed": found.claimed,
        "expires": found.expires,
        "checks": dict(found.checks),
        "claims": dict(found.claims),
        "people": list(found.people),
        "signers": [int(signer.holder) for signer in found.signers],
        "strangers": found.strangers,
    } == case.get("read")


@cases("matched")
def test_accounts_are_matched_as_published(case: dict[str, Any]) -> None:
    accounts = [
        Account(one["id"], one["user_name"], tuple(one["emails"]), one["active"])
        for one in case["accounts"]
    ]
    assert match(accounts, case["known"]) == (
        tuple(case["people"]),
        case["accounts_claim"],
        case["unmatched"],
        case["inactive"],
    )


@cases("pae")
def test_the_encoding_that_is_signed_is_as_published(case: dict[str, Any]) -> None:
    assert dsse.pae(case["type"], case["payload"].encode()) == case["encoded"].encode()


def test_the_vectors_are_what_their_generator_writes(tmp_path: Path) -> None:
    generator = FOLDER / "generate_evidence.py"
    subprocess.run([sys.executable, generator, tmp_path], check=True)
    assert (tmp_path / "evidence.json").read_bytes() == (FOLDER / "evidence.json").read_bytes()


def test_the_page_of_evidence_has_a_line_for_each_reason_and_adapter_and_no_other() -> None:
    page = (ROOT / "docs" / "evidence.md").read_text()
    listed = re.findall(r"^\| `([a-z0-9/-]+)` \|", page, re.M)
    reasons = [name for name in listed if name.startswith("evidence-")]
    assert sorted(reasons) == sorted(EvidenceReason)
    assert {name for name in listed if name.endswith("/1")} == ADAPTERS


def test_every_reason_is_named_in_a_test() -> None:
    tests = "\n".join(
        path.read_text()
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__)
    )
    assert [r for r in EvidenceReason if not re.search(rf"EvidenceReason\.{r.name}\b", tests)] == []
