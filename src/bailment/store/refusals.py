"""Refusals on the record, bounded.

The first of each device and reason in a minute is a record at once; the rest of that minute
becomes one counted record. Nobody can fill the log by being refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from bailment.access.reasons import Refused
from bailment.access.tripwire import is_decoy
from bailment.clock import now_ms
from bailment.ledger.context import Context
from bailment.ledger.records import AccessRefused, TokenIssued
from bailment.store.log import Log

_MINUTE_MS = 60_000
#: Tallies kept at once; there are never more devices than this with live tokens.
_MOST = 10_000


@dataclass(slots=True)
class _Tally:
    facts: AccessRefused
    recipient: str
    count: int = 0


class Refusals:
    """The tallies of one process."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tallies: dict[tuple[str, str, int, str], _Tally] = {}

    async def record(
        self,
        refused: Refused,
        token: TokenIssued,
        context: Context | UnsetType = UNSET,
        *,
        action: str = "",
        model: str = "",
    ) -> None:
        """Record or count that the device's token was shown and refused."""
        register = self._log.fold.register
        recipient = register.recipient_of(register.link_of.get(token.device, ""))
        now = now_ms()
        # Another name that does not exist, asked for a moment before, must not hide a decoy.
        decoy = model if is_decoy(register, model) else ""
        key = (token.device, refused.reason.value, now // _MINUTE_MS, decoy)
        tally = self._tallies.get(key)
        if tally is not None:
            tally.count += 1
            return
        if not recipient or len(self._tallies) >= _MOST:
            return
        facts = AccessRefused(
            token.device,
            refused.reason.value,
            1,
            now,
            now,
            action=action,
            model=model[:128] if model.isascii() else "",
            person=token.person,
            token=token.token,
            context=context,
        )
        self._tallies[key] = _Tally(facts, recipient)
        await self._log.sequencer.append(self._log.sequencer.draft(facts, recipient))

    async def flush(self, now: int) -> None:
        """Write one record for what was counted in each minute that is over."""
        for key in [key for key in self._tallies if key[2] < now // _MINUTE_MS]:
            tally = self._tallies.pop(key)
            if tally.count:
                until = (key[2] + 1) * _MINUTE_MS - 1
                facts = msgspec.structs.replace(tally.facts, count=tally.count, until=until)
                await self._log.sequencer.append(self._log.sequencer.draft(facts, tally.recipient))
