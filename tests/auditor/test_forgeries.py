"""Whatever an operator who holds the log's key does to a log, an audit names it."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.errors import VerificationError
from bailment.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from bailment.ledger.note import Signer
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    HoldAdded,
    HoldLifted,
    LogSnapshot,
    TokenIssued,
)
from bailment.ledger.tree import Frontier, leaf_hash
from bailment.store.reader import LogReader
from bailment.store.receipts import make_receipt
from bailment.store.vault import Vault

from . import certificate_forgeries, detection_forgeries
from .conftest import Past, live
from .forge import Forgery, Row
from .forgeries import CHANGES, TAMPERS, Change, Tamper, flown


def test_a_log_taken_apart_and_put_together_is_the_same(past: Past, tmp_path: Path) -> None:
    Forgery(past.reader()).write(tmp_path / "copy", past.world.secrets.log)
    original, copy = past.export, tmp_path / "copy"
    for path in original.rglob("*"):
        if path.is_file() and path.name != "README":
            assert (copy / path.relative_to(original)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "forge"), CHANGES, ids=[function.__name__ for _, function in CHANGES]
)
def test_a_forged_record_is_named(kind: Kind, forge: Change, past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    index = forge(forgery, past)
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert set(report.counts) == {kind}, report.findings
    assert report.findings[0].index == index, report.findings


def by_one_token(forgery: Forgery) -> tuple[int, list[int]]:
    """Where the record of the token is by which the most was done, and where that was opened."""
    used = Counter(forgery.rows[at].facts.token for at in forgery.of(AccessOpened))
    ((token, _),) = used.most_common(1)
    opened = forgery.of(AccessOpened, lambda facts: facts.token == token)
    return forgery.first(TokenIssued, lambda facts: facts.token == token), list(opened)


@pytest.mark.parametrize(
    ("kind", "forge"),
    [
        (Kind.ALTERED_FACTS, lambda row: setattr(row, "body", bytes(16) + b"{}")),
        (Kind.WITHHELD_FACTS, lambda row: setattr(row, "body", b"")),
        (Kind.MALFORMED_RECORD, lambda row: setattr(row, "committed", bytes(16) + b"{}")),
    ],
)
def test_a_tokens_record_that_cannot_be_read_is_one_finding_with_what_follows_from_it(
    kind: Kind, forge: Callable[[Row], None], past: Past, tmp_path: Path
) -> None:
    forgery = Forgery(past.reader())
    at, opened = by_one_token(forgery)
    assert len(opened) > 1
    forge(forgery.rows[at])
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    (found,) = report.findings
    assert (found.index, found.kind, report.counts) == (at, kind, {kind: 1})
    consequence = f"{len(opened)} accesses from {opened[0]} to {opened[-1]} are by one token"
    assert consequence in found.sentence
    assert report.decisions - report.agreed == len(opened)


def test_a_token_without_a_record_is_one_finding_however_much_was_done_by_it(
    past: Past, tmp_path: Path
) -> None:
    forgery = Forgery(past.reader())
    at, opened = by_one_token(forgery)
    forgery.rows[at].change(token="A" * 43)
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert report.counts == {Kind.UNLOGGED_TOKEN: 1}
    (found,) = report.findings
    assert (found.index, f"{len(opened)} accesses from" in found.sentence) == (opened[0], True)


@pytest.mark.parametrize(
    ("kind", "forge"), TAMPERS, ids=[function.__name__ for _, function in TAMPERS]
)
def test_a_forged_file_is_named(kind: Kind, forge: Tamper, past: Past, tmp_path: Path) -> None:
    out = tmp_path / "forged"
    shutil.copytree(past.export, out)
    forge(out, past)
    assert set(audit_export(out, past.key).counts) >= {kind}


@pytest.mark.parametrize(
    "when",
    [
        {"ago": 2_000},
        {"ago": 60_000, "lifted": 1_000},
        {"ago": 60_000, "lifted": 2_000},
        {"ago": 60_000, "until": 1_000},
        {"ago": 60_000, "until": 1_000, "lifted": 50_000},
    ],
)
def test_an_access_that_could_end_before_its_cut_is_none_that_ignored_it(
    when: dict[str, int], past: Past, tmp_path: Path
) -> None:
    forgery, until = Forgery(past.reader()), when.get("until", 0)
    flown(forgery, past, **{**when, "until": past.world.now + until if until else 0})
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert Kind.LATE_CUT not in report.counts, report.findings


def test_an_access_by_mtls_that_is_right_is_no_finding(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    name, token = certificate_forgeries.honest(forgery, past)
    certificate_forgeries.by_mtls(forgery, past, token, name)
    certificate_forgeries.by_mtls(forgery, past, token, name)
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert report.clean, report.findings


def test_a_finding_that_goes_on_is_answered_and_judged_is_none(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    detection_forgeries.honest(forgery, past)
    report = audit_export(forgery.write(tmp_path / "forged", past.world.secrets.log), past.key)
    assert report.clean, report.findings


def test_every_kind_of_finding_has_its_forgery() -> None:
    here = {Kind.REMOVED_RECORD, Kind.WRONG_SNAPSHOT}
    here |= {Kind.UNPROVEN_COMPLETE, Kind.ALTERED_PERSONAL}  # in `test_view`
    here.add(Kind.FALSE_OBSERVATION)  # in test_observations.py
    here.add(Kind.UNEVALUATED)  # in test_standings.py
    here.add(Kind.BAD_ATTESTATION)  # in test_attestations.py
    assert {kind for kind, _ in (*CHANGES, *TAMPERS)} | here == set(Kind)


def test_a_dropped_hold_is_named_by_what_the_auditor_kept(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    held = forgery.first(HoldAdded)
    receipt = make_receipt(past.folder, past.reader(), past.key, held).encode()
    del forgery.rows[held], forgery.rows[forgery.first(HoldLifted)]
    forged = forgery.write(tmp_path / "forged", past.world.secrets.log)
    # Everything else is right, and nobody who sees this log alone can know.
    assert audit_export(forged, past.key).clean
    for kept in ({"since": past.lived.checkpoints[2:3]}, {"receipts": [receipt]}):
        assert set(audit_export(forged, past.key, **kept).counts) == {Kind.REMOVED_RECORD}
    found = audit_export(forged, past.key, receipts=[receipt]).findings
    assert held in {finding.index for finding in found}


def test_a_removed_access_is_named_by_an_earlier_checkpoint(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    at = list(forgery.of(AccessOpened))[100]
    assert isinstance(forgery.rows[at + 1].facts, AccessClosed)
    later = [n for n in past.lived.checkpoints if open_checkpoint(n, past.key).size > at]
    del forgery.rows[at : at + 2]
    forged = forgery.write(tmp_path / "forged", past.world.secrets.log)
    assert audit_export(forged, past.key).clean
    report = audit_export(forged, past.key, since=past.lived.checkpoints)
    assert 0 < len(later) < len(past.lived.checkpoints)
    assert report.counts == {Kind.REMOVED_RECORD: len(later)}


def test_a_log_cut_short_is_named_by_a_later_checkpoint(past: Past, tmp_path: Path) -> None:
    forgery = Forgery(past.reader())
    del forgery.rows[300:]
    forged = forgery.write(tmp_path / "forged", past.world.secrets.log)
    report = audit_export(forged, past.key, since=past.lived.checkpoints[-1:])
    assert [(f.kind, "shown with 300" in f.sentence) for f in report.findings] == [
        (Kind.REMOVED_RECORD, True)
    ]


def test_what_was_kept_from_an_honest_log_agrees_at_every_size(past: Past) -> None:
    signer, edge = past.world.secrets.log, Frontier()
    checkpoints = []
    for record in past.reader().stored():
        edge.push(leaf_hash(record.entry))
        checkpoint = Checkpoint(signer.name, edge.size, edge.root())
        checkpoints.append(sign_checkpoint(checkpoint, signer))
    receipts = [
        make_receipt(past.folder, past.reader(), past.key, index).encode()
        for index in (0, 255, 256, 257, edge.size - 1)
    ]
    assert audit_export(past.export, past.key, since=checkpoints, receipts=receipts).clean


def test_what_the_log_did_not_sign_is_no_evidence_against_it(past: Past) -> None:
    other = Signer(past.key.name, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    note = sign_checkpoint(Checkpoint(other.name, 3, bytes(32)), other)
    with pytest.raises(VerificationError):
        audit_export(past.export, past.key, since=[note])


def test_a_forged_snapshot_is_named(tmp_path: Path) -> None:
    world, _ = live(tmp_path / "issuer", snapshot_every=100)
    reader = LogReader(world.folder, Vault(world.folder.keys, world.secrets.kek))
    honest = Forgery(reader)
    signer = world.secrets.log
    report = audit_export(honest.write(tmp_path / "honest", signer), signer.public)
    assert report.clean and report.types["log.snapshot"] >= 5
    at = list(honest.of(LogSnapshot))[-1]  # those after a forged one would differ as well
    honest.rows[at].change(digest="ab" * 32)
    report = audit_export(honest.write(tmp_path / "forged", signer), signer.public)
    assert [(f.kind, f.index) for f in report.findings] == [(Kind.WRONG_SNAPSHOT, at)]


def test_every_kind_of_finding_is_explained_in_the_format() -> None:
    text = (Path(__file__).parents[2] / "formats" / "log.md").read_text()
    rows = [line.split("|")[1] for line in text.split("## 9.")[1].splitlines() if "| `" in line[:3]]
    assert set(re.findall(r"`([a-z-]+)`", " ".join(rows))) >= {*Kind}
