"""What was tampered with is found, and ends with the exit code for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .lab import Done, Lab

pytestmark = pytest.mark.journey

UNVERIFIED = 20


@pytest.fixture(scope="module")
def vkey(lab: Lab) -> str:
    return lab.team.ok("log", "vkey").strip()


@pytest.fixture(scope="module")
def other(bare: Lab) -> str:
    """The key of another log of the same name."""
    return bare.team.ok("log", "vkey").strip()


@pytest.fixture(scope="module")
def export(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "export"
    lab.team.ok("log", "export", folder)
    return folder


@pytest.fixture(scope="module")
def receipt(lab: Lab) -> str:
    return lab.team.ok("log", "receipt", "3")


def unverified(done: Done, said: str) -> None:
    assert (done.status, said in done.out + done.err) == (UNVERIFIED, True), done


def change(text: str, line: int) -> str:
    """The text with one letter of a line changed, and its base64 as strict as before."""
    lines = text.split("\n")
    middle = len(lines[line]) // 2
    letter = "A" if lines[line][middle] != "A" else "B"
    lines[line] = lines[line][:middle] + letter + lines[line][middle + 1 :]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (1, "is not in the tree"),  # the record
        (3, "is not in the tree"),  # a hash of the proof
        (-2, "signature"),  # the signature
    ],
)
def test_a_receipt_with_a_letter_changed_does_not_verify(
    line: int, said: str, receipt: str, lab: Lab, vkey: str, tmp_path: Path
) -> None:
    (tmp_path / "receipt").write_text(receipt)
    lab.auditor.ok("log", "verify", tmp_path / "receipt", "--key", vkey)
    (tmp_path / "receipt").write_text(change(receipt, line))
    for more in ((), ("--json",)):
        done = lab.auditor("log", "verify", tmp_path / "receipt", "--key", vkey, *more)
        unverified(done, said)
        assert done.out == ""


def test_a_receipt_of_another_log_does_not_verify(
    receipt: str, lab: Lab, other: str, tmp_path: Path
) -> None:
    (tmp_path / "receipt").write_text(receipt)
    unverified(
        lab.auditor("log", "verify", tmp_path / "receipt", "--key", other), "no known key signed"
    )


@pytest.mark.parametrize(
    "file",
    ["tile/entries/*.p/*", "tile/0/*.p/*", "facts/*.p/*"],
)
def test_an_export_with_a_byte_changed_does_not_pass(
    file: str, export: Path, lab: Lab, vkey: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(export, copy)
    (path,) = copy.glob(file)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    done = lab.auditor("log", "audit", copy, "--key", vkey)
    unverified(done, "NOT as it should be")
    found = lab.auditor("log", "audit", copy, "--key", vkey, "--json")
    assert (found.status, found.json["clean"]) == (UNVERIFIED, False)
    assert all(row.keys() == {"record", "kind", "sentence"} for row in found.json["findings"])
    assert sum(found.json["counts"].values()) >= len(found.json["findings"]) > 0


def test_an_export_does_not_pass_with_another_logs_key(export: Path, lab: Lab, other: str) -> None:
    unverified(lab.auditor("log", "audit", export, "--key", other), "NOT as it should be")


def test_an_export_with_a_file_missing_does_not_pass(
    export: Path, lab: Lab, vkey: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(export, copy)
    shutil.rmtree(copy / "facts")
    done = lab.auditor("log", "audit", copy, "--key", vkey)
    unverified(done, "is incomplete")


def test_a_log_that_forgot_what_was_kept_does_not_pass(
    export: Path, lab: Lab, vkey: str, bare: Lab, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    later.write_text(lab.team.ok("log", "checkpoint"))
    lab.auditor.ok("log", "audit", export, "--key", vkey, "--since", export / "checkpoint")
    lab.team.ok("hold", "add", "purpose:red-team", "--reason", "r", "--until", "1s")
    later.write_text(lab.team.ok("log", "checkpoint"))
    done = lab.auditor("log", "audit", export, "--key", vkey, "--since", later)
    unverified(done, "NOT as it should be")


def test_a_view_with_a_letter_changed_does_not_pass(lab: Lab, vkey: str, tmp_path: Path) -> None:
    view = tmp_path / "acme.view"
    lab.team.ok("log", "export", view, "--recipient", "acme")
    lines = view.read_text().splitlines()
    del lines[2]
    view.write_text("\n".join(lines) + "\n")
    done = lab.auditor("log", "audit", view, "--key", vkey)
    assert done.status == UNVERIFIED, done
