"""What findings lead to by themselves: a hold for a while, or signing in again.

Whatever wrote a finding into the log, what the spec says of its kind is done here, once. A hold is
on one device, person or workload and ends by itself; on more only people decide. Where a hold
takes two people, the person has to sign in again until those have decided.

A workload cannot sign in. Where a person would have to, it is held: somebody looks, and lifts that.

What anybody can bring about, without a key, cuts nobody off: it leads to signing in again only
where there is a provider to do that at, and of a workload to nothing but that somebody is told.
"""

from __future__ import annotations

import os

import structlog

from bailment.access.reasons import Refused
from bailment.access.signing_in import provider_of
from bailment.access.slot import slot_of
from bailment.detect.consequence import author_of, reason_for
from bailment.detect.grouping import BY_ANYBODY
from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.records import HoldAdded
from bailment.store.log import Log

logger = structlog.get_logger("bailment.findings")

#: How long a hold lasts that nobody decided on, ms.
HOLD_MS = 86_400_000
#: On what there may be one.
HOLDABLE = frozenset(("device", "person", "workload"))


class Responding:
    """Over one log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def to(self, finding: FindingRaised) -> None:
        """Do what a finding says that it leads to, unless it is so already."""
        subject = finding.subject or ""
        holdable = subject.partition(":")[0] in HOLDABLE
        if finding.response == "hold" and holdable and await self._hold(finding, subject):
            return
        if finding.response in ("hold", "step-up"):
            await self._step_up(finding, subject)

    async def _hold(self, finding: FindingRaised, subject: str) -> bool:
        """Whether the subject is held."""
        register, now = self._log.fold.register, self._log.sequencer.time
        lasting = now + HOLD_MS // 2  # one that ends before is no answer to what was seen since
        if any(not one.until or one.until > lasting for one in register.holds_on.get(subject, ())):
            return True
        why = reason_for(finding), author_of(finding.kind)
        hold = HoldAdded(os.urandom(16).hex(), subject, *why, now + HOLD_MS)
        return await self._append(hold, finding)

    async def _step_up(self, finding: FindingRaised, subject: str) -> None:
        register = self._log.fold.register
        kind, _, name = subject.partition(":")
        path = register.path(name if kind == "link" else register.link_of.get(name, ""))
        if path and path[-1].kind == "workload":
            if finding.kind not in BY_ANYBODY:
                await self._hold(finding, subject)
            return
        people = [one for one in path[-2:] if one.kind == "person"]
        if not people or people[0].subject in register.state.step_ups:
            return
        if finding.kind in BY_ANYBODY and provider_of(register, people[0].id) is None:
            return
        author = author_of(finding.kind)
        asked = StepUpAsked(people[0].subject, finding.finding, finding.kind, author)
        await self._append(asked, finding)

    async def _append(self, facts: HoldAdded | StepUpAsked, finding: FindingRaised) -> bool:
        sequencer = self._log.sequencer
        slot = slot_of(facts, self._log.fold.register)
        answer = await sequencer.append(sequencer.draft(facts, slot, urgent=True))
        if isinstance(answer, Refused):
            why = answer.detail or answer.reason.value
            logger.error("a finding did not lead to what it should", finding=finding, why=why)
            return False
        logger.warning("done because of a finding", finding=finding.finding, record=facts.TYPE)
        return True
