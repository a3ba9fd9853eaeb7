"""Notices of an incident: each organisation's own, read and acknowledged by its admin's signed
request, and sent again where nobody does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.coverage import dead
from bailment.access.nonce import Nonces
from bailment.access.notices import as_told, missing
from bailment.access.reasons import Reason, Refused
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Typed, answer, refusal
from bailment.control.sources import asked
from bailment.ledger.facts import Facts
from bailment.ledger.incident_records import NoticeAcknowledged, NoticeSent, RotationDone

logger = structlog.get_logger("bailment.notices")
#: Between two looks at what is overdue, s.
_PAUSE = 30.0


class Acknowledgement(Typed, frozen=True):
    """`POST /notices`: which was read."""

    notice: str


@dataclass(frozen=True, slots=True)
class Notices:
    """The handlers, and what chases; each call is proven by the organisation's admin key."""

    actions: Actions
    nonces: Nonces

    async def show(self, request: Request) -> Response:
        """The organisation's notices, the newest first."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        register = self.actions.log.fold.register
        mine = [
            as_told(register, one.sent) | {"sent": one.at, "acknowledged": one.acknowledged}
            for one in register.state.notices.values()
            if one.sent.organisation == sent[0].subject
        ]
        return answer({"notices": mine[::-1]})

    async def acknowledge(self, request: Request) -> Response:
        """Say that one was read; the signed request goes on record."""
        sent = await asked(request, self.actions, self.nonces)
        if isinstance(sent, Refused):
            return self._refusal(sent)
        organisation, proven = sent
        try:
            name = msgspec.json.decode(proven.body, type=Acknowledgement).notice
            facts = NoticeAcknowledged(name, organisation.subject, proven.proof.compact)
            await self.actions.append(lambda now: facts)
        except msgspec.DecodeError as error:
            return self._refusal(Refused(Reason.BODY_MALFORMED, str(error)))
        except Denied as denied:
            return self._refusal(denied.refused)
        return answer({"notice": name}, 201)

    async def run(self) -> None:
        """Send again what nobody acknowledged, and note what was replaced, until cancelled."""
        while True:
            await self.chase()
            await self.sweep()
            await asyncio.sleep(_PAUSE)

    async def chase(self) -> int:
        """Send again what is overdue; how many."""
        register = self.actions.log.fold.register
        done = 0
        for one in missing(register, self.actions.log.sequencer.time):
            name, before = os.urandom(16).hex(), one

            def make(now: int, before: NoticeSent = before, name: str = name) -> NoticeSent:
                due = now + register.conditions.response.acknowledge_ms
                return msgspec.structs.replace(before, notice=name, due=due, chases=before.notice)

            logger.warning("a notice was not acknowledged", notice=one.notice)
            done += await self._append(make)
        return done

    async def sweep(self) -> int:
        """Note which credentials are dead that were to be replaced; how many."""
        log = self.actions.log
        now, done = log.sequencer.time, 0
        for subject, one in list(log.fold.register.state.rotations.items()):
            if dead(log.fold.register, subject, now):
                facts = RotationDone(one.rotation, "the old delegation is over", "issuer")
                done += await self._append(lambda now, facts=facts: facts)  # type: ignore[misc]
        return done

    async def _append(self, make: Callable[[int], Facts]) -> bool:
        """Whether it went on record: one that cannot keeps no other from it."""
        try:
            await self.actions.append(make)
        except Denied as denied:  # the log rests, or somebody else was first
            logger.warning("could not chase or sweep", why=str(denied))
            return False
        return True

    def _refusal(self, why: Refused) -> Response:
        return refusal(why, self.actions.log.fold.register.policy.contact)
