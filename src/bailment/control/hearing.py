"""Whether recipients' streams of events still speak: we ask each for a sign of life, and put on
the record when one falls silent and when it is heard again.

The gate does not wait for the record: `access/signalling.py` goes by the clock.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from bailment.access.signalling import quiet
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied
from bailment.control.transmitters import TransmitterFailed, Transmitters
from bailment.ledger.identity_records import SignalSource, SourceSilent

logger = structlog.get_logger("bailment.signals")

_LOOK_SECONDS = 1.0


class Hearing:
    """One for each process that owns a log."""

    def __init__(self, actions: Actions, transmitters: Transmitters) -> None:
        self._actions = actions
        self._transmitters = transmitters
        self._asked: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask and look until cancelled; a malfunction ends the process, not just the task."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_SECONDS)
        except Exception as error:
            self._actions.log.sequencer.fail(error)
            raise
        finally:
            for task in list(self._asking.values()):
                task.cancel()

    async def look(self) -> None:
        """Record what has changed, and ask whom it is time to ask; no answer is waited for."""
        register = self._actions.log.fold.register
        state, now = register.state, self._actions.log.sequencer.time
        for source in [one for one in state.sources.values() if one.kind == "ssf"]:
            name, silent = source.source, quiet(register, source, now)
            if silent != (name in state.silent):
                since = state.heard.get(name, 0)
                await self._record(SourceSilent(name, silent, since))
            last = self._asked.get(name, 0)
            if now >= last + register.conditions.signals.verify_ms and name not in self._asking:
                self._asked[name] = now
                self._asking[name] = asyncio.create_task(self._ask(source))

    async def _record(self, facts: SourceSilent) -> None:
        with suppress(Denied):  # it has changed meanwhile: the next look sees how
            await self._actions.append(lambda now: facts)
            logger.warning("a source is silent or heard again", source=facts.source, **_told(facts))

    async def _ask(self, source: SignalSource) -> None:
        try:
            await self._transmitters.verify(source.source, source.issuer)
        except TransmitterFailed as failed:
            logger.warning("a stream is not verified", source=source.source, why=str(failed))
        finally:
            del self._asking[source.source]


def _told(facts: SourceSilent) -> dict[str, object]:
    return {"silent": facts.silent, "for_ms": now_ms() - facts.since}
