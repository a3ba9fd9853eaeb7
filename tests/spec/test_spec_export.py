"""`spec init` and `spec export`: what they write, and what they do not write over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from bailment.cli import catalogue
from bailment.cli.spec_export import export, init
from bailment.errors import FormatError, VerificationError
from bailment.spec.document import digest
from bailment.spec.markdown import annex
from bailment.spec.oscal_references import unresolved
from bailment.spec.validation import load

from .builtin import document


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    init(path)
    return path


def test_the_built_in_spec_is_written_out_with_its_comments(spec: Path) -> None:
    assert spec.read_text() == catalogue.spec_text()
    assert "# yours" in spec.read_text()
    assert load(spec.read_bytes()) == document()


def test_a_file_that_is_there_is_not_written_over(spec: Path) -> None:
    with pytest.raises(FileExistsError):
        init(spec)
    assert spec.read_text() == catalogue.spec_text()


def test_what_is_exported_can_be_taken_back(spec: Path, tmp_path: Path) -> None:
    export(spec, tmp_path / "oscal")
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "oscal").iterdir()}
    assert set(files) == {
        *("catalog.json", "spec.json"),
        *(f"profile-{tier}.json" for tier in ("T1", "T2", "T3", "T4")),
    }
    assert unresolved(files) == []
    init(tmp_path / "back.json", tmp_path / "oscal" / "catalog.json")
    assert digest(load((tmp_path / "back.json").read_bytes())) == digest(document())


def test_the_annex_is_written(spec: Path, tmp_path: Path) -> None:
    export(spec, None, tmp_path / "annex.md")
    assert (tmp_path / "annex.md").read_text() == annex(document())
    assert not (tmp_path / "oscal").exists()


def test_an_export_to_nowhere_is_a_mistake(spec: Path) -> None:
    with pytest.raises(typer.BadParameter):
        export(spec)


def test_a_spec_that_is_wrong_is_not_exported(spec: Path, tmp_path: Path) -> None:
    spec.write_text(spec.read_text().replace("includes: T1", "includes: T2"))
    with pytest.raises(typer.Exit) as ended:
        export(spec, tmp_path / "oscal")
    assert ended.value.exit_code == 1
    assert not (tmp_path / "oscal").exists()


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ('"value":"spec"', '"value":"other"', FormatError),
        ('"algorithm":"SHA-256","value":"', '"algorithm":"SHA-256","value":"0', VerificationError),
        ('{"catalog"', "", FormatError),
    ],
)
def test_a_catalog_that_is_not_ours_writes_nothing(
    before: str, after: str, error: type[Exception], spec: Path, tmp_path: Path
) -> None:
    export(spec, tmp_path / "oscal")
    carried = tmp_path / "oscal" / "catalog.json"
    assert before in carried.read_text()
    carried.write_text(carried.read_text().replace(before, after))
    with pytest.raises(error):
        init(tmp_path / "back.json", carried)
    assert not (tmp_path / "back.json").exists()
