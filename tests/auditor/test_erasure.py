"""Erasing a person changes no fold, no decision and no byte of an export."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.access.fold import Fold
from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.ledger.tree import leaf_hash
from bailment.store.export import export_log
from bailment.store.folder import Folder
from bailment.store.reader import LogReader
from bailment.store.vault import Vault, facts_key, person_key

from .conftest import Past
from .world import START

PEOPLE = ("ada", "bob", "cyd", "dan", "eve")


def opened(past: Past, folder: Folder) -> tuple[LogReader, Vault]:
    vault = Vault(folder.keys, past.world.secrets.kek)
    return LogReader(folder, vault), vault


def copied(past: Past, root: Path) -> Folder:
    """A copy whose keys may be destroyed."""
    shutil.copytree(past.folder.root, root)
    return Folder(root)


def named(reader: LogReader) -> int:
    """How many personal parts can be opened."""
    return sum(reader.personal(stored) is not None for stored in reader.stored())


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_audit_is_the_same_before_and_after_an_erasure(past: Past, tmp_path: Path) -> None:
    folder = copied(past, tmp_path / "issuer")
    reader, vault = opened(past, folder)
    export_log(folder, reader, past.key, tmp_path / "before")
    names = named(reader)
    assert vault.destroy(person_key(past.lived.people["ada"].id))
    assert named(reader) < names
    export_log(folder, reader, past.key, tmp_path / "after")
    before, after = (audit_export(tmp_path / name, past.key) for name in ("before", "after"))
    assert before == after and before.clean and before.decisions > 250
    assert files(tmp_path / "before") == files(tmp_path / "after")


@settings(max_examples=12)
@given(st.sets(st.sampled_from(PEOPLE)))
def test_no_set_of_erasures_changes_a_fold_or_a_decision(past: Past, erased: set[str]) -> None:
    with TemporaryDirectory() as root:
        folder = copied(past, Path(root) / "issuer")
        reader, vault = opened(past, folder)
        for name in sorted(erased):
            vault.destroy(person_key(past.lived.people[name].id))
        fold = Fold()
        for record in reader.records():
            fold.follow(record.leaf, leaf_hash(record.entry), record.facts)
        export_log(folder, reader, past.key, Path(root) / "export")
        assert fold.encode() == _fold(past)
        assert audit_export(Path(root) / "export", past.key) == audit_export(past.export, past.key)


def test_facts_whose_key_is_gone_are_withheld_and_named(past: Past, tmp_path: Path) -> None:
    folder = copied(past, tmp_path / "issuer")
    reader, vault = opened(past, folder)
    assert vault.destroy(facts_key(past.lived.recipients["cove"], START))
    summary = export_log(folder, reader, past.key, tmp_path / "export")
    report = audit_export(tmp_path / "export", past.key)
    assert summary.withheld == report.counts[Kind.WITHHELD_FACTS] > 100


def _fold(past: Past) -> bytes:
    fold = Fold()
    for record in past.reader().records():
        fold.follow(record.leaf, leaf_hash(record.entry), record.facts)
    return fold.encode()
