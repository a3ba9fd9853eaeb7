"""What is committed speaks of the project only, and stays small."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEGABYTE = 1_000_000
# Folders of one machine and hosts of one registry, written so as not to match themselves.
BANNED = re.compile(
    r"/wor[k]/|/roo[t]/|/opt/pyp[i]|/tmp/brie[f]|/tmp/bash_job[s]|pythonhoste[d]|pypi\.or[g]"
)


def _committed() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_one_machine_or_one_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in _committed()
        for match in BANNED.finditer(path.read_text(errors="replace"))
    ]
    assert found == []


def test_no_file_is_larger_than_a_megabyte() -> None:
    files = _committed()
    assert files
    assert [path.name for path in files if path.stat().st_size > MEGABYTE] == []
