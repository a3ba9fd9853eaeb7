"""What takes more people than who asked: signed, counted, and done once enough have signed.

`Actions.append` proposes by itself (it raises `Proposed`), so no action needs to know. What must be
looked at again, or done beside the record, is told to `performs` by whoever knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from msgspec import UNSET

from bailment.access.reasons import Reason, Refused
from bailment.access.state import Proposal
from bailment.access.two_person import agreed, concerns, needed, record_of
from bailment.control.actions import Actions, Denied
from bailment.ledger.facts import Facts
from bailment.ledger.operator_records import ActApproved, ActWithdrawn, Assertion
from bailment.ledger.records import DelegationGranted, HoldAdded

#: How an approved record is carried out: given it with its approval, and what signers were shown.
Performer = Callable[[Any, Mapping[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Approved:
    """After a signature: `missing` is how many people must still sign; at 0 the act was done, and
    `done` is what there is to say of it."""

    proposal: str
    missing: int
    done: dict[str, Any]


class Approvals:
    """Signatures under proposals, over one log."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._performers: dict[type[Facts], Performer] = {DelegationGranted: self._delegate}
        #: Of two that sign a proposal at once, one is first, and one does it.
        self._signing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def performs(self, kind: type[Facts], performer: Performer) -> None:
        """Carry out approved records of this type so, in place of just appending them."""
        self._performers[kind] = performer

    def find(self, proposal: str) -> Proposal:
        """An open proposal by its id, or by how that begins; Denied if there is none."""
        proposals = self._actions.log.fold.register.state.proposals
        found = [name for name in proposals if name.startswith(proposal)] if proposal else []
        if len(found) != 1:
            gone = "the proposal is unknown, done or expired"
            raise Denied(Refused(Reason.APPROVAL_MISSING, gone))
        return proposals[found[0]]

    async def sign(
        self,
        proposal: str,
        by: str,
        *,
        assertion: Assertion | None = None,
        signature: str = "",
    ) -> Approved:
        """Put somebody's signature under a proposal, and do it if that was the last one it took.

        Denied if the signature does not count, or the act cannot be done: then it stays open, and
        whoever signed may try again.
        """
        name = str(self.find(proposal).act["proposal"])
        async with self._signing.setdefault(name, asyncio.Lock()):
            known = self.find(name)  # which may be done by now
            if by not in known.by:
                facts = ActApproved(name, by, assertion or UNSET, signature or UNSET)
                await self._actions.append(lambda now: facts)
            return await self._finish(name, known)

    async def withdraw(self, proposal: str, reason: str, author: str) -> None:
        """End a proposal undone."""
        name = str(self.find(proposal).act["proposal"])
        await self._actions.append(lambda now: ActWithdrawn(name, reason, author))

    async def _finish(self, name: str, proposal: Proposal) -> Approved:
        register = self._actions.log.fold.register
        record = record_of(proposal.act)
        number = needed(register, record)
        if isinstance(number, Refused):
            raise Denied(number)
        # What a browser asks for, somebody signs in any case.
        missing = max(1, number) - len(agreed(register, proposal, record))
        if missing > 0:
            return Approved(name, missing, {})
        facts = record_of({**proposal.act, "facts": {**proposal.act["facts"], "approval": name}})
        performer: Performer = self._performers.get(type(facts), self._append)
        return Approved(name, 0, await performer(facts, proposal.act["shown"]))

    async def _append(self, facts: Facts, shown: Mapping[str, Any]) -> dict[str, Any]:
        await self._actions.append(lambda now: facts, urgent=isinstance(facts, HoldAdded))
        return {"hold": facts.hold} if isinstance(facts, HoldAdded) else {}

    async def _delegate(self, facts: DelegationGranted, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Grant a link with the name that came with its proposal; a person is invited."""
        log, register = self._actions.log, self._actions.log.fold.register
        person = concerns(register, facts)
        proposal = register.state.proposals[str(facts.approval)]
        stored = next(log.reader.stored(proposal.index, proposal.index + 1))
        read = log.reader.personal(stored)
        personal = msgspec.json.decode(read, type=dict[str, str]) if read else None
        link, _ = await self._actions.grant(facts.link, personal, approval=facts.approval)
        if link.kind != "person":
            return {"link": link.id}
        invited = await self._actions.invite(link.id)
        return {"link": link.id, "person": person, "invitation": invited.url}
