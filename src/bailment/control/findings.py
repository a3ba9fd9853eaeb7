"""What the worker hands in: findings, and nothing else.

It is believed about what it saw, not about what follows from that: the response is the spec's, the
kind is one of those that run in the worker, and the entries that a finding cites are in the log.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal

import msgspec

from bailment import canonical
from bailment.access.reasons import Reason, Refused
from bailment.access.slot import slot_of
from bailment.control.actions import Denied
from bailment.control.requests import Act
from bailment.detect.catalogue import INLINE
from bailment.detect.grouping import response_of
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingGrouped, FindingRaised
from bailment.ledger.records import decode_facts
from bailment.spec.detection import RULES
from bailment.store.log import Log
from bailment.store.sequencer import Sequenced

#: What the gateway and its neighbours find, and the worker does not.
_OTHERS = {"tripwire", "honey-credential", "around-the-gateway", "tables-old"}
KINDS = frozenset(RULES) - {one.KIND for one in INLINE} - _OTHERS
#: How many are remembered, so that one that is handed in again is on the record once.
_MOST = 10_000


class RaiseFinding(Act, frozen=True, tag="finding-raise"):
    """Put a finding on record, or that it went on. Once more is no error."""

    type: Literal["finding.raised", "finding.grouped"]
    facts: dict[str, Any]


class FindingDesk:
    """Over one log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._taken: OrderedDict[str, None] = OrderedDict()

    async def take(self, act: RaiseFinding) -> dict[str, Any]:
        """FormatError if it is no such finding; Denied if the log takes nothing."""
        facts = decode_facts(act.type, canonical.encode(act.facts))
        if isinstance(facts, FindingRaised):
            facts = self._raised(facts)
        elif not isinstance(facts, FindingGrouped) or (facts.kind and facts.kind not in KINDS):
            raise FormatError("the worker finds no such thing")
        self._check(facts.records)
        name = canonical.digest(canonical.encode(facts))
        if facts.TYPE == FindingRaised.TYPE:
            name = facts.finding
        if name in self._taken:
            return {"finding": facts.finding}
        self._taken[name] = None
        sequencer = self._log.sequencer
        draft = sequencer.draft(facts, slot_of(facts, self._log.fold.register))
        answer = await sequencer.append(draft)
        if not isinstance(answer, Sequenced):
            del self._taken[name]
            stale = Refused(Reason.LOG_UNAVAILABLE, "the register moved")
            raise Denied(answer if isinstance(answer, Refused) else stale)
        while len(self._taken) > _MOST:
            self._taken.popitem(last=False)
        return {"finding": facts.finding, "record": answer.index}

    def _raised(self, facts: FindingRaised) -> FindingRaised:
        if facts.kind not in KINDS or facts.since > facts.until:
            raise FormatError("the worker finds no such thing")
        said = response_of(facts.kind, self._log.fold.register.conditions.detection)
        response = "record" if said == "off" else said
        return msgspec.structs.replace(facts, response=response)

    def _check(self, records: tuple[int, ...]) -> None:
        if any(not 0 <= index < self._log.fold.size for index in records):
            raise FormatError("an entry that is cited is not in the log")
