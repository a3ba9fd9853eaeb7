"""Each rule finds what its samples say, and nothing in what they say is in order."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import bailment.detect
from bailment.detect.catalogue import INLINE, STREAM
from bailment.detect.sample import Sample
from bailment.spec.detection import RULES

DETECTORS = {one.KIND: one for one in (*INLINE, *STREAM)}
HERE = Path(bailment.detect.__file__).parent
WRITTEN = [
    (module, sample)
    for path in sorted(HERE.rglob("*_samples.py"))
    for module in [
        "bailment.detect."
        + ".".join(path.relative_to(HERE).with_suffix("").parts).removesuffix("_samples")
    ]
    for sample in import_module(f"{module}_samples").SAMPLES
]


@pytest.mark.parametrize(
    ("module", "sample"), WRITTEN, ids=lambda one: one.says if isinstance(one, Sample) else ""
)
def test_a_rule_finds_what_its_sample_says(module: str, sample: Sample) -> None:
    detector: Any = import_module(module)
    terms = sample.terms or RULES[detector.KIND]
    state, found = detector.begin(terms), []
    for event in sample.events:
        state, findings = detector.step(state, event, event.time, terms)
        found += findings
    assert tuple(one.subject for one in found) == sample.findings
    for one in found:
        assert one.kind == detector.KIND
        assert one.records and set(one.records) <= {event.index for event in sample.events}
        assert one.since <= one.until and one.sentence and len(one.sentence) < 400


def test_each_detector_has_samples_of_both_kinds() -> None:
    kinds = {import_module(module).KIND: set[bool]() for module, _ in WRITTEN}
    for module, sample in WRITTEN:
        kinds[import_module(module).KIND].add(bool(sample.findings))
    assert {name: {True, False} for name in DETECTORS} == {
        name: kinds.get(name) for name in DETECTORS
    }


def test_each_detector_has_a_rule_in_the_spec() -> None:
    assert len(DETECTORS) == len(INLINE) + len(STREAM)
    assert set(DETECTORS) <= set(RULES)
