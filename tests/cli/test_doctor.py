"""`bailment doctor`: what is wrong is found, named, and mended by what it says."""

from __future__ import annotations

import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bailment.cli.checks import Finding
from bailment.cli.device_checks import examine_device
from bailment.cli.issuer_checks import examine_issuer
from bailment.detect.networks import Source, layer_of, tables_of
from bailment.store.folder import Folder

from .lab import KEY, MARIA, MODEL, PATIENCE, Lab, Shell, line_of, private, stop, wait

pytestmark = pytest.mark.journey

ISSUER = (
    *("folder", "settings", "secrets", "log", "disk", "clock", "networks", "spec"),
    *("model smollm2", "model other", "meter other"),
)


def wrongs(shell: Shell, *words: str) -> dict[str, dict[str, Any]]:
    """What is wrong, by check; what is not wrong needs no mending."""
    done = shell("doctor", *words, "--json")
    found = {row["check"]: row for row in done.json}
    assert all(row.keys() == {"check", "ok", "says", "mend"} for row in found.values())
    wrong = {name: row for name, row in found.items() if not row["ok"]}
    assert done.status == bool(wrong)
    return wrong


def test_an_issuer_that_serves_is_well(lab: Lab) -> None:
    done = lab.team("doctor", "--json")
    assert [row["check"] for row in done.json] == [*ISSUER, "issuer", "worker", "url"]
    assert wrongs(lab.team) == {}
    lines = lab.team.ok("doctor").splitlines()
    assert len(lines) == len(ISSUER) + 6
    assert [line for line in lines if not line.startswith("ok     ")] == [
        "warn   spec: NO SPEC IS IN FORCE: recipients have to prove nothing, whatever the model",
        "       try: bailment spec init FILE; then bailment spec plan FILE",
        "warn   meter other: there is none, so that calls around the gateway are not found",
        "       try: add `meter = {}` to [models.other], with the names of its server's counters",
        "warn   worker: it is off: what only it sees is not seen",
        "       try: set worker.enabled = true",
    ]


def test_an_issuer_that_does_not_run_is_told_to(bare: Lab) -> None:
    done = bare.team("doctor")
    assert done.status == 1
    said = f"wrong  issuer: no issuer is running in `{bare.folder}`\n"
    assert done.out.endswith(f"{said}       try: bailment serve -d {bare.folder}\n")
    assert list(wrongs(bare.team)) == ["issuer"]


def test_a_folder_that_is_none_is_all_that_is_said(lab: Lab) -> None:
    for folder in ("nowhere", "."):
        found = wrongs(lab.auditor, "-d", folder)
        assert list(found) == ["folder"]
        assert "bailment init DIR" in found["folder"]["mend"]
        assert "bailment doctor --profile default" in found["folder"]["mend"]


def test_wrong_modes_are_mended_by_what_is_said(copied: Lab) -> None:
    copied.folder.chmod(0o755)
    (copied.folder / "secrets" / "log.key").chmod(0o644)
    (copied.folder / "model.key").chmod(0o640)
    found = wrongs(copied.team)
    assert {"folder", "secrets", f"model {MODEL}"} < set(found)
    for check in ("folder", "secrets", f"model {MODEL}"):
        verb, mode, path = found[check]["mend"].split(" ")
        assert verb == "chmod"
        Path(path).chmod(int(mode, 8))
    assert list(wrongs(copied.team)) == ["issuer"]


def test_a_misspelt_key_is_named(copied: Lab) -> None:
    path = copied.folder / "bailment.toml"
    path.write_text(path.read_text().replace("contact", "contakt"))
    found = wrongs(copied.team)
    assert "the key `contakt` is unknown in `issuer`: misspelt?" in found["settings"]["says"]


def test_missing_and_damaged_keys_are_named(copied: Lab) -> None:
    (copied.folder / "model.key").unlink()
    private(copied.folder / "secrets" / "issuer.pem", "nothing")
    found = wrongs(copied.team)
    assert "model.key" in found[f"model {MODEL}"]["says"]
    assert found["secrets"]["says"] == f"a key in `{copied.folder / 'secrets'}` is damaged"
    shutil.rmtree(copied.folder / "secrets")
    assert "log.key" in wrongs(copied.team)["secrets"]["says"]


