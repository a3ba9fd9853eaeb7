"""The published vectors of results and tier decisions, through our own entry points."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bailment import canonical
from bailment.access import jwk
from bailment.access.approval import TIER, verify_approval
from bailment.access.reasons import Refused
from bailment.assurance.capability import Decision, objection, propose
from bailment.assurance.results import Result, read
from bailment.errors import FormatError
from bailment.spec.compiled import CompiledSpec, compile_spec
from bailment.spec.document import Capability
from bailment.spec.validation import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "formats" / "vectors"
VECTORS = json.loads((FOLDER / "capability.json").read_bytes())
EXAMPLE = ROOT / "docs" / "examples" / "restricted-preview.yaml"


def cases(section: str) -> pytest.MarkDecorator:
    named = [pytest.param(case, id=case.get("name") or case["value"]) for case in VECTORS[section]]
    return pytest.mark.parametrize("case", named)


def spec() -> CompiledSpec:
    """The example with the capabilities of the vectors, four tiers and the digest told."""
    capabilities = msgspec.convert(VECTORS["capabilities"], dict[str, Capability])
    document = load(EXAMPLE.read_bytes())
    found = compile_spec(replace(document, capabilities=capabilities))
    lowest = found.tiers[0]
    tiers = [replace(lowest, name=name, rank=at) for at, name in enumerate(VECTORS["tiers"], 1)]
    return replace(found, digest=VECTORS["spec"], tiers=tuple(tiers))


@cases("values")
def test_a_value_is_counted_as_published(case: dict[str, Any]) -> None:
    header = json.loads(b64decode(VECTORS["files"][0]["file_base64"]))
    header["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 12345
    found = read(json.dumps(header).replace("12345", case["value"]).encode())
    values = [one.value for one in found.results if one.metric == "accuracy"]
    assert values == ([] if case["millionths"] is None else [case["millionths"]])


@cases("files")
def test_a_file_says_what_is_published(case: dict[str, Any]) -> None:
    data = b64decode(case["file_base64"])
    if case["result"] == "malformed":
        with pytest.raises(FormatError):
            read(data)
        return
    found = read(data)
    assert canonical.encode(found.results) == canonical.encode(case["results"])
    assert len(found.ignored) == case["ignored"]


@cases("proposals")
def test_results_propose_what_is_published(case: dict[str, Any]) -> None:
    results = msgspec.convert(case["results"], list[Result])
    found = propose(spec(), results, model="lab/preview", before=case["before"])
    assert (found.tier, list(found.unevaluated)) == (case["proposed"], case["unevaluated"])
    assert list(found.cited) == [results[at] for at in case["cited"]]


def test_a_decision_is_signed_as_its_canonical_json() -> None:
    decision = msgspec.convert(VECTORS["decision"], Decision)
    assert canonical.encode(decision) == VECTORS["payload"].encode()


@cases("approvals")
def test_an_approval_counts_as_published(case: dict[str, Any]) -> None:
    found = verify_approval(case["approval"], TIER, jwk.parse(VECTORS["approver"]))
    if case["result"] == "ok":
        assert found == VECTORS["decision"]
        return
    assert isinstance(found, Refused)
    assert ("malformed" in found.detail) == (case["result"] == "malformed")


@cases("objections")
def test_a_decision_stands_as_published(case: dict[str, Any]) -> None:
    assert (objection(msgspec.convert(case["decision"], Decision), spec()) == "") == case["stands"]


def test_the_vectors_are_what_their_generator_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "generate_capability.py", tmp_path], check=True)
    assert (tmp_path / "capability.json").read_bytes() == (FOLDER / "capability.json").read_bytes()
