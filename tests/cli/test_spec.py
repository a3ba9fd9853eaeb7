"""`bailment spec` on a file: what is wrong, where, what to write instead, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailment.cli.spec import app
from bailment.spec.reading import MAX_BYTES

EXAMPLE = (Path(__file__).parents[2] / "docs/examples/restricted-preview.yaml").read_text()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "spec.yaml"
    file.write_text(EXAMPLE)
    return file


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_a_valid_spec_is_said_to_be_so_with_its_digest(spec: Path) -> None:
    status, out, err = run("validate", spec)
    assert (status, err) == (0, "")
    assert f"{spec} is valid, sha256 {run('digest', spec)[1].strip()}" in out


def test_each_error_is_shown_with_file_line_column_and_remedy(spec: Path) -> None:
    spec.write_text(EXAMPLE.replace("grace:", "graze:").replace("hold: 20%", "hold: 0.2"))
    status, out, err = run("validate", spec)
    assert (status, out) == (1, "")
    line = EXAMPLE[: EXAMPLE.index("grace:")].count("\n") + 1
    assert f"{spec}:{line}:3: error: unknown key `graze`\n  try: did you mean `grace`?\n" in err
    assert f"{spec}:{line + 4}:21: error: `0.2` is not a plain integer\n  try: " in err
    for verb in ("digest", "show"):
        assert run(verb, spec) == (1, "", err)


def test_an_adapter_that_does_not_exist_is_refused(spec: Path) -> None:
    spec.write_text(EXAMPLE.replace("scubagear/1", "scubagear/2"))
    status, _, err = run("validate", spec)
    assert status == 1
    assert "no adapter `scubagear/2`\n  try: did you mean `scubagear/1`?" in err


def test_a_warning_does_not_keep_a_spec_from_use(spec: Path) -> None:
    spec.write_text(EXAMPLE.replace("require: [AM-03, AM-05]", "require: [AM-03, AM-05, AM-01]"))
    status, out, err = run("validate", spec)
    assert status == 0 and "is valid" in out
    assert ": warning: `AM-01` is asked for already" in err


def test_programs_get_json_with_places(spec: Path) -> None:
    status, out, _ = run("validate", spec, "--json")
    found = json.loads(out)
    assert (status, found["valid"], found["problems"]) == (0, True, [])
    assert found["digest"] == run("digest", spec)[1].strip()
    spec.write_text("a: yes\n")
    status, out, err = run("validate", spec, "--json")
    assert (status, err) == (1, "")
    found = json.loads(out)
    assert (found["valid"], found["digest"]) == (False, None)
    (refused,) = (one for one in found["problems"] if one["path"] == "/a" and one["column"] == 4)
    assert refused["line"] == 1 and not refused["warning"]
    assert refused["remedy"] == 'write it in quotes: `"yes"`'


def test_what_nobody_can_satisfy_yet_is_said_by_tier_and_as_a_list(spec: Path) -> None:
    for words in ((), ("--json",)):
        status, out, err = run("validate", spec, *words)
        assert (status, err) == (0, "")
    assert json.loads(out)["unsatisfiable"] == []
    text = EXAMPLE.replace("claim: cut_after_ms", "claim: answered_after_s")
    spec.write_text(text.replace("unbound_requests", "unregistered_client_requests"))
    status, out, err = run("validate", spec)
    assert (status, "is valid" in out) == (0, True)
    assert err.endswith("warning: T3 asks for what nobody can satisfy yet: AM-03, AM-05\n")
    status, out, err = run("validate", spec, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["unsatisfiable"] == [
        {"requirement": "AM-03", "tier": "T3"},
        {"requirement": "AM-05", "tier": "T3"},
    ]


def test_a_claim_that_no_evidence_has_is_refused(spec: Path) -> None:
    spec.write_text(EXAMPLE.replace("unbound_requests", "unbound_request"))
    status, out, err = run("validate", spec)
    assert (status, out) == (1, "")
    assert "no claim" not in err and "nothing of `gateway/1` claims `unbound_request`\n" in err
    assert "  try: did you mean `unbound_requests`?\n" in err


def test_what_is_shown_as_json_is_the_same_spec(spec: Path, tmp_path: Path) -> None:
    status, out, _ = run("show", spec, "--json")
    again = tmp_path / "spec.json"
    again.write_text(out)
    assert status == 0
    assert run("digest", again) == run("digest", spec)


def test_what_each_tier_asks_for_is_shown(spec: Path) -> None:
    status, out, _ = run("show", spec)
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["T1", "general", "AM-01"] in [row[:3] for row in rows]
    assert [row[-1] for row in rows if row[:3] == ["T3", "restricted", "AM-05"]] == ["P90D"]


def test_a_spec_does_not_command_the_terminal(spec: Path) -> None:
    spec.write_text(json.dumps({"\x1b[2J[red]": 1}))
    status, out, err = run("validate", spec)
    assert (status, out) == (1, "")
    assert "\x1b" not in err and "unknown key `\\x1b[2J[red]`" in err


def test_no_more_is_read_than_a_spec_may_be_long(spec: Path) -> None:
    spec.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "longer than 1024 KiB" in run("validate", spec)[2]