@pytest.mark.parametrize("file", ["staging.db", "keys.db"])
def test_a_damaged_database_is_named(copied: Lab, file: str) -> None:
    (copied.folder / file).write_bytes(b"no database" * 1000)
    found = wrongs(copied.team)["log"]
    assert f"{file}`: file is not a database" in found["says"]
    assert "docs/recovery.md" in found["mend"]


def test_settings_that_are_not_the_logs_are_named(copied: Lab) -> None:
    path = copied.folder / "bailment.toml"
    path.write_text(path.read_text().replace(copied.url, "https://other.example"))
    found = wrongs(copied.team)["log"]
    assert "issuer.url is `https://other.example`, in the log it is" in found["says"]
    assert "put it back" in found["mend"]


def test_no_model_is_named(copied: Lab) -> None:
    path = copied.folder / "bailment.toml"
    path.write_text(path.read_text().partition("\n[models")[0])
    assert "[models.NAME]" in wrongs(copied.team)["models"]["mend"]


def test_a_model_server_that_is_down_is_named(copied: Lab) -> None:
    path = copied.folder / "bailment.toml"
    path.write_text(path.read_text().replace(str(copied.model.path), "/nowhere/model.sock"))
    found = wrongs(copied.team)[f"model {MODEL}"]
    assert found["says"].startswith("`unix:///nowhere/model.sock` does not answer")
    assert found["mend"] == "start its server, or mend the url"


def test_a_model_server_that_refuses_the_key_is_named(copied: Lab) -> None:
    private(copied.folder / "model.key", "not-" + KEY)
    found = wrongs(copied.team)[f"model {MODEL}"]
    assert found["says"].endswith("refuses the key")
    assert f"models.{MODEL}.key_file" in found["mend"]


def test_a_disk_that_is_almost_full_is_named(copied: Lab) -> None:
    with (copied.folder / "bailment.toml").open("a") as settings:
        settings.write("[limits]\ndisk_reserve_bytes = 1_000_000_000_000_000\n")
    assert "are kept for holds" in wrongs(copied.team)["disk"]["says"]
    with copied.team.start("serve"):
        copied.team.ok("status", "--wait", str(PATIENCE))
        found = wrongs(copied.team)
        assert "access is refused: disk-reserve" in found["issuer"]["says"]
        assert found["issuer"]["mend"] == "free some space on its disk"


def test_a_clock_behind_the_log_is_named(bare: Lab) -> None:
    with patch("bailment.clock.time") as clock:
        clock.time_ns.return_value = 1_000_000_000 * 10**9
        found = {finding.check: finding for finding in examine_issuer(Folder(bare.folder))}
    assert not found["clock"].ok
    assert "s behind the log, so there is no access" in found["clock"].says


def test_a_model_that_was_added_since_the_start_is_named(copied: Lab) -> None:
    path = copied.folder / "bailment.toml"
    with copied.team.start("serve") as running:
        copied.team.ok("status", "--wait", str(PATIENCE))
        path.write_text(path.read_text().replace("[models.other]", "[models.newer]"))
        found = wrongs(copied.team)
        assert found["issuer"]["says"].endswith("it was started before `newer` was added")
        assert found["issuer"]["mend"] == "restart it"
        assert stop(running).status == 0


