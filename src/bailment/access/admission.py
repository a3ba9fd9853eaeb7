"""Admission: the conditions that only the append can know, as a fold over the log.

The sequencer asks `admit` for each record in log order, inside its batch, and applies it; an
auditor does exactly the same. There is no second store of used proofs or spent budgets: what was
used and spent is what the log says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from bailment.access import ratchet
from bailment.access.budgets import Budgets, kept_under, subject_of
from bailment.access.proof import replay_span
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    Budget,
    Policy,
    TokenIssued,
)

T = TypeVar("T")

#: The records that enter on conditions.
_CONDITIONED = (AccessOpened, TokenIssued)
#: A job token is remembered for longer than any is taken, ms.
_JOBS = 7_200_000


@dataclass(frozen=True, slots=True)
class Stale:
    """The decision saw a register or an instant that is past; decide again."""

    why: str


class Window(msgspec.Struct):
    """What one link's budget has spent or reserved in the window that began at `start`."""

    start: int
    used: int


class Opened(msgspec.Struct, frozen=True):
    """An access that has not been closed: what it reserved, in which windows, and by which device
    or workload; empty in a snapshot from before that was kept."""

    recipient: str
    ceiling: int
    windows: tuple[tuple[str, int], ...]
    person: str
    time: int
    device: str = ""


class Counted(msgspec.Struct):
    """What a snapshot keeps of admission: everything but the replay keys (see `Admission`).

    `lines` has where each device's line of tokens stands, `jobs` the job tokens that were used, and
    when; neither is written while it is empty, as before there were any.
    """

    budgets: dict[str, Window] = {}
    open: dict[str, Opened] = {}
    tokens: dict[str, TokenIssued] = {}
    lines: dict[str, ratchet.Line] | UnsetType = UNSET
    jobs: dict[str, int] | UnsetType = UNSET


