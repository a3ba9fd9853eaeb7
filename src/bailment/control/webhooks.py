"""A recipient is told of what concerns it: its holds, their lifting, ended delegations, findings.

Standard Webhooks (standardwebhooks.com) with asymmetric signatures (`v1a`, Ed25519), so that no
secret is shared and nobody but the issuer can sign. What is told names only what is the
recipient's own, by the ids that its log has. It is sent from an outbox (`store/outbox.py`) beside
everything else: access never waits for it. The log is the queue, as it is for the issuer's own
sinks: what the outbox has no room for is read there when it has.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client.core import GaugeMetricFamily

from bailment.access.coverage import covered
from bailment.access.notices import as_told
from bailment.access.slot import slot_of_subject
from bailment.access.state import Indexed
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.control.outbound import Outbound, OutboundError
from bailment.control.sending import rfc3339, signature_v1a, webhook_headers
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import SourceSilent, WebhookRegistered
from bailment.ledger.incident_records import NoticeSent, RotationDemanded
from bailment.ledger.leaf import decode_leaf
from bailment.ledger.records import DelegationEnded, HoldAdded, HoldLifted
from bailment.store.outbox import Message, Outbox, Standing
from bailment.store.sequencer import News
from bailment.store.vault import Erased

logger = structlog.get_logger("bailment.webhooks")

_TOLD = (
    *(HoldAdded, HoldLifted, DelegationEnded, FindingRaised, SourceSilent, WebhookRegistered),
    NoticeSent,
    RotationDemanded,
)
#: How long after each failure it is tried again, s: for about three days.
_PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 57600, 57600, 57600)
#: Organisations that are being told at once. Each is told one thing at a time, in the log's order:
#: else a hold would seem to be lifted before it is there.
_MOST = 64
#: Entries read at once.
_CHUNK = 1000
#: How long the position may lag behind a log in which nothing is to be told, s.
_LAG = 30.0
_Entry = tuple[int, int, Facts]


class Webhooks:
    """One for each process that owns a log."""

    def __init__(
        self, actions: Actions, outbound: Outbound, outbox: Outbox, key: Ed25519PrivateKey
    ) -> None:
        self._actions = actions
        self._outbound = outbound
        self.outbox = outbox
        self._key = key
        self._wake = asyncio.Event()
        #: The log was read up to `_at`, and is up to `_seen` by now; `_kept` of it is on disk.
        self._at = self._seen = self._kept = actions.log.fold.size
        holds = actions.log.fold.register.state.holds.values()
        self._holds = {one.hold: one.subject for one in holds}
        self._standing = Standing()
        self._busy: dict[str, asyncio.Task[None]] = {}  # by organisation
        actions.log.sequencer.listeners.append(self._notice)

    @property
    def public(self) -> str:
        """The public key, as libraries for Standard Webhooks take it."""
        return "whpk_" + b64encode(self._key.public_key().public_bytes_raw()).decode()

    async def again(self, organisation: str) -> None:
        """Try everything again at once that waits for it or was given up."""
        await self.outbox.retry(organisation, now_ms())
        self._wake.set()

    def summary(self) -> str:
        """How they stand, in a line; empty where nobody is told."""
        many = len(self._actions.log.fold.register.state.webhooks)
        return in_words(many, self._standing) if many else ""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For Prometheus: what waits for all of them, and how far behind the furthest is."""
        one = self._standing
        for name, says, value in (
            ("waiting", "Messages to recipients that are kept until they arrive.", one.waiting),
            ("given_up", "Messages to recipients that were tried too often.", one.given_up),
            ("failing", "Recipients that do not take what they are sent.", one.failing),
            ("behind", "Entries of the log not read yet for the furthest behind.", one.behind),
        ):
            yield GaugeMetricFamily(f"bailment_webhook_{name}", says, value)

    async def run(self) -> None:
        """Read and send until cancelled; a malfunction ends the process, not just the task."""
        try:
            await self._begin()
            while True:
                self._wake.clear()
                await self._read()
                more = await self._read_on()
                due = await self._send()
                self._standing = await self.outbox.standing()
                if not more:
                    await self._rest(due)
        except Exception as error:
            self._actions.log.sequencer.fail(error)
            raise
        finally:
            sending = tuple(self._busy.values())
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    # From the log into the outbox

    def _notice(self, news: News) -> None:
        """Pass over what is told to nobody; wake where something may be."""
        passed, self._seen = self._at == self._seen, news[-1][0] + 1
        if passed and not any(isinstance(facts, _TOLD) for _, _, facts in news):
            self._at = self._seen
        else:
            self._wake.set()

    async def _begin(self) -> None:
        """Where a process before stopped; a new outbox begins with what is now."""
        position = await self.outbox.position()
        if position is None:
            await self.outbox.follow(self._at, (), self._holds)
        else:
            self._at = position
            self._holds = await self.outbox.holds()

    async def _read(self) -> None:
        """Take what came since into the outbox."""
        while self._at < self._seen:
            end = min(self._seen, self._at + _CHUNK)
            entries = await asyncio.to_thread(self._entries, self._at, end)
            changed: dict[str, str | None] = {}
            for _, _, facts in entries:
                if isinstance(facts, HoldAdded):
                    changed[facts.hold] = self._holds[facts.hold] = facts.subject
                elif isinstance(facts, HoldLifted):
                    changed[facts.hold] = None
            webhooks = self._actions.log.fold.register.state.webhooks
            since = {organisation: one.since for organisation, one in webhooks.items()}
            messages = await self._messages(entries, self._holds, since)
            await self.outbox.follow(end, messages, changed, now_ms())
            for hold in (hold for hold, subject in changed.items() if subject is None):
                self._holds.pop(hold, None)
            self._at = self._kept = end
        if (at := self._at) != self._kept:
            await self.outbox.follow(at)
            self._kept = at

    async def _read_on(self) -> bool:
        """Read some more of the log for one for whom there was no room; whether there was one."""
        late = await self.outbox.late()
        if late is None:
            return False
        end = min(late.end, late.start + _CHUNK)
        entries = await asyncio.to_thread(self._entries, late.start, end)
        holds = await asyncio.to_thread(self._held, entries, late.start)
        # Not since its webhook is this one: what it waits for is told at whichever it has.
        messages = await self._messages(entries, holds, {late.organisation: 0})
        await self.outbox.catch_up(late.organisation, end, messages, now_ms())
        return True

    def _entries(
        self, start: int, end: int, types: tuple[type[Facts], ...] = _TOLD
    ) -> list[_Entry]:
        """The records of these types among some entries."""
        found, names = [], {one.TYPE for one in types}
        reader = self._actions.log.reader
        for stored in reader.stored(start, end):
            if decode_leaf(stored.entry).type in names:
                try:
                    one = reader.open(stored)
                except Erased:
                    logger.error("an entry cannot be told: it was erased", entry=stored.index)
                else:
                    found.append((one.index, one.leaf.time, one.facts))
        return found

    def _held(self, entries: list[_Entry], start: int) -> dict[str, str]:
        """The subjects of the holds that are added or lifted there; those of earlier ones from as
        far before as they are."""
        found = {one.hold: one.subject for _, _, one in entries if isinstance(one, HoldAdded)}
        lacking = {one.hold for _, _, one in entries if isinstance(one, HoldLifted)} - found.keys()
        while lacking and start:
            end, start = start, max(0, start - _CHUNK)
            for _, _, one in self._entries(start, end, (HoldAdded,)):
                if isinstance(one, HoldAdded) and one.hold in lacking:
                    found[one.hold] = one.subject
                    lacking.discard(one.hold)
        return found

    async def _messages(
        self, entries: list[_Entry], holds: dict[str, str], since: Mapping[str, int]
    ) -> list[tuple[int, Message]]:
        """What organisations are told of these entries, in their order, each since a time (ms)."""
        register = self._actions.log.fold.register
        messages = []
        for index, time, facts in entries:
            await asyncio.sleep(0)  # others have their turn
            told = _told(facts, holds, register)
            whom = cache(partial(_covered, register, time))  # for all organisations, if for any
            for organisation, begun in since.items():
                if time < begun:
                    continue
                data = _for(register, organisation, facts, told, whom)
                if data is not None:
                    body = _body(facts.TYPE, time, {"entry": index, **data})
                    name = f"msg_{index}_{organisation[:16]}"
                    messages.append((index, Message(name, organisation, body)))
        return messages

    # From the outbox to recipients

    async def _send(self) -> int | None:
        """Begin to tell whom something is due; when (ms) the next is, None if nothing waits but for
        those who are just being told."""
        for due, message in await self.outbox.first():
            if message.organisation in self._busy:
                continue
            if len(self._busy) >= _MOST:
                return None
            if due > now_ms():
                return due
            task = asyncio.create_task(self._deliver(message))
            self._busy[message.organisation] = task
            task.add_done_callback(partial(self._delivered, message.organisation))
        return None

    def _delivered(self, organisation: str, task: asyncio.Task[None]) -> None:
        del self._busy[organisation]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._actions.log.sequencer.fail(error)

    async def _deliver(self, message: Message) -> None:
        webhook = self._actions.log.fold.register.state.webhooks.get(message.organisation)
        if webhook is None:
            await self.outbox.drop(message.organisation)
            return
        error = await self._post(webhook.url, message)
        if not error:
            await self.outbox.told(message, now_ms())
            return
        tried = message.attempts
        due = now_ms() + _PAUSES[tried] * 1000 if tried < len(_PAUSES) else None
        await self.outbox.failed(message, error, due)
        if due is None:
            logger.error("a webhook was given up", message=message.id, why=error)

    async def _post(self, url: str, message: Message) -> str:
        """Send it; why that failed, or empty."""
        stamp = str(now_ms() // 1000)
        signature = signature_v1a(self._key, message.id, stamp, message.body)
        headers = webhook_headers(message.id, stamp, signature)
        try:
            answer = await self._outbound.post(url, headers, message.body)
        except OutboundError as error:
            return str(error)
        return "" if 200 <= answer.status < 300 else f"it answers with status {answer.status}"

    async def _rest(self, due: int | None) -> None:
        """Until there is news, somebody was told, or something is due."""
        seconds = _LAG if due is None else min(_LAG, max(0.0, (due - now_ms()) / 1000))
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the wake.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()


def in_words(many: int, standing: Standing) -> str:
    """How the messages to so many organisations stand."""
    waiting, given_up, failing, behind = standing
    line = f"{many} ({failing} failing), {waiting} messages wait, {given_up} given up"
    return f"{line}, at most {behind} entries behind"


def _told(facts: Facts, holds: dict[str, str], register: Indexed) -> dict[str, Any]:
    """What is told of a record to whom it is about. Who of the issuer's staff did it, and the
    numbers behind a finding, are not."""
    match facts:
        case HoldAdded():
            subject, why = facts.subject, facts.reason
            return {"hold": facts.hold, "subject": subject, "reason": why, "until": facts.until}
        case HoldLifted():
            subject = holds.get(facts.hold, "")
            return {"hold": facts.hold, "subject": subject, "reason": facts.reason}
        case DelegationEnded():
            return {"subject": f"link:{facts.link}", "reason": facts.reason}
        case FindingRaised():
            return {
                "finding": facts.finding,
                "kind": facts.kind,
                "sentence": facts.sentence,
                "subject": facts.subject,
            }
        case NoticeSent():
            return as_told(register, facts)
        case SourceSilent():
            return {"source": facts.source, "silent": facts.silent, "since": facts.since}
        case RotationDemanded():
            rotation, subject, until = facts.rotation, facts.subject, facts.until
            return {"rotation": rotation, "subject": subject, "until": until}
    return {}


def _covered(register: Indexed, time: int, subject: str) -> set[str]:
    """The recipients of whose people or workloads a hold on the subject covers any."""
    return {one.recipient for one in covered(register, subject, time)}


def _for(
    register: Indexed,
    organisation: str,
    facts: Facts,
    told: dict[str, Any],
    whom: Callable[[str], set[str]],
) -> dict[str, Any] | None:
    """What this organisation is told of a record; None if the record is none of its business."""
    if isinstance(facts, WebhookRegistered | NoticeSent | RotationDemanded):
        return told if facts.organisation == organisation else None
    if isinstance(facts, SourceSilent):
        source = register.state.sources.get(facts.source)
        return told if source is not None and source.organisation == organisation else None
    subject = told.get("subject") or ""
    if _own(register, organisation, subject):
        return told
    if isinstance(facts, FindingRaised | DelegationEnded) or slot_of_subject(subject, register):  # type: ignore[arg-type]
        return None
    # A hold on what many share is told to those whom it covers: that it is there, and not why.
    top = register.organisations[organisation].recipient
    mine = top == organisation and organisation in whom(subject)
    return {name: told[name] for name in ("hold", "subject")} if mine else None


def _own(register: Indexed, organisation: str, subject: str) -> bool:
    """Whether a subject is the organisation, or a person, workload, device or link below it."""
    kind, _, name = subject.partition(":")
    if kind == "device" and (device := register.state.devices.get(name)) is not None:
        link = register.state.invitations[device.invitation].link
    else:
        link = name if kind == "link" else register.link_of.get(name, "")
    return any(one.subject == organisation for one in register.path(link))


def _body(kind: str, time: int, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "timestamp": rfc3339(time), "data": data})
