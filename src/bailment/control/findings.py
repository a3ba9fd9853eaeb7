"""What the worker hands in: findings, and nothing else.

It is believed about what it saw, not about what follows from that: the response is the spec's, the
kind is one of those that run in the worker, and the entries that a finding cites are in the log.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import Any, Literal

import msgspec

from bailment import canonical
from bailment.access.reasons import Reason, Refused
from bailment.access.slot import slot_of
from bailment.control.actions import Denied
from bailment.control.requests import Act
from bailment.detect.catalogue import INLINE
from bailment.detect.citing import by_kind, named_by
from bailment.detect.grouping import MOST_RECORDS, response_of
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.records import decode_facts
from bailment.spec.detection import REPORTED, RULES
from bailment.store.log import Log
from bailment.store.sequencer import Sequenced

#: What the gateway and its neighbours find, and the worker does not.
_OTHERS = {"tripwire", "honey-credential", "around-the-gateway", "tables-old", REPORTED}
KINDS = frozenset(RULES) - {one.KIND for one in INLINE} - _OTHERS
#: How many are remembered, so that one that is handed in again is on the record once.
_MOST = 10_000
#: What a finding leads to by itself, without a person.
_ACTS = ("hold", "step-up")
_ID, _NONE = re.compile(r"[0-9a-f]{32}"), "0" * 32


class RaiseFinding(Act, frozen=True, tag="finding-raise"):
    """Put a finding on record, or that it went on. Once more is no error."""

    type: Literal["finding.raised", "finding.grouped"]
    facts: dict[str, Any]


class FindingDesk:
    """Over one log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._one = asyncio.Lock()

    async def take(self, act: RaiseFinding) -> dict[str, Any]:
        """FormatError if it is no such finding; Denied if the log takes nothing."""
        facts = decode_facts(act.type, canonical.encode(act.facts))
        if isinstance(facts, FindingRaised | FindingGrouped):
            self._check(facts.records)
        if isinstance(facts, FindingRaised):
            facts = await self._raised(by_kind(facts, self._log.fold.register))
        elif not isinstance(facts, FindingGrouped) or (facts.kind and facts.kind not in KINDS):
            raise FormatError("the worker finds no such thing")
        if not _ID.fullmatch(facts.finding or ("" if facts.TYPE == FindingRaised.TYPE else _NONE)):
            raise FormatError("the id of a finding is 32 hex digits")
        name = canonical.digest(canonical.encode(facts))
        if facts.TYPE == FindingRaised.TYPE:
            name = facts.finding
        async with self._one:
            return await self._append(facts, name)

    async def _append(self, facts: FindingRaised | FindingGrouped, name: str) -> dict[str, Any]:
        """One after the other, so that what is said to be taken is in the log."""
        if name in self._taken:
            return {"finding": facts.finding}
        sequencer = self._log.sequencer
        draft = sequencer.draft(facts, slot_of(facts, self._log.fold.register))
        answer = await sequencer.append(draft)
        if not isinstance(answer, Sequenced):
            stale = Refused(Reason.LOG_UNAVAILABLE, "the register moved")
            raise Denied(answer if isinstance(answer, Refused) else stale)
        self._taken[name] = None
        while len(self._taken) > _MOST:
            self._taken.popitem(last=False)
        return {"finding": facts.finding, "record": answer.index}

    async def _raised(self, facts: FindingRaised) -> FindingRaised:
        if facts.kind not in KINDS or facts.since > facts.until:
            raise FormatError("the worker finds no such thing")
        said = response_of(facts.kind, self._log.fold.register.conditions.detection)
        response = "record" if said == "off" else said
        sentence, subject = facts.sentence, facts.subject or ""
        if response in _ACTS and subject and not await self._fits(facts):
            response = "person"
            sentence += (
                f"; nothing follows by itself, since no access or token that it cites is one of "
                f"`{subject}`: look at the entries first"
            )
        return msgspec.structs.replace(facts, response=response, sentence=sentence)

    async def _fits(self, facts: FindingRaised) -> bool:
        """Whether an entry that is cited is about whom the finding is about."""
        fold = self._log.fold
        for index in reversed(facts.records):
            entry = await asyncio.to_thread(self._read, index)
            if facts.subject in named_by(entry, fold.register, fold.admission.token):
                return True
        return False

    def _read(self, index: int) -> Facts:
        return next(self._log.reader.records(index, index + 1)).facts

    def _check(self, records: tuple[int, ...]) -> None:
        if len(records) > MOST_RECORDS:
            raise FormatError(f"a finding cites at most {MOST_RECORDS} entries")
        if any(not 0 <= index < self._log.fold.size for index in records):
            raise FormatError("an entry that is cited is not in the log")
