"""What cannot work is said before it is begun, and in words of the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer

from bailment.cli import detect, drill_run, rotate, sink
from bailment.errors import BailmentError

from ..world import world


@pytest.mark.parametrize(
    ("name", "says"),
    [("drill.png", "drawn as SVG"), ("nowhere/drill.svg", "no folder"), ("x.svg", "is a folder")],
)
def test_a_drill_does_not_begin_whose_plot_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setattr(drill_run, "_lab", _never)
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(BailmentError, match=says):
        drill_run.run("breach-2026", lab=True, plot=tmp_path / name)


def test_a_drill_does_not_begin_whose_report_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill_run, "_live", _never)
    with pytest.raises(BailmentError, match="no folder"):
        report = tmp_path / "nowhere" / "report.json"
        drill_run.run("breach-2026", live=True, report=report, scope="acme")


def test_a_file_that_records_go_to_is_in_a_folder_that_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "act", _never)
    with pytest.raises(BailmentError, match="no folder"):
        sink.add("siem", kind="file", to=str(tmp_path / "nowhere" / "x.jsonl"))


@pytest.mark.anyio
async def test_where_nothing_was_asked_for_nothing_was_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as lab:
        capsys.readouterr()
        rotate.rotate(directory=lab.folder.root)
    assert "nothing is to be replaced" in capsys.readouterr().err


def test_a_rate_is_told_only_of_a_recipient_week_or_more() -> None:
    assert detect._counted(1, 0.002) == "1 finding, in less than one recipient-week"
    assert detect._counted(3, 2.0) == "3 findings in 2.0 recipient-weeks: 1.50 each"


def _never(*_: Any, **__: Any) -> NoReturn:
    pytest.fail("it was begun")


def test_some_variants_are_no_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_run, "_live", _never)
    asked = {"live": True, "report": tmp_path / "report.json", "scope": "acme"}
    with pytest.raises(typer.BadParameter, match="with every variant"):
        drill_run.run("breach-2026", variant=["bearer"], **asked)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
