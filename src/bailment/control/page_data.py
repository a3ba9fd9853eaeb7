"""What the pages show, as plain values: read from the register, with people's names beside ids.

A recipient's admin sees their own organisation and what stands below it, and nothing else: every
list here takes the viewer and leaves out the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bailment import canonical
from bailment.access.account import account
from bailment.access.chain import Link
from bailment.access.coverage import covered, digest
from bailment.access.drilled import is_drill
from bailment.access.link_state import state_of
from bailment.access.register import Register
from bailment.access.slot import slot_of_subject
from bailment.access.state import Operator, Proposal
from bailment.access.two_person import act_of, agreed, needed, record_of, signers
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.errors import FormatError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import HoldAdded
from bailment.spec.terms import TIERS
from bailment.store.sequencer import News

#: Rows of one page; who needs more asks the command line.
ROWS = 500
_FINDINGS = 50
#: Entries that are searched for findings of before this process.
_BACK = 20_000


def moment(time: int) -> str:
    """A time as people read it: UTC, to the minute."""
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%Y-%m-%d %H:%M")


class PageData:
    """Reads for one issuer. `name_of` says what an operator is called."""

    def __init__(self, actions: Actions, name_of: Callable[[str], str]) -> None:
        self._actions = actions
        self._name_of = name_of
        self._findings: deque[tuple[int, FindingRaised]] = deque(maxlen=_FINDINGS)
        self._read: asyncio.Task[None] | None = None
        actions.log.sequencer.listeners.append(self._follow)

    @property
    def register(self) -> Register:
        return self._actions.log.fold.register

    def now(self) -> int:
        """Log time, or the clock's if that is later."""
        return max(now_ms(), self._actions.log.fold.time)

    # Whose

    def sees(self, viewer: Operator, link_id: str) -> bool:
        """Whether a link is of the viewer's organisation."""
        path = self.register.path(link_id)
        return not viewer.organisation or any(one.subject == viewer.organisation for one in path)

    def handle(self, organisation: str) -> str:
        """What an organisation is called."""
        known = self.register.organisations.get(organisation)
        return known.handle if known is not None else organisation[:8]

    # Lists

    def recipients(self, viewer: Operator) -> list[dict[str, Any]]:
        """Recipients with their standing, and how good the evidence is that they showed."""
        now, rows = self.now(), []
        for name, one in self.register.state.recipients.items():
            link = self.register.link_of.get(name, "")
            if not self.sees(viewer, link) or is_drill(self.register, name):
                continue
            told = account(self.register, name, now)
            ahead = told.ahead[0] if told.ahead else None
            rows.append(
                {
                    "handle": one.handle,
                    "id": name,
                    "contact": one.contact,
                    "tier": told.tier or "none",
                    "phase": told.phase,
                    "state": state_of(self.register, link, now) if link else "no link",
                    "evidence": Counter(shown.independence for shown in told.evidence),
                    "ahead": ahead and f"{_tier(ahead.tier)} from {moment(ahead.at)}",
                    "lacking": sum(map(len, told.lacking.values())),
                }
            )
        return rows

    async def people(self, viewer: Operator) -> list[dict[str, Any]]:
        """People and workloads, whose they are, and how their links stand."""
        links = [one for one in self._links(viewer) if one.kind in ("person", "workload")]
        await self._actions.people.load(one.subject for one in links)
        below = Counter(one.parent for one in self.register.links.values() if one.kind == "device")
        return [
            {
                "name": self._named(one),
                "kind": one.kind,
                "id": one.subject,
                "recipient": self.handle(self.register.recipient_of(one.id)),
                "purposes": ", ".join(one.purposes) or "all",
                "attributes": ", ".join(f"{key}={value}" for key, value in one.attributes.items()),
                "devices": below[one.id],
                "until": moment(one.until),
                "state": state_of(self.register, one.id, self.now()),
            }
            async for one in _gently(links)
        ]

    async def devices(self, viewer: Operator) -> list[dict[str, Any]]:
        """Devices, whose they are, and where their keys live."""
        links = [one for one in self._links(viewer) if one.kind == "device"]
        parents = {one.parent: self.register.links[one.parent] for one in links}
        await self._actions.people.load(one.subject for one in parents.values())
        known = self.register.state.devices
        return [
            {
                "name": self._actions.people.device(one.subject) or one.subject[:8],
                "id": one.subject,
                "person": self._named(parents[one.parent]),
                "recipient": self.handle(self.register.recipient_of(one.id)),
                "key_class": known[one.subject].key_class if one.subject in known else "",
                "until": moment(one.until),
                "state": state_of(self.register, one.id, self.now()),
            }
            async for one in _gently(links)
        ]

    def holds(self, viewer: Operator) -> list[dict[str, Any]]:
        """Holds that were not lifted."""
        now = self.now()
        return [
            {
                "hold": one.hold,
                "subject": self.subject(one.subject),
                "reason": one.reason,
                "author": self.author(one.author),
                "until": moment(one.until) if one.until else "lifted",
                "over": 0 < one.until <= now,
            }
            for one in self.register.state.holds.values()
            if not viewer.organisation or self._holds_ours(viewer, one)
        ]

    def operators(self) -> list[dict[str, Any]]:
        """Operators and who was invited."""
        return [
            {
                "id": name,
                "name": self._name_of(name),
                "role": one.role,
                "organisation": self.handle(one.organisation) if one.organisation else "",
                "approver": one.approver,
                "state": "ended" if one.ended else "active" if one.active else "invited",
            }
            for name, one in self.register.state.operators.items()
        ]

    async def findings(self) -> list[dict[str, Any]]:
        """The newest findings, newest first."""
        if self._read is None:
            self._read = asyncio.create_task(self._read_back())
        await self._read
        return [
            {"at": moment(at), "kind": one.kind, "sentence": one.sentence}
            for at, one in reversed(self._findings)
        ]

    async def checkpoint(self) -> dict[str, Any]:
        """The newest published checkpoint, and the log's own size."""
        path = self._actions.log.folder.log / "checkpoint"
        text = (await asyncio.to_thread(path.read_text)) if path.exists() else ""
        lines = text.split("\n")
        return {
            "origin": lines[0],
            "published": lines[1] if len(lines) > 1 else "0",
            "root": lines[2] if len(lines) > 2 else "",
            "size": self._actions.log.fold.size,
            "time": moment(self._actions.log.fold.time),
            "spec": self.register.state.spec,
            "text": text,
        }

    # Acts

    def acts(self, viewer: Operator) -> list[dict[str, Any]]:
        """What waits for signatures, and is the viewer's to see."""
        now = self.now()
        return [
            self.act(name, one)
            for name, one in self.register.state.proposals.items()
            if now < one.until and self.may_see(viewer, one)
        ]

    def may_see(self, viewer: Operator, proposal: Proposal) -> bool:
        """An organisation's proposals are for its own admins and the issuer; the rest for the
        issuer alone."""
        return not viewer.organisation or proposal.organisation == viewer.organisation

    def act(self, name: str, proposal: Proposal) -> dict[str, Any]:
        """A proposal: all that is signed, in words and as it is."""
        record = record_of(proposal.act)
        number = needed(self.register, record)
        signed = agreed(self.register, proposal, record)
        missing = max(1, number) - len(signed) if isinstance(number, int) else None
        facts = proposal.act["facts"]
        # What a record leaves out, since it is as usual, is said all the same.
        told = {**facts, "until": facts.get("until", 0)} if isinstance(record, HoldAdded) else facts
        return {
            "id": name,
            "act": act_of(self.register, record),
            "record": proposal.act["record"],
            "facts": [(key, self._told(key, value)) for key, value in told.items()],
            "about": self._about(facts),
            "shown": [(key, _text(value)) for key, value in proposal.act["shown"].items()],
            "author": self.author(proposal.author),
            "until": moment(proposal.until),
            "missing": missing,
            "why_not": "" if isinstance(number, int) else number.detail,
            "signed": [self.author(one) for one in proposal.by],
            "by": proposal.by,
            "digest": proposal.digest,
            "json": canonical.encode(proposal.act).decode(),
            "organisation": proposal.organisation,
        }

    def may_sign(self, operator: str, proposal: Proposal) -> bool:
        """Whether this operator's signature would count, and is not there."""
        may = signers(self.register, proposal.organisation)
        human = may.get(f"operator:{operator}")
        return human is not None and human not in {may.get(name) for name in proposal.by}

    async def preview(self, subject: str) -> dict[str, Any]:
        """Whom a hold would cut off, and the digest that names this group."""
        found = covered(self.register, subject, self.now())
        shown = found[:ROWS]
        await self._actions.people.load(one.subject.partition(":")[2] for one in shown)
        rows = [
            {
                "who": self.subject(one.subject),
                "recipient": self.handle(one.recipient),
                "devices": len(one.devices),
                "why": one.why,
                "held": self.subject(one.held) if one.held else "",
            }
            for one in shown
        ]
        recipients = sorted({self.handle(one.recipient) for one in found})
        return {
            "subject": subject,
            "selects": digest(found),
            "rows": rows,
            "people": len(found),
            "devices": sum(len(one.devices) for one in found),
            "recipients": recipients,
        }

    # Words

    def author(self, author: str) -> str:
        """Who did something, as people know them."""
        kind, _, name = author.partition(":")
        if kind == "operator":
            return self._name_of(name)
        return self.handle(name) if kind == "recipient" else author

    def subject(self, subject: str) -> str:
        """A hold's subject with the name that people know it by."""
        kind, _, name = subject.partition(":")
        match kind:
            case "person":
                return f"person {self._actions.people.name(name)}"
            case "recipient" | "subcontractor":
                return f"{kind} {self.handle(name)}"
            case "device":
                return f"device {self._actions.people.device(name) or name[:8]}"
        return subject.replace(":", " ", 1)

    def _about(self, facts: dict[str, Any]) -> str:
        if "subject" in facts:
            return self.subject(facts["subject"])
        if "hold" in facts:
            hold = self.register.state.holds.get(facts["hold"])
            return self.subject(hold.subject) if hold is not None else "a hold that is no more"
        if "operator" in facts:
            return self._name_of(facts["operator"])
        return str(facts.get("approver") or facts.get("issuer") or "")

    def _told(self, key: str, value: Any) -> str:
        if key == "author":
            return self.author(value)
        if key == "until" and isinstance(value, int):
            return moment(value) if value else "until it is lifted"
        if key == "subject" and self.subject(value) != value:
            return f"{self.subject(value)} ({value})"
        return _text(value)

    def _named(self, link: Link) -> str:
        if link.kind == "person":
            return self._actions.people.name(link.subject)
        return f"{link.kind} {link.subject[:8]}"

    def _links(self, viewer: Operator) -> list[Link]:
        links: Iterator[Link] = reversed(self.register.links.values())
        return list(islice((one for one in links if self.sees(viewer, one.id)), 4 * ROWS))

    def _holds_ours(self, viewer: Operator, hold: HoldAdded) -> bool:
        top = self.register.recipient_of(self.register.link_of.get(viewer.organisation, ""))
        return slot_of_subject(hold.subject, self.register) in ("", top) and hold.subject != ""

    # Findings

    def _follow(self, news: News) -> None:
        for _, leaf, facts in news:
            if isinstance(facts, FindingRaised):
                self._findings.append((leaf.time, facts))

    async def _read_back(self) -> None:
        size, reader = self._actions.log.fold.size, self._actions.log.reader
        seen = {facts.finding for _, facts in self._findings}

        def read() -> list[tuple[int, FindingRaised]]:
            return [
                (record.leaf.time, record.facts)
                for record in reader.records(max(0, size - _BACK), size)
                if isinstance(record.facts, FindingRaised) and record.facts.finding not in seen
            ]

        earlier = await asyncio.to_thread(read)
        self._findings = deque([*earlier, *self._findings], maxlen=_FINDINGS)


async def _gently(links: list[Link]) -> AsyncIterator[Link]:
    """The links, with a turn for everybody else between every few of them."""
    for number, link in enumerate(links):
        if number % 100 == 99:
            await asyncio.sleep(0)
        yield link


def _tier(rank: int) -> str:
    return TIERS[rank - 1] if rank else "no tier"


def _text(value: Any) -> str:
    """A JSON value for people to read; the digest of a long one."""
    try:
        text = value if isinstance(value, str) else canonical.encode(value).decode()
    except (TypeError, FormatError):
        return ""
    if len(text) <= 600:
        return text
    return f"{len(text)} characters, in full below; sha256 {canonical.digest(text.encode())}"
