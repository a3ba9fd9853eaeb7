"""What we write is OSCAL to others: to NIST's own schema, and to compliance-trestle.

The first run makes an environment for these tools, which takes half a minute and a package index.
Outside of CI that is left to whoever runs `python formats/check_oscal.py` once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bailment import canonical
from bailment.assurance.oscal import assessment_results
from bailment.spec import oscal

from .builtin import GRANTS, ITEMS, NOW, document, evaluation

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "formats" / "check_oscal.py"
TOOLS = ROOT / "build" / "oscal" / "made-from"

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog, four profiles, the spec, and results with every status."""
    if not TOOLS.exists() and os.environ.get("CI") != "true":
        pytest.skip("no tools: `python formats/check_oscal.py DIR` makes their environment")
    for name, data in oscal.export(document(), NOW).items():
        (tmp_path / name).write_bytes(data)
    results = assessment_results(document(), evaluation(), ITEMS, GRANTS, recipient="Acme", now=NOW)
    (tmp_path / "results.json").write_bytes(canonical.encode(results))
    return tmp_path


def check(folder: Path) -> tuple[int, str]:
    """The exit code and what is said to be wrong."""
    run = subprocess.run([sys.executable, CHECK, folder], stdout=subprocess.PIPE, text=True)
    return run.returncode, run.stdout


def test_nist_and_trestle_take_what_we_write(folder: Path) -> None:
    assert check(folder) == (0, "")


def test_each_of_the_three_finds_what_is_wrong(folder: Path) -> None:
    spoil(folder / "results.json", '"observation-uuid":"', '"observation-uuid":"00')
    spoil(folder / "profile-T1.json", '"oscal-version":"1.2.1"', '"oscal-version":"9.9.9"')
    spoil(folder / "profile-T3.json", '"param-id":"id-5', '"param-id":"id-9')
    spoil(folder / "catalog.json", '"title":"Identity and MFA"', '"name":"Identity and MFA"')
    status, said = check(folder)
    assert status == 1
    assert "results.json: `observation-uuid` refers to `00" in said
    assert "profile-T3.json: `param-id` refers to `id-9" in said
    assert "\ncatalog: " in said, "NIST's schema"
    assert "\ntrestle import -f " in said


def test_a_folder_without_oscal_is_not_passed_over(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_text(json.dumps({"no": "oscal"}))
    assert check(folder)[0] == 1


def spoil(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
