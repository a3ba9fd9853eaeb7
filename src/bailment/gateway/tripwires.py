"""Notices tripwires' secrets in requests, and says whose they are in a finding.

Whoever shows one is answered as everybody else is, and as soon: the finding is written beside the
answer. The secret itself is in no record and no line of output; the caller's address is in the
latter alone.
"""

from __future__ import annotations

import asyncio
import os

import structlog

from bailment.access.reasons import Reason
from bailment.access.slot import slot_of
from bailment.access.tripwire import digest, shown, split
from bailment.gateway.credentials import Caller, Stranger
from bailment.gateway.intake import Arrival, Scope, arrive
from bailment.gateway.metrics import Metrics
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.identity_records import TripwireSet
from bailment.store.log import Log
from bailment.store.sequencer import Draft

logger = structlog.get_logger("bailment.tripwires")

KIND = "tripwire"
_MINUTE_MS = 60_000
_SENTENCES = {
    "capability": "an agent's local capability, worth nothing here, was shown to the gateway: it "
    "has left {subject} of person:{person}, or was put where it does not belong",
    "slug": "somebody who is not of {subject} used the address that only its clients know",
}


class Tripwires:
    """One gateway's. The first of each secret in a minute is a finding."""

    def __init__(self, log: Log, metrics: Metrics, proxies: tuple[str, ...]) -> None:
        self._log = log
        self._metrics = metrics
        self._proxies = proxies
        self._told: dict[str, int] = {}  # by registered secret: the minute of its last finding
        self._telling: set[asyncio.Task[None]] = set()

    def look(self, scope: Scope) -> None:
        """Look for registered secrets anywhere in the head of a request to this listener."""
        path = split(scope["raw_path"].decode("latin-1"))[1].encode("latin-1")
        for secret in shown(path, scope["query_string"], scope["headers"]):
            found = self._log.fold.register.state.tripwires.get(secret)
            if found is not None:
                self._tell(found, arrive(scope, self._proxies))

    def judge(self, arrival: Arrival, caller: Caller | Stranger | None) -> None:
        """Notice a request below a slug by a caller who is not of the slug's organisation."""
        if not arrival.slug:
            return
        token = caller.token if caller is not None else None
        expired = isinstance(caller, Stranger) and caller.refused.reason is Reason.TOKEN_EXPIRED
        if token is None and expired:
            return  # of its own accord a client asks for the next one
        secret, register = digest(arrival.slug.encode()), self._log.fold.register
        found = register.state.tripwires.get(secret)
        link = register.link_of.get(token.device, "") if token is not None else ""
        if found is not None and found.subject != f"recipient:{register.recipient_of(link)}":
            self._tell(found, arrival)

    async def finish(self) -> None:
        """At the end: findings that are on their way."""
        await asyncio.gather(*self._telling)

    def _tell(self, found: TripwireSet, arrival: Arrival) -> None:
        now = self._log.sequencer.time
        minute = now // _MINUTE_MS
        if self._told.get(found.secret) == minute:
            return
        self._told[found.secret] = minute
        register = self._log.fold.register
        path = register.path(register.link_of.get(found.subject.partition(":")[2], ""))
        person = next((link.subject for link in path if link.kind == "person"), "")
        sentence = _SENTENCES[found.kind].format(subject=found.subject, person=person)
        finding = FindingRaised(
            os.urandom(16).hex(), KIND, sentence, now, now, subject=found.subject
        )
        self._metrics.findings.labels(KIND).inc()
        logger.warning("finding", kind=KIND, sentence=sentence, address=arrival.address)
        draft = self._log.sequencer.draft(finding, slot_of(finding, register))
        task = asyncio.ensure_future(self._append(draft))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _append(self, draft: Draft) -> None:
        await self._log.sequencer.append(draft)
