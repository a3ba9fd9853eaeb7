"""The published schema of the records is that of the code."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_schema_in_formats_is_the_one_that_the_code_makes() -> None:
    module = runpy.run_path(str(ROOT / "formats" / "generate_records.py"))
    assert module["OUT"].read_text() == module["schema"]()
