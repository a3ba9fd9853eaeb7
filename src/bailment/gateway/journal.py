"""The journal of accesses: no record, no access.

`open` returns only when the `access.opened` record is durable in a signed checkpoint, `close`
when `access.closed` is.
"""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec
from msgspec import UNSET, UnsetType

from bailment.access.admission import Stale
from bailment.access.decision import Allowed, Request, decide
from bailment.access.proof import Proof, check_time, replay_key
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.gateway.credentials import Caller
from bailment.gateway.intake import Arrival
from bailment.gateway.metrics import Metrics
from bailment.ledger.context import Context
from bailment.ledger.records import RESTARTED, AccessClosed, AccessOpened, Policy, TokenIssued
from bailment.store.log import Log
from bailment.store.refusals import Refusals
from bailment.store.sequencer import Sequenced

#: How often a decision is made again because the register moved under it.
_ATTEMPTS = 20


class Evidence(msgspec.Struct, frozen=True):
    """What the record keeps of the request, beside the decision; by mTLS it has no `proof`."""

    kind: str
    proof: Proof | None
    certificate: str
    method: str
    path: str
    body: str
    stream: bool
    address: str
    client: str
    context: Context = Context()


def evidence_of(
    caller: Caller, arrival: Arrival, digest: bytes, stream: bool, context: Context
) -> Evidence:
    """What is kept of a request whose body has this SHA-256."""
    return Evidence(
        caller.kind,
        caller.proof,
        caller.certificate,
        arrival.method,
        arrival.path,
        digest.hex(),
        stream,
        arrival.address,
        arrival.client,
        context,
    )


class Access(msgspec.Struct, frozen=True):
    """An access that is open: on the record at `index`, since `time` (ms)."""

    id: str
    request: Request
    recipient: str
    index: int = 0
    time: int = 0


class Journal:
    """Writes accesses and refusals of one gateway."""

    def __init__(self, log: Log, metrics: Metrics, reserve_bytes: int) -> None:
        self._log = log
        self._metrics = metrics
        self._reserve = reserve_bytes
        self.refusals = Refusals(log)
        self._disk_low = False

    @property
    def now(self) -> int:
        """The log's time, by which is decided: it never runs backwards."""
        return self._log.sequencer.time

    def available(self) -> Refused | None:
        """Why nothing can be served just now, or None."""
        sequencer = self._log.sequencer
        if sequencer.failed.done():
            return Refused(Reason.LOG_UNAVAILABLE)
        if sequencer.clock_behind:
            return Refused(Reason.CLOCK_BEHIND)
        if self._disk_low:
            return Refused(Reason.DISK_RESERVE)
        return None

    async def open(self, request: Request, evidence: Evidence) -> Access | Refused:
        """Decide, and put the access on the record; decide again while the register moves."""
        register = self._log.fold.register
        for _ in range(_ATTEMPTS):
            now = self.now
            policy = register.policy
            # The body may have taken its time, and a proof is remembered only while it is good.
            decision = _stale(evidence.proof, now, policy) or decide(request, register, now)
            if isinstance(decision, Refused):
                return decision
            answer = await self._append(request, evidence, decision, now)
            if not isinstance(answer, Stale):
                return answer
        return Refused(Reason.LOG_UNAVAILABLE, "the register did not come to rest")

    async def _append(
        self, request: Request, evidence: Evidence, allowed: Allowed, now: int
    ) -> Access | Refused | Stale:
        sequencer = self._log.sequencer
        facts = AccessOpened(
            os.urandom(16).hex(),
            request.action,
            evidence.kind,
            request.token.token,
            evidence.proof.compact if evidence.proof is not None else "",
            evidence.method,
            evidence.path,
            evidence.body,
            request.model,
            evidence.stream,
            allowed.ceiling,
            request.networks,
            now,
            certificate=evidence.certificate or UNSET,
            context=evidence.context,
        )
        draft = sequencer.draft(
            facts,
            allowed.recipient,
            person=request.token.person,
            personal={"address": evidence.address, "client": evidence.client},
            epoch=allowed.epoch,
            replay=_replay(evidence.proof),
            budgets=allowed.budgets,
        )
        answer = await sequencer.append(draft)
        if not isinstance(answer, Sequenced):
            return answer
        self._metrics.open.inc()
        return Access(facts.access, request, allowed.recipient, answer.index, answer.time)

    async def close(
        self, access: Access, closed: AccessClosed, epoch: int | None = None
    ) -> bool | Stale:
        """Put the end of an access on the record; False if the log could not be written.

        Stale, and nothing is on the record: the register is no longer the one of `epoch`.
        """
        sequencer = self._log.sequencer
        try:
            answer = await sequencer.append(sequencer.draft(closed, access.recipient, epoch=epoch))
        except asyncio.CancelledError:
            self._metrics.open.dec()  # the record is on its way all the same
            raise
        if isinstance(answer, Stale):
            return answer
        self._metrics.open.dec()
        self._metrics.accesses.labels(closed.outcome).inc()
        self._metrics.input_tokens.inc(closed.input)
        self._metrics.output_tokens.inc(closed.output)
        return isinstance(answer, Sequenced)

    async def close_orphans(self) -> int:
        """After a restart: close as aborted what a process before this one left open."""
        orphans = dict(self._log.fold.admission.open)
        for access, opened in orphans.items():
            facts = AccessClosed(access, "aborted", reason=RESTARTED)
            await self._log.sequencer.append(self._log.sequencer.draft(facts, opened.recipient))
        return len(orphans)

    async def refuse(
        self,
        refused: Refused,
        token: TokenIssued | None,
        context: Context | UnsetType = UNSET,
        *,
        action: str = "",
        model: str = "",
    ) -> None:
        """Count a refusal; on the record, within bounds, if it is known whose token was shown."""
        self._metrics.refusals.labels(refused.reason.value).inc()
        if token is not None:
            await self.refusals.record(refused, token, context, action=action, model=model)

    async def finish(self) -> None:
        """At the end: refusals counted in this minute."""
        await self.refusals.flush(sys.maxsize)

    async def tick(self) -> None:
        """Once a second: counted refusals of past minutes, due heads, the disk."""
        self._disk_low = self._log.free_bytes() < self._reserve
        self._metrics.entries.set(self._log.fold.size)
        self._log.sequencer.tick()
        await self.refusals.flush(now_ms())


def _stale(proof: Proof | None, now: int, policy: Policy) -> Refused | None:
    if proof is None:
        return None
    return check_time(proof, now_ms=now, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms)


def _replay(proof: Proof | None) -> bytes:
    """The replay key of a proof; TLS lets nothing be replayed."""
    return b"" if proof is None else replay_key(proof.thumbprint, proof.claims.jti)