def test_what_clients_call_is_called(copied: Lab) -> None:
    """Nothing answers at the URL, though the issuer runs: there is no way to it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = copied.folder / "bailment.toml"
        port = str(other.getsockname()[1])
        with copied.team.start("serve"):
            copied.team.ok("status", "--wait", str(PATIENCE))
            path.write_text(path.read_text().replace(f":{copied.port}", f":{port}"))
            other.close()
            found = wrongs(copied.team)
    assert f"`http://127.0.0.1:{port}`, which clients call" in found["url"]["says"]


# A device


def examined(shell: Shell, profile: str = "default") -> list[Finding]:
    return list(examine_device(shell.home / ".config" / "bailment" / profile))


def test_a_device_that_is_confirmed_is_well(lab: Lab) -> None:
    done = lab.engineer("doctor", "--profile", "default", "--json")
    checks = [row["check"] for row in done.json]
    assert checks == ["profile", "gateway", "clock", "enrolment", "access"]
    assert wrongs(lab.engineer, "--profile", "default") == {}


def test_a_device_on_hold_is_told_whom_to_ask(lab: Lab) -> None:
    hold = lab.team.json("hold", "add", f"person:{MARIA}", "--reason", "r")["hold"]
    found = wrongs(lab.engineer, "--profile", "default")
    lab.team.ok("hold", "lift", hold, "--reason", "r")
    assert list(found) == ["access"]
    assert "`held`" in found["access"]["says"]
    assert "contact security@lab.example" in found["access"]["says"]


def test_a_device_that_waits_is_told_so(lab: Lab) -> None:
    invitation = lab.invite("Bob", "bob@acme.example")
    with lab.engineer.start("enrol", "-", "--profile", "bob", typed=invitation) as enrolling:
        code = line_of(enrolling, r"^code: (\S+)$")
        found = wrongs(lab.engineer, "--profile", "bob")
        assert list(found) == ["enrolment"]
        assert found["enrolment"]["mend"] == "bailment enrol"
        lab.admin.ok("delegate", "device", code, "--admin", lab.acme, "--yes")
        wait(enrolling)
    assert wrongs(lab.engineer, "--profile", "bob") == {}


def test_a_profile_that_is_missing_open_or_damaged_is_named(lab: Lab, tmp_path: Path) -> None:
    assert "holds no profile" in wrongs(lab.engineer, "--profile", "none")["profile"]["says"]
    profiles = lab.engineer.home / ".config" / "bailment"
    shutil.copytree(profiles / "default", profiles / "open")
    (profiles / "open" / "device.pem").chmod(0o644)
    found = wrongs(lab.engineer, "--profile", "open")["profile"]
    assert found["mend"] == f"chmod 600 {profiles / 'open' / 'device.pem'}"
    private(profiles / "open" / "device.pem", "nothing")
    (profiles / "open" / "device.pem").chmod(0o600)
    assert "is damaged" in wrongs(lab.engineer, "--profile", "open")["profile"]["says"]


def test_a_gateway_out_of_reach_is_named(lab: Lab) -> None:
    profiles = lab.engineer.home / ".config" / "bailment"
    shutil.copytree(profiles / "default", profiles / "away")
    profile = profiles / "away" / "profile.json"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        gone = f"http://127.0.0.1:{taken.getsockname()[1]}"
    profile.write_text(profile.read_text().replace(lab.url, gone))
    found = wrongs(lab.engineer, "--profile", "away")
    assert f"cannot reach the gateway `{gone}`" in found["gateway"]["says"]
    assert "check the network" in found["gateway"]["mend"]


def test_a_clock_that_is_not_the_gateways_is_said_and_is_no_fault(lab: Lab) -> None:
    with patch("bailment.cli.device_checks.time.time", return_value=1_000_000_000.0):
        clock = next(found for found in examined(lab.engineer) if found.check == "clock")
    assert clock.ok
    assert "s behind the gateway's, which the agent makes up for" in clock.says
    assert clock.mend


def test_tables_of_networks_that_are_older_than_the_spec_allows_are_a_warning(copied: Lab) -> None:
    def networks(data: bytes) -> Finding:
        (copied.folder / "networks.bin").write_bytes(data)
        examined = examine_issuer(Folder(copied.folder))
        return next(one for one in examined if one.check == "networks")

    empty = [layer_of(())] * 3 + [layer_of((), 64)] * 3
    found = networks(tables_of((Source("list", "", 1_700_000_000_000, 0),), empty).encode())
    assert (found.ok, found.mend) == (True, "bailment network refresh --from FOLDER")
    assert "the spec allows 30" in found.says
    assert not networks(b"damaged").ok
