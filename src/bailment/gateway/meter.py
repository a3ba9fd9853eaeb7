"""Reconciliation: what the model server says it served, held against what the log says.

The server counts tokens itself. What it served beyond everything on the record went around the
gateway, and is a finding. Accesses that are open, or whose usage is unknown because they were cut,
widen the bound by their ceilings. Once all is closed and settled, the comparison starts again from
there, so that the slack of one interval does not hide a call in the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessClosed, AccessOpened, Facts

#: After this long without an access the server's counters are taken to be up to date.
SETTLE_MS = 2_000

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^}]*\})?\s+([0-9.eE+-]+)\s*$", re.M)


@dataclass(frozen=True, slots=True)
class Reading:
    """The server's counters at one time (ms)."""

    time: int
    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Excess:
    """Tokens that the server counted and no access on the record explains."""

    since: int
    until: int
    input: int
    output: int


@dataclass(slots=True)
class _Total:
    """What the log explains at the most."""

    input: int = 0
    output: int = 0


@dataclass(slots=True)
class Ledger:
    """The log's side for one model, fed with every durable record.

    `slack` says that the explained part holds ceilings since the last fixed point.
    """

    model: str
    explained: _Total = field(default_factory=_Total)
    open: dict[str, int] = field(default_factory=dict)
    slack: bool = False
    last_closed: int = 0

    def follow(self, news: Iterable[tuple[int, Leaf, Facts]]) -> None:
        """Take note of accesses to this model."""
        for _, leaf, facts in news:
            if isinstance(facts, AccessOpened) and facts.model == self.model and facts.ceiling:
                self.open[facts.access] = facts.ceiling
            elif isinstance(facts, AccessClosed) and facts.access in self.open:
                ceiling = self.open.pop(facts.access)
                self.last_closed = leaf.time
                self.slack = self.slack or not facts.measured
                self.explained.input += facts.input if facts.measured else ceiling
                self.explained.output += facts.output if facts.measured else ceiling


@dataclass(slots=True)
class Meter:
    """Compares readings with the ledger of one model."""

    ledger: Ledger
    _base: Reading | None = None
    _base_explained: _Total = field(default_factory=_Total)

    def compare(self, reading: Reading) -> Excess | None:
        """What the server served beyond the log since the last fixed point, or None."""
        base = self._base
        if base is None or reading.input < base.input or reading.output < base.output:
            self._fix(reading)  # the first reading, or the server was restarted
            return None
        pending = sum(self.ledger.open.values())
        explained = self.ledger.explained
        extra_input = reading.input - base.input - (explained.input - self._base_explained.input)
        extra_output = (
            reading.output - base.output - (explained.output - self._base_explained.output)
        )
        excess = None
        if extra_input > pending or extra_output > pending:
            excess = Excess(base.time, reading.time, max(0, extra_input), max(0, extra_output))
        # The server counts an answer a moment after it has sent it: without ceilings to get rid
        # of there is no need for a new fixed point, and with them it waits for quiet.
        settled = not self.ledger.open and reading.time - self.ledger.last_closed >= SETTLE_MS
        if excess is not None or (self.ledger.slack and settled):
            self._fix(reading)
        return excess

    def _fix(self, reading: Reading) -> None:
        self._base = reading
        self.ledger.slack = False
        explained = self.ledger.explained
        self._base_explained = _Total(explained.input, explained.output)


def read_counters(
    exposition: str, input_names: Iterable[str], output_names: Iterable[str], now: int
) -> Reading | None:
    """The counters in a Prometheus exposition; None if one of them is missing."""
    samples: dict[str, float] = {}
    for name, value in _SAMPLE.findall(exposition):
        samples[name] = samples.get(name, 0.0) + float(value)
    names = (*input_names, *output_names)
    if not names or any(name not in samples for name in names):
        return None
    return Reading(
        now,
        int(sum(samples[name] for name in input_names)),
        int(sum(samples[name] for name in output_names)),
    )
