"""`bailment evidence preflight` on a recipient's machine: what is said, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.cli import evidence
from bailment.cli.app import app

from ..assurance.reports import (
    ED25519,
    ORG,
    P256,
    TENANT,
    THEN,
    attestation,
    data,
    envelope,
    finding,
    maester,
    maester_test,
    manifest,
    roster,
    scubagear,
    statement,
    with_,
)
from ..assurance.test_preflight import SPEC

#: What a recipient can send for the spec of these tests, all of it good.
GOOD: dict[str, Any] = {
    "scuba.json": scubagear(),
    "roster.json": envelope(roster(), ED25519),
    "maester.json": maester(maester_test(id="MT.1")),
    "secrets.json": statement(passedTests=["no-secrets", "complete"]),
    "tier.json": envelope(attestation(), P256),
    "soc2.json": envelope(manifest(kind="report.soc2"), ED25519),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the spec, the keys and the reports, a minute after these were collected."""
    monkeypatch.setattr(evidence, "now_ms", lambda: THEN + 60_000)
    (tmp_path / "spec.yaml").write_text(SPEC)
    for name, key in (("assessor", ED25519), ("executive", P256)):
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    for name, value in GOOD.items():
        (tmp_path / name).write_bytes(data(value))
    return tmp_path


PREFLIGHT = ("evidence", "preflight")


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    """Run it on these files, options as they are, with the spec, the scopes and the keys."""
    paths = [str(folder / word) if word.endswith(".json") else word for word in words]
    result = CliRunner().invoke(
        app,
        [
            *PREFLIGHT,
            *paths,
            *("--spec", str(folder / "spec.yaml"), "--scope", TENANT, "--scope", ORG),
            *("--assessor", str(folder / "assessor.pem")),
            *("--own-key", str(folder / "executive.pem")),
        ],
    )
    return result.exit_code, result.stdout, result.stderr


def test_all_that_the_recipient_can_send_is_enough(folder: Path) -> None:
    status, out, err = run(folder, *GOOD)
    assert (status, err) == (
        0,
        f"  T3 of the spec {'5' * 64}\n  declares the document {'7' * 64}\n",
    )
    assert f"{folder}/scuba.json: ScubaGear 1.8.0 as scuba.entra, of 2026-06-01T12:00:00Z" in out
    assert "counts as self-tool\n  MFA proves: scuba.entra MS.AAD.3.1v1\n" in out
    assert "  PHR too weak, needs pulled: scuba.entra MS.AAD.3.1v1\n" in out
    assert "SOC 2 Type 2 as report.soc2, of 2026-05-31T23:59:59Z, counts as third-party" in out
    assert "  ROSTER covers: people in gw.use by idp.roster\n" in out
    assert out.endswith("  proven: 6 of 12\n    MFA   A second factor\n"
                        "    SECRETS No secrets lie about\n    SIGNED Somebody answers for it\n"
                        "    AUDIT An assessor looked\n    EITHER One scanner or the issuer\n"
                        "    TWO   Two scanners agree\n")  # fmt: skip


@pytest.mark.parametrize("name", sorted(GOOD))
def test_whatever_is_left_out_is_missing(name: str, folder: Path) -> None:
    status, out, _ = run(folder, *(other for other in GOOD if other != name))
    assert status == 1
    missing = 2 if name in ("roster.json", "scuba.json") else 1
    assert f"\n  missing: {missing} of 12\n" in out


def test_a_failure_is_told_first_and_ends_with_1(folder: Path) -> None:
    bad = scubagear(Result="Fail", OriginalResult="Fail")
    (folder / "scuba.json").write_bytes(data(bad))
    status, out, err = run(folder, *GOOD)
    assert status == 1
    assert "  MFA fails: scuba.entra MS.AAD.3.1v1\n" in out
    assert out.index("  failed: 3 of 12") < out.index("  for the issuer: ")
    assert "lists 0" in err  # the sample's total of passes


def test_what_is_too_old_is_named_though_nothing_refuses_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "now_ms", lambda: THEN + 40 * 86_400_000)
    status, out, _ = run(folder, "scuba.json", "secrets.json")
    assert status == 1
    line = "  too old: proves nothing; collected 40 d ago, at most 7 d\n"
    assert "scuba.json: ScubaGear 1.8.0 as scuba.entra, of 2026-06-01T12:00:00Z" in out
    assert f"counts as self-tool\n{line}  MFA too old, needs less than 7 d: scuba.entra" in out
    (folder / "secrets.json").unlink()
    found = json.loads(run(folder, "scuba.json", "--json")[1])
    assert found["files"][0]["too_old"] == "collected 40 d ago, at most 7 d"


