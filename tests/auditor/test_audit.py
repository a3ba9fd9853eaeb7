"""An honest log passes, whole; an export that is no export is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bailment.auditor.audit import audit_export
from bailment.auditor.findings import MAX_FINDINGS, Findings, Kind
from bailment.auditor.signatures import Signatures
from bailment.errors import FormatError
from bailment.ledger.export import MAX_BODY
from bailment.ledger.records import AccessOpened

from .conftest import Past
from .forge import Forgery
from .world import read


def test_every_decision_of_an_honest_log_is_made_again_and_agrees(past: Past) -> None:
    report = audit_export(past.export, past.key)
    assert report.clean and report.findings == ()
    accesses, tokens = report.types["access.opened"], report.types["token.issued"]
    assert accesses > 250 and tokens > 15 and report.types["access.refused"] > 10
    assert report.decisions == report.agreed == accesses + tokens
    assert report.accesses == accesses
    assert sum(report.types.values()) == report.entries == report.checkpoint.size > 512


def test_what_is_open_at_the_end_is_listed_and_is_no_finding(past: Past) -> None:
    assert list(audit_export(past.export, past.key).open) == past.lived.left_open


def test_progress_reaches_the_end_of_both_passes(past: Past) -> None:
    seen: list[tuple[str, int, int]] = []
    size = audit_export(past.export, past.key, progress=lambda *at: seen.append(at)).entries
    assert seen[0] == ("tree", 256, size) and seen[-1] == ("decisions", size, size)
    assert ("tree", size, size) in seen


def test_disputed_decisions_are_counted_once_each(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    at = list(forgery.of(AccessOpened))[-3:]
    for index in at:
        forgery.rows[index].change(body="ab" * 32, path="/v1/responses", model="unheard-of")
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert report.decisions - report.agreed == len(at) and sum(report.counts.values()) == 9


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/001", "facts/000", "facts/002.p"])
def test_an_export_with_a_file_missing_is_refused(past: Past, tmp_path: Path, path: str) -> None:
    out = tmp_path / "export"
    shutil.copytree(past.export, out)
    target = out / path
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    with pytest.raises(FormatError, match=path.split(".")[0]):
        audit_export(out, past.key)


@pytest.mark.parametrize("change", [b"\0", None, b"\0\0\0\0"])
def test_a_facts_bundle_of_another_form_is_refused(
    past: Past, tmp_path: Path, change: bytes | None
) -> None:
    out = tmp_path / "export"
    shutil.copytree(past.export, out)
    data = (out / "facts" / "000").read_bytes()
    (out / "facts" / "000").write_bytes(data[:-1] if change is None else data + change)
    with pytest.raises(FormatError, match="facts bundle"):
        audit_export(out, past.key)


def test_a_body_longer_than_any_is_refused(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(past.export, out)
    long = (MAX_BODY + 1).to_bytes(4) + bytes(MAX_BODY + 1)
    (out / "facts" / "000").write_bytes(long + bytes(4 * 255))
    with pytest.raises(FormatError, match="facts bundle"):
        audit_export(out, past.key)


def test_findings_beyond_a_bound_are_only_counted() -> None:
    findings = Findings()
    for index in range(MAX_FINDINGS + 5):
        findings.add(index, Kind.BAD_PROOF, "no")
    assert len(findings.ordered()) == MAX_FINDINGS and findings.counts.total() == MAX_FINDINGS + 5


@pytest.mark.parametrize("entries", [0, 20_000])
def test_signatures_are_verified_here_or_in_other_processes(past: Past, entries: int) -> None:
    devices = past.lived.devices["ada"], past.lived.devices["eve"]
    mine, other = (past.world.proof(device, b"") for device in devices)
    good, bad = read(mine), read(mine.rpartition(".")[0] + "." + other.rpartition(".")[2])
    with Signatures(entries) as signatures:
        for index in range(700):
            signatures.add(index, good if index % 350 else bad)
        assert sorted(signatures.finish()) == [0, 350]
