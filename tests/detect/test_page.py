"""What `docs/detection.md` says of detectors is what they do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.grouping import BY_ANYBODY
from bailment.spec.detection import RULES

PAGE = (Path(__file__).parents[2] / "docs" / "detection.md").read_text()
_TABLE = PAGE.partition("## Detectors")[2].partition("\n## ")[0]
ROWS = {
    cells[0].strip("` "): [cell.strip() for cell in cells[1:]]
    for cells in (line.strip("|").split("|") for line in _TABLE.splitlines() if line[:3] == "| `")
}
_UNITS = {"min": 60_000, "h": 3_600_000, "d": 86_400_000}


def test_the_page_has_each_detector_and_no_other() -> None:
    assert list(ROWS) == list(RULES)


@pytest.mark.parametrize("name", RULES)
def test_the_page_says_how_a_detector_works(name: str) -> None:
    where, fires, _, counts, within, follows = ROWS[name]
    rule = RULES[name]
    number, unit = within.split()
    assert int(number) * _UNITS[unit] == rule.window_ms
    assert follows == rule.response
    said = re.match(r"\d+", counts)
    assert fires and (counts == "a score" or (said and int(said[0]) == rule.threshold))
    inline, stream = {one.KIND for one in INLINE}, {one.KIND for one in STREAM}
    assert where == ("worker" if name in stream else where)
    assert where == ("gateway" if name in inline else where)


def test_what_anybody_can_bring_about_holds_nobody() -> None:
    for name in BY_ANYBODY:
        assert RULES[name].response != "hold"
        assert f"`{name}`" in PAGE.partition("must not be a weapon")[2]
