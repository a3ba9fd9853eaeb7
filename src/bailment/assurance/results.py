"""Results of evaluations, from the files that hold them (`formats/capability.md`).

Three formats: Inspect's log as `.eval`, a ZIP archive of which nothing but the header is read, and
as `.json`; and our own, for what was measured by other means.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from bailment import canonical
from bailment.assurance import archive
from bailment.assurance.adapters.reading import MAX_SIZE, MAX_VALUES, Natural, plain, time_ms
from bailment.errors import FormatError
from bailment.spec.quantity import NUMBER, number_ppm
from bailment.spec.terms import Title

#: The longest archive: a log holds all that a model wrote, of which the header is a thousandth.
MAX_ARCHIVE = 256 * 2**20
#: The most results of one file.
MAX_RESULTS = 1000

_T = TypeVar("_T")
_Status = Literal["started", "success", "cancelled", "error"]
_Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Millis = Annotated[int, Meta(ge=0, le=canonical.MAX_INTEGER)]
_Note = Annotated[str, Meta(max_length=200)]
_HEADER_ONLY = "write its header alone with `inspect log dump --header-only`, and give that"


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model scored at a task, by one metric.

    digest    SHA-256 of the file that says so
    task      by its name in Inspect's registry, where it has one; `version` is the task's own
    model     by the name under which it was evaluated
    created   when the run began, ms
    scorer    which scorer, `score` which of its scores where it gives several, `reducer` how the
              scores of several epochs became one
    value     in millionths, rounded to the nearest, half to even
    samples   how many samples were scored
    notes     what may make it worth less, in words
    """

    digest: _Digest
    task: Title
    model: Title
    created: _Millis
    metric: Title
    value: Annotated[int, Meta(ge=-canonical.MAX_INTEGER, le=canonical.MAX_INTEGER)]
    scorer: Title | Literal[""] = ""
    score: Title | Literal[""] = ""
    reducer: Title | Literal[""] = ""
    samples: Natural = 0
    version: Title | Literal[""] = ""
    notes: Annotated[tuple[_Note, ...], Meta(max_length=8)] = ()


class Ignored(msgspec.Struct, frozen=True):
    """What a file says and does not count, and why; `metric` is empty for a whole run."""

    digest: str
    task: str
    model: str
    metric: str
    why: str


class Reading(msgspec.Struct, frozen=True):
    """What a file says."""

    digest: str
    results: tuple[Result, ...] = ()
    ignored: tuple[Ignored, ...] = ()


class _Metric(msgspec.Struct):
    value: Any


class _Score(msgspec.Struct):
    name: Title
    scorer: Title
    metrics: dict[Title, _Metric] = {}
    reducer: Title | None = None
    scored_samples: Natural | None = None
    unscored_samples: Natural | None = None


class _Results(msgspec.Struct):
    total_samples: Natural = 0
    completed_samples: Natural = 0
    scores: list[_Score] = []
    early_stopping: Any = None


class _Dataset(msgspec.Struct):
    samples: Natural | None = None
    sample_ids: list[Any] | None = None


class _Config(msgspec.Struct):
    limit: Any = None
    sample_id: Any = None


class _Run(msgspec.Struct):
    created: str
    task: Title
    model: Title
    dataset: _Dataset
    config: _Config
    task_registry_name: Title | None = None
    task_version: int | Title = 0
    task_args_passed: dict[str, Any] = {}


class _Log(msgspec.Struct):
    """The members of an Inspect log that are read (`inspect_ai.log.EvalLog`, version 2)."""

    version: Literal[2]
    eval: _Run
    status: _Status = "started"
    results: _Results | None = None
    invalidated: bool = False
    config_updates: list[Any] | None = None


class _Measured(msgspec.Struct, forbid_unknown_fields=True):
    task: Title
    metric: Title
    value: Any
    scorer: Title | Literal[""] = ""
    samples: Natural = 0
    version: Title | Literal[""] = ""


