"""Make the Inspect logs beside this file, with Inspect itself and its mock model.

    uv run --no-project --with inspect-ai==0.3.285 python tests/assurance/data/make_inspect_logs.py

Ids and times differ from run to run, what the tests look at does not.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from inspect_ai import Epochs, Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, write_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import (
    SampleScore,
    Score,
    accuracy,
    includes,
    match,
    mean,
    metric,
    scorer,
)
from inspect_ai.solver import Generate, TaskState, generate, solver

HERE = Path(__file__).parent
MODEL = "mockllm/model"
ANSWERS = ("open", "it is open", "closed", "open", "closed")


@metric
def undefined() -> Any:
    """A metric that has no value, as a correlation of constants has none."""

    def measure(scores: list[SampleScore]) -> float:
        return float("nan")

    return measure


@scorer(metrics={"exact": [accuracy(), undefined()], "length": [mean()]})
def judged() -> Any:
    """A scorer whose scores have two values each."""

    async def score(state: TaskState, target: Any) -> Any:
        text = state.output.completion
        return Score(value={"exact": int(text == target.text), "length": len(text)})

    return score


@solver
def fails() -> Any:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        raise RuntimeError("the sandbox did not start")

    return solve


def _samples() -> list[Sample]:
    return [
        Sample(id=number, input=f"Is port {number} open?", target="open")
        for number in range(1, len(ANSWERS) + 1)
    ]


@task
def ports() -> Task:
    return Task(dataset=_samples(), scorer=[includes(), match()], version="2-A")


@task
def lengths() -> Task:
    return Task(dataset=_samples(), scorer=judged())


@task
def broken(hard: bool = False) -> Task:
    return Task(dataset=_samples(), solver=[fails(), generate()], scorer=match())


def run(name: str, what: Task, kind: str, **options: Any) -> None:
    """Run a task and keep its log under a name, without what names this machine."""
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    outputs = [
        ModelOutput(model=MODEL, choices=[choice], usage=usage)
        for _ in range(3)
        for answer in ANSWERS
        for choice in ModelOutput.from_content(MODEL, answer).choices
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        model = get_model(MODEL, custom_outputs=iter(outputs), memoize=False)
        (log,) = eval(
            what,
            model=model,
            log_dir=folder,
            log_format=kind,
            display="none",
            max_samples=1,
            **options,
        )
        made = Path(folder) / f"{name}.{kind}"
        write_eval_log(_cleaned(log), str(made))
        shutil.copy(made, HERE / made.name)


def _cleaned(log: EvalLog) -> EvalLog:
    log.eval.task_file = log.eval.revision = None
    for error in (log.error, *(sample.error for sample in log.samples or ())):
        if error is not None:
            error.traceback = error.traceback_ansi = ""
    for sample in log.samples or ():
        sample.events = []
    return log


if __name__ == "__main__":
    run("ports", ports(), "eval")
    run("ports", ports(), "json")
    run("lengths", lengths(), "eval")
    run("lengths", lengths(), "json")
    run("broken", broken(hard=True), "eval")
    run("some_ports", ports(), "eval", limit=2, epochs=Epochs(3, ["mean", "max"]))