def test_what_only_the_issuer_can_match_is_neither_missing_nor_a_failure(folder: Path) -> None:
    status, out, _ = run(folder, *GOOD)
    decide = out.index("  for the issuer to decide: 3 of 12\n    ROSTER Everybody is known\n")
    assert status == 0
    assert out.index("  for the issuer: 3 of 12\n") < decide < out.index("  proven: 6 of 12")


def test_a_file_that_would_be_refused_is_named_with_reason_and_place(folder: Path) -> None:
    (folder / "scuba.json").write_bytes(data(scubagear())[:300])
    (folder / "other.json").write_bytes(
        data(with_(scubagear(), "elsewhere", "MetaData", "TenantId"))
    )
    status, out, _ = run(folder, *GOOD, "other.json")
    assert status == 1
    assert (
        f"{folder}/scuba.json: refused, evidence-truncated at byte 300: the file ends in the "
        "middle\n" in out
    )
    assert f"{folder}/other.json: refused, evidence-" in out


def test_the_same_report_twice_is_refused(folder: Path) -> None:
    (folder / "again.json").write_bytes(json.dumps(scubagear(), indent=1).encode())
    status, out, _ = run(folder, *GOOD, "again.json")
    assert status == 1
    assert "again.json: refused, evidence-reused: it was submitted before" in out


def test_a_file_may_be_named_with_its_kind(folder: Path) -> None:
    result = CliRunner().invoke(
        app,
        [
            *PREFLIGHT,
            f"scan.other={folder / 'secrets.json'}",
            *("--spec", str(folder / "spec.yaml")),
        ],
    )
    assert "as scan.other" in result.stdout
    assert "  TWO says nothing: scan.other mfa\n" in result.stdout
    assert "whose reports these are was not checked" in result.stderr


def test_a_report_that_the_spec_has_no_kind_for_is_refused(folder: Path) -> None:
    (folder / "prowler.json").write_bytes(data([finding()]))
    status, out, _ = run(folder, "prowler.json")
    assert status == 1
    assert "evidence-kind: the spec has no kind of evidence for `prowler-ocsf/1`" in out


def test_programs_get_json(folder: Path) -> None:
    (folder / "bad.json").write_text("{")
    status, out, err = run(folder, "scuba.json", "bad.json", "--json", "--tier", "T1")
    found = json.loads(out)
    assert (status, err, found["ready"], found["tier"]) == (1, "", False, "T1")
    good, bad = found["files"]
    assert good["adapter"] == "scubagear/1"
    assert good["kind"] == "scuba.entra"
    (item,) = good["items"]
    assert (item["scope"], item["independence"]) == (TENANT, "self-tool")
    assert item["dated"] == "2026-06-01T12:00:00Z"
    assert good["says"][0] == {
        "requirement": "MFA",
        "evidence": "scuba.entra MS.AAD.3.1v1",
        "says": "proves",
        "needs": "",
    }
    assert bad["refused"]["reason"] == "evidence-truncated"
    states = {one["requirement"]: one["state"] for one in found["requirements"]}
    assert (states["MFA"], states["ROSTER"]) == ("proven", "missing")


def test_mistakes_are_told(folder: Path) -> None:
    from bailment.errors import BailmentError

    for words, error in (
        (["--tier", "T4"], "the spec has no tier `T4`"),
        (["--tier", "X"], "the spec has no tier `X`"),
        (["--assessor", str(folder / "spec.yaml")], "is not a public key in PEM"),
    ):
        arguments = [str(folder / "scuba.json"), "--spec", str(folder / "spec.yaml"), *words]
        result = CliRunner().invoke(app, [*PREFLIGHT, *arguments])
        assert isinstance(result.exception, BailmentError)
        assert error in str(result.exception)


def test_no_more_is_read_than_a_report_may_be_long(folder: Path) -> None:
    with (folder / "huge.json").open("wb") as stream:
        stream.truncate(MAX_SIZE * 4)
    status, out, _ = run(folder, "huge.json")
    assert status == 1
    assert "huge.json: refused, evidence-too-large: the file is longer than 64 MiB" in out


def test_a_report_does_not_command_the_terminal(folder: Path) -> None:
    value = with_(manifest(title="\x1b[2J[red]"), "report.soc2", "kind")
    (folder / "soc2.json").write_bytes(data(value))
    _, out, err = run(folder, "soc2.json")
    assert "\x1b" not in out + err
