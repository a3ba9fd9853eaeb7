"""`bailment model results` and `bailment approver key`: what is said, and how it ends."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bailment.access import jwk
from bailment.access.approval import TIER, verify_approval
from bailment.assurance.capability import Decision, decide
from bailment.cli.app import app
from bailment.cli.approver import sign_tier
from bailment.cli.capability import proposal_of, read_files
from bailment.errors import BailmentError, ConfigurationError, FormatError
from bailment.spec.compiled import CompiledSpec, compile_spec
from bailment.spec.validation import load

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "assurance" / "data"
EXAMPLE = (ROOT / "docs" / "examples" / "restricted-preview.yaml").read_text()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The example, about the task of which there are real logs."""
    path = tmp_path / "spec.yaml"
    text = EXAMPLE.replace("capture_the_flag", "ports").replace(
        "task: network_range, scorer: steps", "task: lengths"
    )
    path.write_text(text)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["model", "results", *map(str, words)])


def compiled(path: Path) -> CompiledSpec:
    return compile_spec(load(path.read_bytes()))


def test_results_propose_a_tier(spec: Path) -> None:
    done = run(DATA / "ports.eval", DATA / "lengths.json", "--spec", spec)
    assert done.exit_code == 0, done.output
    assert "proposed for mockllm/model: T2; a person decides" in done.stdout
    assert "0.6 (match, 5 samples, 2026-11-23)" in done.stdout
    assert "lengths.json: ignored `lengths` `undefined`: its value `NaN`" in done.stderr


def test_what_was_not_evaluated_is_said_loudly_and_ends_with_1(spec: Path) -> None:
    done = run(DATA / "broken.eval", "--spec", spec, "--before", "T2")
    assert done.exit_code == 1
    assert "NOT EVALUATED: Finds and exploits" in done.stderr
    assert "the run ended as `error`" in done.stderr
    assert "proposed for mockllm/model: T2" in done.stdout


def test_a_measure_without_a_result_and_a_partial_run_are_said(spec: Path) -> None:
    done = run(DATA / "some_ports.eval", "--spec", spec)
    assert done.exit_code == 0
    assert "no result for lengths mean, at which a model belongs to T3" in done.stderr
    assert "`ports` ran 2 of 5 samples" in done.stderr


def test_json_says_all_of_it(spec: Path) -> None:
    done = run(DATA / "ports.json", DATA / "broken.eval", "--spec", spec, "--json")
    told = json.loads(done.stdout)
    assert (told["model"], told["proposed"], told["unevaluated"]) == ("mockllm/model", "T2", [])
    assert [one["reached"] for one in told["thresholds"]] == [True, False, False]
    assert told["thresholds"][0]["result"]["value"] == "0.6"
    assert [one["why"] for one in told["ignored"]] == ["the run ended as `error`"]


def test_results_about_several_models_need_a_name(spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    text = (DATA / "ports.json").read_text()
    other.write_text(text.replace('"model": "mockllm/model"', '"model": "lab/preview"'))
    files = (DATA / "ports.eval", other)
    found = run(*files, "--spec", spec).exception
    assert isinstance(found, BailmentError) and "2 models" in str(found)
    assert "--model lab/preview or mockllm/model" in found.hint
    done = run(*files, "--spec", spec, "--model", "lab/preview")
    assert "proposed for lab/preview: T2" in done.stdout
    assert "it is about `mockllm/model`" in done.stderr


def test_a_file_that_is_none_is_named(spec: Path) -> None:
    found = run(DATA / "make_inspect_logs.py", "--spec", spec).exception
    assert isinstance(found, FormatError) and "make_inspect_logs.py" in str(found)


def test_a_tier_before_that_is_none_is_a_mistake(spec: Path) -> None:
    assert run(DATA / "ports.eval", "--spec", spec, "--before", "T9").exit_code == 2


def decision(spec: Path) -> Decision:
    readings = read_files([DATA / "ports.eval", DATA / "lengths.eval"])
    proposal, _ = proposal_of(compiled(spec), list(readings.values()))
    return decide(proposal, model="preview", tier="T3", reasons="To be safe.", now=1)


def test_an_approver_signs_a_decision(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "approver"
    done = CliRunner().invoke(app, ["approver", "key", str(folder)])
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE((folder / "approver.pem").stat().st_mode) == 0o600
    key = jwk.parse(json.loads((folder / "approver.jwk").read_text()))
    told = verify_approval(sign_tier(decision(spec), compiled(spec), folder), TIER, key)
    assert isinstance(told, dict) and (told["tier"], told["proposed"]) == ("T3", "T2")


def test_a_key_is_not_made_anew(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["approver", "key", str(tmp_path / "a")])
    again = CliRunner().invoke(app, ["approver", "key", str(tmp_path / "a")]).exception
    assert isinstance(again, ConfigurationError) and "exists already" in str(again)


def test_a_decision_that_cannot_stand_is_not_signed(spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(EXAMPLE)
    with pytest.raises(BailmentError, match="decided under another spec"):
        sign_tier(decision(spec), compiled(other), tmp_path)


def test_a_folder_without_a_key_says_how_to_make_one(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        sign_tier(decision(spec), compiled(spec), tmp_path)
    assert "bailment approver key" in refused.value.hint
