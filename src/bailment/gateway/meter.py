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

from bailment.ledger.counters import Compared, Reading
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessClosed, AccessOpened

#: After this long without an access the server's counters are taken to be up to date.
SETTLE_MS = 2_000

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
#: What follows the name: labels, the value, and perhaps a time.
_SAMPLE = re.compile(
    r'(?:[ \t]*\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}[ \t]*|[ \t]+)'
    r"([0-9.eE+-]+)(?:[ \t]+-?[0-9]+)?[ \t\r]*"
)
#: A count beyond this is not to be believed, nor is it exact.
_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Excess:
    """Tokens that the server counted and no access on the record explains."""

    since: int
    until: int
    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The counters went backwards between two readings: the server was started again."""

    since: int
    until: int


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
    _last: Reading | None = None
    _base_explained: _Total = field(default_factory=_Total)

    def compare(self, reading: Reading) -> Excess | Reset | None:
        """What the server served beyond the log since the last fixed point, or None.

        Reset: what it served after the last reading and before its restart nobody can compare.
        """
        base, last, self._last = self._base, self._last, reading
        if base is None or last is None:
            self._fix(reading)
            return None
        if reading.input < last.input or reading.output < last.output:
            self._fix(reading)
            return Reset(last.time, reading.time)
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

    def state(self, source: str) -> Compared | None:
        """Where the comparison stands, of counters from this source; None before the first."""
        if self._base is None or self._last is None:
            return None
        explained = self.ledger.explained
        return Compared(
            source,
            self._base,
            self._last,
            explained.input - self._base_explained.input,
            explained.output - self._base_explained.output,
            self.ledger.slack,
            dict(self.ledger.open),
        )

    def resume(self, compared: Compared) -> None:
        """Go on from there; the ledger is to be fed with what was logged since."""
        self._base, self._last = compared.base, compared.last
        self._base_explained = _Total()
        self.ledger.explained = _Total(compared.input, compared.output)
        self.ledger.slack, self.ledger.open = compared.slack, dict(compared.open)

    @property
    def base(self) -> Reading | None:
        """The last fixed point."""
        return self._base

    def _fix(self, reading: Reading) -> None:
        self._base = reading
        self.ledger.slack = False
        explained = self.ledger.explained
        self._base_explained = _Total(explained.input, explained.output)


def read_counters(
    exposition: str, input_names: Iterable[str], output_names: Iterable[str], now: int
) -> Reading | None:
    """The counters in a Prometheus exposition; None if one of them is missing or makes no sense."""
    inputs, outputs = tuple(input_names), tuple(output_names)
    samples = dict.fromkeys((*inputs, *outputs), -1.0)
    for line in exposition.split("\n"):
        name = _NAME.match(line)
        if name is None or name[0] not in samples:
            continue
        sample = _SAMPLE.fullmatch(line, name.end())
        value = _number(sample[1]) if sample else None
        if value is None:
            return None
        samples[name[0]] = max(samples[name[0]], 0.0) + value
    counted = [sum(samples[name] for name in names) for names in (inputs, outputs)]
    if not samples or min(samples.values()) < 0 or max(counted) > _MOST:
        return None
    return Reading(now, *map(int, counted))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= _MOST else None
