"""Results of evaluations, read from what Inspect wrote (`data/make_inspect_logs.py`) and worse."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailment import canonical
from bailment.assurance import archive, results
from bailment.assurance.results import MAX_RESULTS, Result, read
from bailment.errors import FormatError
from bailment.spec.quantity import MILLION

from .inspect_logs import DATA, LOGS, PORTS, PORTS_JSON, as_json, log, zipped


def scores(*metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Scores with a metric `accuracy` of these further members."""
    return [
        {"name": "s", "scorer": "s", "metrics": {"accuracy": {"name": "accuracy", **one}}}
        for one in metrics
    ]


def first(data: bytes) -> Result:
    return read(data).results[0]


@pytest.mark.parametrize("path", [DATA / "ports.eval", DATA / "ports.json"], ids=lambda p: p.name)
def test_a_log_says_what_each_scorer_counted(path: Path) -> None:
    data = path.read_bytes()
    found = read(data)
    assert [(one.scorer, one.metric, one.value) for one in found.results] == [
        ("includes", "accuracy", 600_000),
        ("includes", "stderr", 244_949),
        ("match", "accuracy", 600_000),
        ("match", "stderr", 244_949),
    ]
    assert {
        (one.task, one.model, one.version, one.samples, one.score) for one in found.results
    } == {("ports", "mockllm/model", "2-A", 5, "")}
    assert {one.digest for one in found.results} == {hashlib.sha256(data).hexdigest()}
    assert found.ignored == () and found.results[0].notes == ()


def test_a_scorer_with_several_scores_has_a_result_for_each() -> None:
    for name in ("lengths.eval", "lengths.json"):
        found = read((DATA / name).read_bytes())
        assert [(one.scorer, one.score, one.metric, one.value) for one in found.results] == [
            ("judged", "exact", "accuracy", 400_000),
            ("judged", "length", "mean", 6_000_000),
        ]


def test_a_metric_that_is_not_a_number_is_said_and_does_not_count() -> None:
    for name in ("lengths.eval", "lengths.json"):
        (ignored,) = read((DATA / name).read_bytes()).ignored
        assert (ignored.metric, ignored.why) == ("undefined", "its value `NaN` cannot be counted")


def test_a_run_that_failed_proves_nothing() -> None:
    found = read((DATA / "broken.eval").read_bytes())
    assert found.results == ()
    assert [(one.task, one.why) for one in found.ignored] == [
        ("broken", "the run ended as `error`")
    ]


def test_a_partial_run_says_so_and_each_reducer_has_a_result() -> None:
    found = read((DATA / "some_ports.eval").read_bytes()).results
    assert [(one.reducer, one.value) for one in found if one.metric == "accuracy"] == [
        ("mean", 666_667),
        ("max", MILLION),
    ] * 2
    assert {one.notes for one in found} == {("ran 2 of 5 samples of the dataset",)}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "cancelled"}, "the run ended as `cancelled`"),
        ({"status": "started"}, "it has not ended"),
        ({"invalidated": True}, "samples of it were invalidated"),
        ({"results": None}, "it has no metric"),
        ({"results__scores": []}, "it has no metric"),
        ({"results__scores": [{"name": "s", "scorer": "s", "metrics": {}}]}, "it has no metric"),
    ],
)
def test_only_a_run_that_succeeded_counts(changes: dict[str, Any], why: str) -> None:
    found = read(as_json(log(**changes)))
    assert found.results == ()
    assert [one.why for one in found.ignored] == [why]


def test_a_run_that_goes_on_has_not_ended() -> None:
    begun = {name: log()[name] for name in ("version", "eval", "plan")}
    found = read(zipped(("_journal/start.json", as_json(begun))))
    assert [one.why for one in found.ignored] == ["it has not ended"]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"results__completed_samples": 4}, "completed 4 of 5 samples"),
        ({"results__early_stopping": {"manager": "m"}}, "stopped early"),
        ({"config_updates": [{}]}, "settings were changed while it ran"),
        ({"eval__task_args_passed": {"hard": True, "n": 1}}, "ran with hard, n"),
        (
            {"eval__config__sample_id": ["1"], "eval__dataset": {}},
            "ran some samples of the dataset",
        ),
    ],
)
def test_what_makes_a_result_worth_less_is_noted(changes: dict[str, Any], note: str) -> None:
    assert first(as_json(log(**changes))).notes == (note,)