class Admission:
    """Used proofs, spent budgets, known tokens and open accesses.

    Replay keys are remembered for longer than `check_proof` can accept a proof, from a clock that
    may be ahead, and may be set back meanwhile, by the skew. They are not in snapshots: a proof
    carries a nonce of the process that checks it, so one from before a restart is refused anyway.
    """

    def __init__(self, counted: Counted | None = None) -> None:
        self.counted = counted or Counted()
        #: The same tables as in `counted`, be they empty or not.
        self.lines: dict[str, ratchet.Line] = self.counted.lines or {}
        self.jobs: dict[str, int] = self.counted.jobs or {}
        self._replays: set[bytes] = set()
        #: What to forget after which log time; keys of one batch share their entry.
        self._forget: deque[tuple[int, list[bytes]]] = deque()

    @property
    def open(self) -> dict[str, Opened]:
        """The accesses opened and not closed, by access id."""
        return self.counted.open

    def token(self, token_hash: str) -> TokenIssued | None:
        """The record of a token, by its hash, while the token may live."""
        return self.counted.tokens.get(token_hash)

    def at(self, time: int, policy: Policy) -> Counted:
        """What a snapshot keeps: `counted`, whatever dead tokens are still about or gone."""
        counted = self.counted
        alive = {name: t for name, t in counted.tokens.items() if not _dead(t, time, policy)}
        gone = {kept_under(name) for name in counted.tokens.keys() - alive.keys()}
        budgets = {name: one for name, one in counted.budgets.items() if name not in gone}
        jobs = {name: then for name, then in self.jobs.items() if then + _JOBS > time}
        return Counted(budgets, counted.open, alive, self.lines or UNSET, jobs or UNSET)

    # Conditions

    def admit(
        self,
        facts: Facts,
        replay: bytes,
        budgets: Budgets,
        time: int,
        policy: Policy,
    ) -> Refused | Stale | None:
        """Whether a token or access record may enter the log at this log time.

        `replay` is the replay key of its proof, empty by mTLS, which lets nothing be replayed;
        `budgets` are those of its chain, by link id.
        """
        if not isinstance(facts, _CONDITIONED):
            return None
        if not -policy.skew_ms <= time - facts.decided <= policy.decision_ms:
            return Stale("the decision is not of this moment")
        if replay and replay in self._replays:
            return Refused(Reason.PROOF_REPLAYED, "the proof has been used")
        if isinstance(facts, TokenIssued):
            if facts.job is not UNSET and facts.job in self.jobs:
                return Refused(Reason.JOB_TOKEN, "the job token has been used")
            return ratchet.admit(self.lines.get(facts.device), facts)
        token = self.counted.tokens.get(facts.token)
        if token is None or _dead(token, time, policy):
            return Refused(Reason.TOKEN_UNRECORDED, "the token has no record, or its time is over")
        if facts.certificate != token.certificate:
            return Refused(Reason.CERTIFICATE_OTHER, "the token is bound to something else")
        for link, budget in budgets:
            window = self.counted.budgets.get(link)
            start = _window_start(budget, time)
            used = window.used if window is not None and window.start == start else 0
            if used + facts.ceiling > budget.tokens:
                return Refused(
                    Reason.BUDGET_SPENT,
                    f"{used} of {budget.tokens} tokens are spent or reserved in this window and "
                    f"this access may need {facts.ceiling}; the window ends at "
                    f"{start + budget.seconds * 1000}",
                    subject_of(link),
                )
        return None

    # Folding

    def apply(
        self,
        facts: Facts,
        replay: bytes,
        budgets: Budgets,
        time: int,
        policy: Policy,
        recipient: str,
    ) -> None:
        """Count a record that was admitted; VerificationError, and nothing counted, if it opens
        what is open or closes what is not."""
        if isinstance(facts, AccessOpened):
            self._reserve(facts, budgets, time, recipient)
            self._remember(replay, time, policy)
        elif isinstance(facts, AccessClosed):
            self._settle(facts, recipient)
        elif isinstance(facts, TokenIssued):
            self._remember(replay, time, policy)
            self._know(facts, time, policy)
        elif isinstance(facts, FindingRaised) and facts.kind == ratchet.FORKED:
            line = self.lines.get((facts.subject or "").removeprefix("device:"))
            if line is not None:
                line.forked = True

    def _remember(self, replay: bytes, time: int, policy: Policy) -> None:
        if not replay:
            return
        while self._forget and self._forget[0][0] < time:
            self._replays.difference_update(self._forget.popleft()[1])
        self._replays.add(replay)
        until = time + replay_span(policy.proof_ms, policy.skew_ms)
        until += policy.decision_ms + policy.skew_ms  # between the check and this log time
        if not self._forget or self._forget[-1][0] != until:
            self._forget.append((until, []))
        self._forget[-1][1].append(replay)

    def _know(self, facts: TokenIssued, time: int, policy: Policy) -> None:
        tokens = self.counted.tokens
        # Tokens live alike long, so the oldest are first: looking at a few keeps the table small.
        for name in [name for name, token in _first(tokens, 16) if _dead(token, time, policy)]:
            del tokens[name]
            self.counted.budgets.pop(kept_under(name), None)
        tokens[facts.token] = facts
        line = ratchet.advance(self.lines.get(facts.device), facts)
        if line is not None:
            self.lines[facts.device] = line
        if facts.job is not UNSET:
            for job in [job for job, then in _first(self.jobs, 16) if then + _JOBS <= time]:
                del self.jobs[job]
            self.jobs[facts.job] = time

    def _reserve(
        self,
        facts: AccessOpened,
        budgets: Budgets,
        time: int,
        recipient: str,
    ) -> None:
        if facts.access in self.counted.open:
            raise VerificationError(f"access `{facts.access}` was opened twice")
        windows = []
        for link, budget in budgets:
            start = _window_start(budget, time)
            window = self.counted.budgets.get(link)
            if window is None or window.start != start:
                window = self.counted.budgets[link] = Window(start, 0)
            window.used += facts.ceiling
            windows.append((link, start))
        token = self.counted.tokens.get(facts.token)
        person, device = (token.person, token.device) if token is not None else ("", "")
        if token is not None:
            ratchet.use(self.lines.get(token.device), token.token)
        self.counted.open[facts.access] = Opened(
            recipient, facts.ceiling, tuple(windows), person, time, device
        )

    def _settle(self, facts: AccessClosed, recipient: str) -> None:
        opened = self.counted.open.get(facts.access)
        if opened is None:
            raise VerificationError(f"access `{facts.access}` was closed but is not open")
        if opened.recipient != recipient:
            raise VerificationError(f"access `{facts.access}` was closed in another slot")
        del self.counted.open[facts.access]
        used = facts.input + facts.output
        spent = used if facts.measured else max(used, opened.ceiling)
        for link, start in opened.windows:
            window = self.counted.budgets.get(link)
            if window is not None and window.start == start:
                window.used += spent - opened.ceiling


def _dead(token: TokenIssued, time: int, policy: Policy) -> bool:
    """Whether no access by this token can enter the log any more: one decided in the token's last
    moment may enter it `decision_ms` later."""
    return token.until + policy.decision_ms <= time


def _window_start(budget: Budget, time: int) -> int:
    span = budget.seconds * 1000
    return time - time % span


def _first(table: dict[str, T], most: int) -> list[tuple[str, T]]:
    return list(islice(table.items(), most))
