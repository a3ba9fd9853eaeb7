"""Purpose drift: what a device asks is unlike what its recipient asked for this purpose before.

No prompt is here, but vectors of prompts, of unit length and in 8 bits, as `worker/embedding.py`
makes them. Nobody labels anything. A recipient's earlier vectors are its reference; a prompt is as
like it as its five nearest are, and ten prompts of a device are judged together, by their mean.
Where the line is follows from the reference itself: ten by ten its prompts are held against the
rest, and the line is where, by the mean, spread and skew of those, so few windows fall as the
spec's budget for false alerts allows. docs/drift.md has what this notices, and what it cannot.

An outsider must not teach the reference what is usual. Once it is full a prompt enters it only if
its window was judged and not told of, a day later, and few enter in a day; what a finding was told
of enters when a person says that it was in order (`judge`), and leaves again when that is taken
back. What was learnt at first nobody judged.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from math import sqrt
from operator import mul
from statistics import NormalDist, fmean, pstdev, stdev

import msgspec

from bailment.detect.event import Finding
from bailment.detect.grouping import finding_of
from bailment.detect.memory import entry
from bailment.spec.detection import RuleTerms

KIND = "purpose-drift"
#: Vectors in a full reference, and from how many on is judged.
FULL, ENOUGH = 200, 100
#: How many of the nearest count.
NEAREST = 5
#: What may enter a full reference in a day, and what waits for it at most.
PER_DAY, WAITING = 20, 100
#: Of the budget for false alerts; and how rare a false window may be made at the least and most.
SHARE, RAREST, COMMONEST = 0.25, 1e-5, 1e-3
#: Findings of a scope that may still be judged.
FINDINGS = 64
#: References that are remembered, and devices in each whose window is open.
SCOPES, DEVICES = 512, 64
#: A window has no more prompts, so that a reference holds enough of them.
_LONGEST = 25
_DAY, _WEEK = 86_400_000, 604_800_000


class Prompt(msgspec.Struct, frozen=True):
    """What one access asked. `index` and `time` (ms) are those of its record in the log."""

    index: int
    time: int
    recipient: str
    device: str
    purpose: str
    model: str
    vector: bytes


class Seen(msgspec.Struct):
    """A prompt that is remembered; `like` is how like the reference it was when it came."""

    index: int
    time: int
    device: str
    vector: bytes
    like: float = 0.0


class Usual(msgspec.Struct, frozen=True):
    """How like itself a reference is: the mean, and the `line` below which a window is told of,
    as one in `one_in` of its own would be. `of` vectors, from `until` at the latest."""

    mean: float
    line: float
    one_in: int
    of: int
    until: int


class Scope(msgspec.Struct):
    """What is remembered of a recipient's prompts for a purpose and model.

    `reference` and `waiting` are in the order of the log; `windows` are those that are not full,
    by device. `last` is the newest index; `judged` windows were since `begun` (ms), `told` of them.
    `entered` prompts were let into the reference on `day`. `found` are the windows that were told
    of, by finding.
    """

    begun: int
    reference: list[Seen] = []
    waiting: list[Seen] = []
    windows: dict[str, list[Seen]] = {}
    found: dict[str, list[Seen]] = {}
    usual: Usual | None = None
    last: int = -1
    judged: int = 0
    told: int = 0
    day: int = 0
    entered: int = 0


class State(msgspec.Struct):
    """Scopes by `name_of`. `late` prompts came after one of a later record, or again."""

    scopes: dict[str, Scope] = {}
    late: int = 0


def pack(values: Sequence[float]) -> bytes:
    """A vector in 8 bits a number, as large as they hold; of silence all are nought."""
    most = max(map(abs, values), default=0.0)
    scale = 127 / most if most else 0.0
    return array("b", (round(value * scale) for value in values)).tobytes()


def name_of(prompt: Prompt) -> str:
    """Of the scope in which a prompt is judged."""
    return f"{prompt.recipient} {prompt.model} {prompt.purpose}"


def step(
    state: State, prompt: Prompt, now: int, terms: RuleTerms, budget_ppm: int
) -> tuple[State, Sequence[Finding]]:
    """What is known after a prompt, and what is to be told. The state is changed in place.

    `terms.threshold` is how many prompts make a window, 25 at most; `terms.window_ms` how long
    vectors are remembered. Prompts come in the order of the log; what comes late or again is
    counted and left.
    """
    scope = entry(state.scopes, name_of(prompt), SCOPES, lambda: Scope(prompt.time))
    if prompt.index <= scope.last:
        state.late += 1
        return state, ()
    scope.last = prompt.index
    expire(scope, now - terms.window_ms)
    _admit(scope, now)
    seen = Seen(prompt.index, prompt.time, prompt.device, prompt.vector)
    if len(scope.reference) < ENOUGH:
        if not _repeated(seen, scope.reference):
            scope.reference.append(seen)
        return state, ()
    window = entry(scope.windows, prompt.device, DEVICES, list[Seen])
    if _repeated(seen, window):
        return state, ()
    seen.like = likeness(seen.vector, [one.vector for one in scope.reference])
    window.append(seen)
    if len(window) < min(terms.threshold, _LONGEST):
        return state, ()
    del scope.windows[prompt.device]
    return state, _judge(scope, window, prompt, now, budget_ppm)


def judge(state: State, finding: str, verdict: str) -> list[str]:
    """A person said what a finding was: its window belongs to the reference from then on, or does
    not if it was `misuse`. Said twice it is no other. Returns the names of scopes that change."""
    changed = [name for name, scope in state.scopes.items() if finding in scope.found]
    for scope in map(state.scopes.__getitem__, changed):
        window = scope.found[finding]
        indexes = {seen.index for seen in window}
        scope.reference = [seen for seen in scope.reference if seen.index not in indexes]
        if verdict != "misuse":
            _enter(scope, window)
        scope.usual = None
    return changed


def expire(scope: Scope, before: int) -> None:
    """Forget the vectors of prompts before a time (ms)."""
    retain(scope, lambda seen: seen.time >= before)


def retain(scope: Scope, wanted: Callable[[Seen], bool]) -> int:
    """Forget the vectors of all other prompts; how many."""
    before = len(vectors(scope))
    for kept in (scope.reference, scope.waiting, *scope.windows.values(), *scope.found.values()):
        kept[:] = filter(wanted, kept)
    scope.windows = {device: window for device, window in scope.windows.items() if window}
    scope.found = {finding: window for finding, window in scope.found.items() if window}
    return before - len(vectors(scope))


def vectors(scope: Scope) -> list[Seen]:
    """Every vector that is remembered; one that is in two places twice."""
    lists = (scope.reference, scope.waiting, *scope.windows.values(), *scope.found.values())
    return list(chain(*lists))


def likeness(vector: bytes, reference: Sequence[bytes]) -> float:
    """The mean cosine with the nearest five of a reference, at most 1."""
    own = array("b", vector)
    size = _size(own)
    cosines = [_cosine(own, size, array("b", other)) for other in reference]
    return fmean(heapq.nlargest(NEAREST, cosines))


def usual_of(reference: Sequence[Seen], length: int, rare: float) -> Usual:
    """The line of a reference for windows of a length, of which a share `rare` may fall below.

    Windows are of one device where it has enough, so that what sets people apart is in their
    spread. The quantile is that of Cornish and Fisher (1938), with the skew of single prompts.
    """
    ordered = sorted(reference, key=lambda seen: (seen.device, seen.index))
    vectors = [array("b", seen.vector) for seen in ordered]
    sizes = [_size(vector) for vector in vectors]
    cosines: list[list[float]] = [[] for _ in vectors]
    for one, vector in enumerate(vectors):
        for other in range(one - one % length + length, len(vectors)):
            cosine = _cosine(vector, sizes[one], vectors[other], sizes[other])
            cosines[one].append(cosine)
            cosines[other].append(cosine)
    likes = [fmean(heapq.nlargest(NEAREST, others)) for others in cosines]
    whole = len(likes) - len(likes) % length
    windows = [fmean(likes[start : start + length]) for start in range(0, whole, length)]
    mean, single = fmean(likes), pstdev(likes)
    spread = max(stdev(windows), single / sqrt(length)) * sqrt(1 + 1 / len(windows))
    third = fmean((like - mean) ** 3 for like in likes)
    skew = max(0.0, -third / single**3 / sqrt(length)) if single else 0.0
    z = -NormalDist().inv_cdf(rare)
    line = mean - (z + skew * (z * z - 1) / 6) * spread
    return Usual(mean, line, round(1 / rare), len(likes), max(seen.time for seen in reference))


def _judge(
    scope: Scope, window: list[Seen], prompt: Prompt, now: int, budget_ppm: int
) -> list[Finding]:
    scope.judged += 1
    weeks = max(now - scope.begun, _DAY) / _WEEK
    rare = min(COMMONEST, max(RAREST, SHARE * budget_ppm / 1e6 * weeks / scope.judged))
    usual = scope.usual
    if usual is None or _moved(scope, usual):
        usual = scope.usual = usual_of(scope.reference, len(window), rare)
    like = fmean(seen.like for seen in window)
    if like >= usual.line:
        if len(scope.reference) + len(window) <= FULL:
            _enter(scope, window)
        else:
            scope.waiting = (scope.waiting + window)[-WAITING:]
        return []
    scope.told += 1
    found = _found(scope, usual, window, like, prompt)
    entry(scope.found, finding_of(found), FINDINGS, lambda: window)
    return [found]


def _found(scope: Scope, usual: Usual, window: list[Seen], like: float, prompt: Prompt) -> Finding:
    sentence = (
        f"the last {len(window)} prompts of a device for `{prompt.purpose}` are like what this "
        f"recipient asked for it before to {like:.2f}, and usual is {usual.mean:.2f}: of its own "
        f"windows one in {usual.one_in} would fall below {usual.line:.2f} "
        f"({usual.of} earlier prompts; {scope.told} of {scope.judged} windows so far)"
    )
    numbers = {
        "similarity_permille": round(like * 1000),
        "usual_permille": round(usual.mean * 1000),
        "line_permille": round(usual.line * 1000),
        "one_in": usual.one_in,
        "earlier": usual.of,
        "windows": scope.judged,
        "told": scope.told,
    }
    return Finding(
        KIND,
        f"device:{prompt.device}",
        sentence,
        min(seen.time for seen in window),
        max(seen.time for seen in window),
        tuple(seen.index for seen in window),
        numbers=numbers,
        model=prompt.model,
        others=(f"recipient:{prompt.recipient}",),
        key=prompt.purpose,
    )


def _moved(scope: Scope, usual: Usual) -> bool:
    """Whether the reference is no longer that of its line: a tenth of it is new."""
    new = sum(1 for seen in scope.reference if seen.time > usual.until)
    return new * 10 >= len(scope.reference) or abs(len(scope.reference) - usual.of) > PER_DAY


def _admit(scope: Scope, now: int) -> None:
    """Let in what has waited for a day, but no more in a day than a tenth of the reference."""
    if scope.day != now // _DAY:
        scope.day, scope.entered = now // _DAY, 0
    ripe = sum(1 for seen in scope.waiting if seen.time <= now - _DAY)
    most = min(ripe, PER_DAY - scope.entered)
    if most > 0:
        scope.entered += most
        _enter(scope, scope.waiting[:most])
        del scope.waiting[:most]


def _enter(scope: Scope, window: Sequence[Seen]) -> None:
    kept = heapq.merge(scope.reference, window, key=lambda seen: seen.index)
    scope.reference = list(kept)[-FULL:]


def _repeated(seen: Seen, window: Sequence[Seen]) -> bool:
    """Whether the same was just asked: agents send their task anew with each result of a tool."""
    return any(one.device == seen.device and one.vector == seen.vector for one in window[-10:])


def _size(vector: array[int]) -> float:
    return sqrt(_product(vector, vector)) or 1.0


def _cosine(own: array[int], size: float, other: array[int], other_size: float = 0.0) -> float:
    return _product(own, other) / (size * (other_size or _size(other)))


def _product(one: array[int], other: array[int]) -> int:
    return sum(map(mul, one, other))