def test_a_limit_beyond_the_dataset_leaves_nothing_out() -> None:
    assert first(as_json(log(eval__config__limit=100))).notes == ()


def test_samples_without_a_score_are_noted() -> None:
    value = log()
    value["results"]["scores"][0]["unscored_samples"] = 2
    assert first(as_json(value)).notes == ("left 2 samples without a score",)


def test_a_task_goes_by_its_name_in_the_registry() -> None:
    assert first(as_json(log(eval__task_registry_name="inspect_evals/x"))).task == "inspect_evals/x"
    assert first(as_json(log(eval__task_registry_name=None))).task == "ports"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.6", 600_000),
        ("1", MILLION),
        ("0.6000000000000001", 600_000),
        ("0.5999999999999999", 600_000),
        ("0.0000005", 0),  # half to even
        ("0.0000015", 2),
        ("0.5999994", 599_999),
        ("1e-05", 10),
        ("-2.5e3", -2_500_000_000),
        ("9007199254.740991", canonical.MAX_INTEGER),
        ("0." + "3" * 5000, 333_333),
        ("1e-999999", 0),
    ],
)
def test_a_value_is_counted_in_millionths(text: str, value: int) -> None:
    data = as_json(log(results__scores=scores({"value": 12345}))).replace(b"12345", text.encode())
    assert first(data).value == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e10", "true", '"0.6"', "null"])
def test_what_cannot_be_counted_is_ignored(text: str) -> None:
    data = as_json(log(results__scores=scores({"value": 12345}, {"value": 1})))
    found = read(data.replace(b"12345", text.encode()))
    assert [one.value for one in found.results] == [MILLION]
    assert [one.metric for one in found.ignored] == ["accuracy"]


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_a_value_is_within_half_a_millionth(value: float) -> None:
    found = first(as_json(log(results__scores=scores({"value": value})))).value
    assert abs(found - value * MILLION) <= 0.5 + abs(value) * 1e-6


PLAIN = {
    "format": "bailment-results/v1",
    "model": "lab/model",
    "created": "2026-05-01T12:00:00Z",
    "status": "success",
    "results": [
        {"task": "uplift", "metric": "success", "value": "62.5%", "samples": 40, "version": "3"},
        {"task": "uplift", "metric": "hours", "value": 12.25, "scorer": "panel"},
    ],
}


def test_plain_results_are_read() -> None:
    found = read(as_json(PLAIN)).results
    assert [(one.task, one.metric, one.value, one.scorer, one.samples) for one in found] == [
        ("uplift", "success", 625_000, "", 40),
        ("uplift", "hours", 12_250_000, "panel", 0),
    ]
    assert {(one.model, one.created) for one in found} == {("lab/model", 1_777_636_800_000)}


def test_plain_results_of_a_run_that_failed_prove_nothing() -> None:
    found = read(as_json({**PLAIN, "status": "error"}))
    assert found.results == ()
    assert [(one.task, one.why) for one in found.ignored] == [
        ("uplift", "the run ended as `error`")
    ]