class _Plain(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["bailment-results/v1"]
    model: Title
    created: str
    status: _Status
    results: Annotated[list[_Measured], Meta(min_length=1, max_length=MAX_RESULTS)]


def read(data: bytes) -> Reading:
    """What a file says; FormatError, and nothing else, if it is none of the three formats."""
    zipped = data.startswith(archive.MAGIC)
    if len(data) > (MAX_ARCHIVE if zipped else MAX_SIZE):
        most = (MAX_ARCHIVE if zipped else MAX_SIZE) >> 20
        raise FormatError(f"the file is longer than {most} MiB", hint=_HEADER_ONLY)
    value = _parse(_header(data) if zipped else data)
    digest = hashlib.sha256(data).hexdigest()
    match value:
        case {"format": "bailment-results/v1"}:
            found = _told(_as(value, _Plain), digest)
        case {"eval": _, "version": _}:
            found = _inspected(_as(value, _Log), digest)
        case _:
            raise FormatError(
                "the file is neither an Inspect log nor `bailment-results/v1`",
                hint="see formats/capability.md",
            )
    try:
        canonical.encode(found)
    except UnicodeEncodeError:
        raise FormatError("a string holds a lone surrogate") from None
    return found


def _header(data: bytes) -> bytes:
    """The header of an `.eval`, or what was known when the run began if it has not ended."""
    try:
        for name in ("header.json", "_journal/start.json"):
            if (found := archive.member(data, name, MAX_SIZE)) is not None:
                return found
    except FormatError as error:
        raise FormatError(str(error), hint=_HEADER_ONLY) from None
    raise FormatError("the archive holds no `header.json`, so it is no Inspect log")


def _inspected(log: _Log, digest: str) -> Reading:
    said = log.eval
    task, created = said.task_registry_name or said.task, time_ms(said.created, "$.eval.created")
    why = _useless(log)
    if why or log.results is None:
        return Reading(digest, ignored=(Ignored(digest, task, said.model, "", why),))
    results, ignored = [], []
    for score in log.results.scores:
        notes = tuple(_caveats(log, log.results, score))
        for metric, one in score.metrics.items():
            value = _millionths(one.value)
            if value is None:
                shown = f"its value `{plain(str(one.value), 24)}` cannot be counted"
                ignored.append(Ignored(digest, task, said.model, metric, shown))
                continue
            scored = score.scored_samples
            results.append(
                Result(
                    digest=digest,
                    task=task,
                    model=said.model,
                    created=created,
                    metric=metric,
                    value=value,
                    scorer=score.scorer,
                    score="" if score.name == score.scorer else score.name,
                    reducer=score.reducer or "",
                    samples=log.results.completed_samples if scored is None else scored,
                    version=str(said.task_version),
                    notes=notes,
                )
            )
    if len(results) + len(ignored) > MAX_RESULTS:
        raise FormatError(f"the log holds more than {MAX_RESULTS} results")
    return Reading(digest, tuple(results), tuple(ignored))


def _useless(log: _Log) -> str:
    """Why nothing of a run counts, or empty."""
    if log.status != "success":
        return f"the run ended as `{log.status}`" if log.status != "started" else "it has not ended"
    if log.invalidated:
        return "samples of it were invalidated"
    if log.results is None or not any(score.metrics for score in log.results.scores):
        return "it has no metric"
    return ""


def _caveats(log: _Log, results: _Results, score: _Score) -> Iterator[str]:
    dataset, config = log.eval.dataset, log.eval.config
    if config.limit is not None or config.sample_id is not None:
        ran = "some" if dataset.sample_ids is None else len(dataset.sample_ids)
        whole = "" if dataset.samples is None else f" of {dataset.samples}"
        if ran != dataset.samples:
            yield f"ran {ran}{whole} samples of the dataset"
    if results.completed_samples < results.total_samples:
        yield f"completed {results.completed_samples} of {results.total_samples} samples"
    if score.unscored_samples:
        yield f"left {score.unscored_samples} samples without a score"
    if results.early_stopping is not None:
        yield "stopped early"
    if log.config_updates:
        yield "settings were changed while it ran"
    if log.eval.task_args_passed:
        yield "ran with " + plain(", ".join(log.eval.task_args_passed), 120)


def _told(said: _Plain, digest: str) -> Reading:
    created = time_ms(said.created, "$.created")
    if said.status != "success":
        why = f"the run ended as `{said.status}`"
        tasks = dict.fromkeys(one.task for one in said.results)
        ignored = (Ignored(digest, task, said.model, "", why) for task in tasks)
        return Reading(digest, ignored=tuple(ignored))
    results = (
        Result(
            digest=digest,
            task=one.task,
            model=said.model,
            created=created,
            metric=one.metric,
            value=_number(one.value),
            scorer=one.scorer,
            samples=one.samples,
            version=one.version,
        )
        for one in said.results
    )
    return Reading(digest, tuple(results))


def _number(value: object) -> int:
    if isinstance(value, str) and re.search(NUMBER, value):
        return number_ppm(value)
    found = _millionths(value)
    if found is None:
        raise FormatError(
            f"the value `{plain(str(value), 24)}` is not a number",
            hint='write one like `0.6` or `"60%"`',
        )
    return found


def _millionths(value: object) -> int | None:
    """A number in millionths, to the nearest; None if it is none, or none that can be counted."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() > 9:
        return None
    counted = int(number.quantize(_MILLIONTH, context=_EXACT).scaleb(6, context=_EXACT))
    return counted if abs(counted) <= canonical.MAX_INTEGER else None


_MILLIONTH = Decimal("0.000001")
_EXACT = Context(prec=40)  # rounds half to even


def _parse(text: bytes) -> Any:
    """JSON as Inspect writes it, with NaN and Infinity; fractions stay decimal."""
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise FormatError(f"the file holds more than {MAX_VALUES} values", hint=_HEADER_ONLY)
    try:
        return _decoder.decode(text.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise FormatError("the JSON is nested too deeply") from None
    except ArithmeticError:
        raise FormatError("a number is too long to be read") from None
    except ValueError as error:
        raise FormatError(f"not JSON: {str(error)[:80].lower()}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise canonical.DuplicateKey("a key appears twice in one object")
    return found


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=Decimal, parse_constant=Decimal)


def _as(value: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"the file is wrong: {plain(str(error), 200)}") from None
