"""What admins do, each as records: check against the register, append, and answer.

Every action is one way through: build the record, ask the register's own rule, append on the
condition that the register has not moved, and start again if it has.
"""

from __future__ import annotations

import hashlib
import os
import secrets as entropy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from bailment import canonical
from bailment.access.chain import Link, commit_person, narrows, read_link, sign_link
from bailment.access.reasons import Reason, Refused
from bailment.access.slot import slot_of
from bailment.access.tripwire import SLUG, digest
from bailment.access.two_person import act_of, needed, told
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.ledger.export import MAX_BODY
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.leaf import SALT_SIZE
from bailment.ledger.operator_records import ActProposed
from bailment.ledger.records import (
    DelegationEnded,
    DelegationGranted,
    HoldAdded,
    HoldLifted,
    InvitationIssued,
    ModelRegistered,
    PersonErased,
    RecipientRegistered,
)
from bailment.store.log import Log
from bailment.store.people import People
from bailment.store.secrets import Secrets
from bailment.store.sequencer import Sequenced
from bailment.store.vault import person_key

_ATTEMPTS = 50
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_TOO_LONG = f"it takes more than {MAX_BODY >> 10} KiB, which a record has not"


class Denied(BailmentError):
    """An admin's action is not possible; `refused` says why."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail or refused.reason.value)
        self.refused = refused


class Proposed(BailmentError):
    """An act was not done, but proposed: `people` must sign it until `until` (ms)."""

    def __init__(self, proposal: str, act: str, people: int, until: int) -> None:
        super().__init__(f"it takes {people} people who sign", hint=f"bailment approve {proposal}")
        self.proposal = proposal
        self.act = act
        self.people = people
        self.until = until


@dataclass(frozen=True, slots=True)
class Invited:
    """A one-use invitation; only its hash is kept."""

    code: str
    url: str
    until: int


@dataclass(slots=True)
class Actions:
    """The control plane's verbs, over one log."""

    log: Log
    secrets: Secrets
    people: People

    async def append(
        self,
        make: Callable[[int], Facts],
        *,
        person: str = "",
        personal: dict[str, str] | None = None,
        urgent: bool = False,
        shown: Mapping[str, Any] = _NOTHING,
    ) -> Sequenced:
        """Append the record that `make(now)` builds; Denied if the register's rule refuses it.

        Where it takes more people it is proposed instead, with what is `shown` of its effects, and
        Proposed says so: whoever called has done nothing yet.
        """
        register, sequencer = self.log.fold.register, self.log.sequencer
        for _ in range(_ATTEMPTS):
            now = max(now_ms(), self.log.fold.time)
            facts = make(now)
            if SALT_SIZE + len(canonical.encode(facts)) > MAX_BODY:
                raise Denied(Refused(Reason.CHAIN_BROKEN, _TOO_LONG))
            refused = register.check(facts, now)
            if refused is not None:
                number = needed(register, facts)
                proposable = refused.reason is Reason.APPROVAL_MISSING and number
                if isinstance(number, int) and proposable and _unapproved(facts):
                    raise await self.propose(facts, shown, person=person, personal=personal)
                raise Denied(refused)
            draft = sequencer.draft(
                facts,
                slot_of(facts, register),
                person=person,
                personal=personal,
                epoch=register.epoch,
                urgent=urgent,
            )
            answer = await sequencer.append(draft)
            if isinstance(answer, Sequenced):
                return answer
            if isinstance(answer, Refused):
                raise Denied(answer)
        raise Denied(Refused(Reason.LOG_UNAVAILABLE, "the register did not come to rest"))

    async def append_together(self, records: Sequence[Facts]) -> None:
        """Append records of which all go in, or none (`Register.check_all` says which may); Denied
        if the register's rule refuses them."""
        register, sequencer = self.log.fold.register, self.log.sequencer
        if any(SALT_SIZE + len(canonical.encode(facts)) > MAX_BODY for facts in records):
            raise Denied(Refused(Reason.CHAIN_BROKEN, _TOO_LONG))
        for _ in range(_ATTEMPTS):
            refused = register.check_all(records, max(now_ms(), self.log.fold.time))
            if refused is not None:
                raise Denied(refused)
            first, *others = (sequencer.draft(one, slot_of(one, register)) for one in records)
            first.epoch, first.together = register.epoch, tuple(others)
            answer = await sequencer.append(first)
            if isinstance(answer, Sequenced):
                return
            if isinstance(answer, Refused):
                raise Denied(answer)
        raise Denied(Refused(Reason.LOG_UNAVAILABLE, "the register did not come to rest"))

    async def propose(
        self,
        facts: Facts,
        shown: Mapping[str, Any] = _NOTHING,
        *,
        person: str = "",
        personal: dict[str, str] | None = None,
    ) -> Proposed:
        """Propose a record, with what is `shown` of its effects, for people to sign.

        Denied if something but signatures keeps it from being written.
        """
        register = self.log.fold.register
        refused = register.check(facts, max(now_ms(), self.log.fold.time))
        number = needed(register, facts)
        if isinstance(number, Refused):
            raise Denied(number)
        if refused is not None and refused.reason is not Reason.APPROVAL_MISSING:
            raise Denied(refused)
        proposal, ends = os.urandom(16).hex(), 0

        def make(now: int) -> Facts:
            nonlocal ends
            ends = now + register.conditions.operators.proposal_ms
            act = {**told(facts), "proposal": proposal, "shown": dict(shown), "until": ends}
            digest = canonical.digest(canonical.encode(act))
            author = str(getattr(facts, "author", ""))
            return ActProposed(proposal, act, digest, now, ends, author)

        await self.append(make, person=person, personal=personal)
        return Proposed(proposal, act_of(register, facts), max(1, number), ends)

    async def register_model(
        self, model: str, context: int, output: int, author: str, *, canary: bool = False
    ) -> None:
        """Make a model known, or change its limits, or make a canary of it, or none."""
        told = canary or msgspec.UNSET
        await self.append(lambda now: ModelRegistered(model, context, output, now, author, told))

    async def register_recipient(
        self,
        handle: str,
        contact: str,
        key: dict[str, str],
        grant: Link,
        author: str,
    ) -> tuple[str, str, str]:
        """Register an organisation and sign its link; its pseudonym, the link's id, and the slug
        of the address that its clients are given, of which the log has the hash.

        `grant` is the link to sign; its id, parent, subject and key are set here.
        """
        pseudonym = os.urandom(16).hex()
        link = msgspec.structs.replace(
            grant, id=os.urandom(16).hex(), parent="", kind="recipient", subject=pseudonym, key=key
        )
        unknown = set(link.models) - set(self.log.fold.register.state.models)
        if unknown:
            raise Denied(Refused(Reason.MODEL_OUTSIDE_CHAIN, f"there is no model `{min(unknown)}`"))
        compact = sign_link(link, self.secrets.issuer, self.secrets.issuer_key.thumbprint)
        refused = narrows(read_link(compact), None)
        if refused is not None:
            raise Denied(refused)
        recipient = RecipientRegistered(pseudonym, handle, contact, key, author)
        slug = SLUG + entropy.token_urlsafe(16)
        wire = TripwireSet(digest(slug.encode()), "slug", f"recipient:{pseudonym}")
        # Together: an organisation without its link could not be given one, nor its handle again.
        await self.append_together([recipient, DelegationGranted(compact), wire])
        return pseudonym, link.id, slug

    async def grant(
        self, compact: str, personal: dict[str, str] | None, approval: str | UnsetType = UNSET
    ) -> tuple[Link, int]:
        """Accept a link that a recipient signed."""
        link = read_link(compact)
        recipient = self.log.fold.register.recipient_of(link.parent)
        if link.kind == "recipient" or not recipient:
            raise Denied(Refused(Reason.CHAIN_BROKEN, "the link stands under no recipient's"))
        if link.kind == "person" and not (personal and personal.get("name")):
            raise Denied(Refused(Reason.CHAIN_BROKEN, "a person's link comes with the name"))
        if (personal or link.personal) and link.personal != commit_person(personal or {}):
            raise Denied(Refused(Reason.CHAIN_BROKEN, "the link does not commit to this name"))
        person = link.subject if link.kind == "person" else ""
        if link.kind == "device" and (above := self.log.fold.register.links.get(link.parent)):
            person = above.subject
            self._check_second(person, personal or {})
        facts = DelegationGranted(compact, approval)
        answer = await self.append(lambda now: facts, person=person, personal=personal)
        return link, answer.index

    def _check_second(self, person: str, confirms: dict[str, str]) -> None:
        """Denied if who confirms a device is who enrols it, by name or email address."""
        who = self.people.of(person)
        same = {who.get("name", "").casefold(), who.get("email", "").casefold()} - {""}
        if not same.isdisjoint(told.casefold().strip() for told in confirms.values()):
            raise Denied(Refused(Reason.CHAIN_BROKEN, "who enrols a device does not confirm it"))

    async def invite(self, link_id: str) -> Invited:
        """Issue an invitation to enrol a device under a person's link."""
        register = self.log.fold.register
        code = entropy.token_urlsafe(24)
        hashed = invitation_hash(code)
        until = 0

        def make(now: int) -> Facts:
            nonlocal until
            until = now + register.policy.invitation_ms
            return InvitationIssued(hashed, link_id, until)

        await self.append(make)
        return Invited(code, f"{register.state.url}/enrol#{code}", until)

    async def hold(self, subject: str, reason: str, author: str, until: int = 0) -> str:
        """Lock a subject. Returns when the hold is in the log and every decision sees it."""
        hold = HoldAdded(os.urandom(16).hex(), subject, reason, author, until)
        await self.append(lambda now: hold, urgent=True)
        return hold.hold

    async def lift(self, hold: str, reason: str, author: str) -> None:
        """Unlock."""
        await self.append(lambda now: HoldLifted(hold, reason, author))

    async def end_link(self, link_id: str, reason: str, author: str) -> None:
        """End a link, and so everything below it, for good."""
        await self.append(lambda now: DelegationEnded(link_id, author, reason), urgent=True)

    async def erase(self, person: str, reason: str, author: str) -> None:
        """End a person's access, record it, and destroy the key of everything personal."""
        register = self.log.fold.register
        links = [
            link.id
            for link in register.links.values()
            if link.kind == "person" and link.subject == person
        ]
        if not links:
            raise Denied(Refused(Reason.LINK_UNKNOWN, f"there is no person `{person}`"))
        for link_id in links:
            if not register.state.links[link_id].ended:
                await self.end_link(link_id, reason, author)
        facts = PersonErased(person, author, reason)
        await self.append(lambda now: facts)
        self.log.vault.destroy(person_key(person))
        self.people.forget(person)


def _unapproved(facts: Facts) -> bool:
    return getattr(facts, "approval", UNSET) is UNSET


def invitation_hash(code: str) -> str:
    """What the log keeps of an invitation."""
    return hashlib.sha256(code.encode()).hexdigest()