BAD_RESULT = {"task": "t", "metric": "m", "value": 1}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"eval": {}},
        {**PLAIN, "format": "bailment-results/v2"},
        {**PLAIN, "extra": 1},
        {**PLAIN, "status": "done"},
        {**PLAIN, "created": "2026-05-01"},
        {**PLAIN, "created": "2026-02-30T00:00:00Z"},
        {**PLAIN, "model": ""},
        {**PLAIN, "model": "a\nb"},
        {**PLAIN, "model": "\ud800"},
        {**PLAIN, "results": []},
        {**PLAIN, "results": [BAD_RESULT] * (MAX_RESULTS + 1)},
        *(
            {**PLAIN, "results": [{**BAD_RESULT, **change}]}
            for change in (
                {"value": "many"},
                {"value": True},
                {"value": None},
                {"value": 10**10},
                {"value": [1]},
                {"samples": -1},
                {"samples": 1.5},
                {"task": "x" * 201},
                {"unit": "h"},
            )
        ),
        log(version=1),
        log(version=3),
        log(status="fine"),
        log(eval__created="yesterday"),
        log(eval__created="1969-12-31T23:59:59Z"),
        log(eval__task=7),
        log(eval__task_registry_name="\udfff"),
        log(eval__dataset=None),
        log(eval__task_version="x\ny"),
        log(results__scores=[{"name": "s"}]),
        log(results__scores=scores({})),
        log(results__scores=scores(*[{"value": 1}] * (MAX_RESULTS + 1))),
    ],
)
def test_what_is_not_of_a_format_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        read(as_json(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b"[" * 3_000_000,
        b'{"eval":' * 5_000,
        b'{"a":1,"a":1}',
        b'{"a":' + b"9" * 10_000 + b"}",
        b'{"a":1e99999999999999999999}',
        as_json(PLAIN).replace(b'"model"', b'"model":"x","model"', 1),
        as_json(PLAIN)[:-1],
        as_json(PLAIN) + b"x",
    ],
    ids=range(13),
)
def test_bytes_that_are_no_json_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read(data)


def test_a_deep_member_that_is_not_read_does_not_matter() -> None:
    deep = json.loads("[" * 200 + "]" * 200)
    told = as_json(log(eval__metadata=deep, plan=deep, eval__config__limit=deep))
    assert isinstance(first(told), Result)


def test_a_file_may_hold_as_many_results_as_it_may() -> None:
    assert len(
        read(as_json(log(results__scores=scores(*[{"value": 1}] * MAX_RESULTS)))).results
    ) == (MAX_RESULTS)


def test_a_file_of_the_longest_length_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_SIZE", len(PORTS_JSON))
    monkeypatch.setattr(results, "MAX_ARCHIVE", len(PORTS))
    assert read(PORTS).results and read(PORTS_JSON).results


def test_a_file_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"[1,1]"
    monkeypatch.setattr(results, "MAX_VALUES", 1)
    with pytest.raises(FormatError, match="holds more than 1 values"):
        read(data)
    monkeypatch.setattr(results, "MAX_VALUES", 2)
    with pytest.raises(FormatError, match="neither an Inspect log"):
        read(data)


def test_a_file_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_SIZE", len(PORTS_JSON) - 1)
    monkeypatch.setattr(results, "MAX_ARCHIVE", len(PORTS) - 1)
    for data in (PORTS, PORTS_JSON):
        with pytest.raises(FormatError, match="is longer than") as refused:
            read(data)
        assert "--header-only" in refused.value.hint


def _says(data: bytes) -> list[int]:
    try:
        return [one.value for one in read(data).results]
    except FormatError:
        return []


@given(st.sampled_from(LOGS), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255))))
def test_no_changed_byte_raises_anything_else(path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(path.read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    _says(bytes(data))


@given(st.integers(0, len(PORTS) - 1), st.integers(1, 255))
def test_no_changed_byte_of_an_archive_changes_a_value(at: int, by: int) -> None:
    data = bytearray(PORTS)
    data[at] ^= by
    assert _says(bytes(data)) in ([], _says(PORTS))


@given(st.binary(max_size=300), st.booleans())
@example(b"", True)
def test_no_bytes_raise_anything_else(data: bytes, marked: bool) -> None:
    _says(archive.MAGIC + data if marked else data)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below),
    max_leaves=8,
)
_PATHS = st.sampled_from(
    [
        *("version", "status", "eval", "results", "invalidated", "config_updates"),
        *(f"eval__{name}" for name in ("created", "task", "model", "dataset", "config")),
        *("eval__task_version", "eval__task_args_passed", "eval__config__limit"),
        *("eval__dataset__samples", "eval__dataset__sample_ids", "results__scores"),
    ]
)


@given(_PATHS, _ANY)
def test_no_value_anywhere_raises_anything_else(path: str, value: object) -> None:
    _says(as_json(log(**{path: value})))


@given(_ANY)
def test_no_metric_raises_anything_else(value: object) -> None:
    found = as_json(log(results__scores=scores({"value": value})))
    for one in read(found).results:
        assert canonical.decode(canonical.encode(one))
