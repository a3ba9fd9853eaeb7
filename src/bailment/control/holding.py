"""Taking access away and giving it back: holds, endings, the kill switch, maintenance.

What takes access away answers once it is effective (`control/effect.py`), and says how soon.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from bailment.access.coverage import covered, dead, digest, near
from bailment.access.holds import KILL_SWITCH, subject_exists
from bailment.access.reasons import Reason, Refused
from bailment.control.actions import Actions, Denied
from bailment.control.effect import Effect, Effects
from bailment.control.requests import Act, Line
from bailment.control.two_person import Approvals
from bailment.ledger.enforcement_records import MaintenanceExtended
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import DelegationEnded, HoldAdded

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_Subject = Annotated[str, msgspec.Meta(max_length=500)]


class PreviewHold(Act, frozen=True, tag="hold-preview"):
    """Say whom a hold would cut off, and why."""

    subject: _Subject


class AddHold(Act, frozen=True, tag="hold-add"):
    """Lock a subject; `until` 0 means until lifted. With `selects`, the digest from a preview, only
    if it still covers just those who were shown."""

    subject: _Subject
    reason: Line
    until: int = 0
    selects: str = ""


class LiftHold(Act, frozen=True, tag="hold-lift"):
    """Unlock."""

    hold: str
    reason: Line


class EndLink(Act, frozen=True, tag="link-end"):
    """End a link for good."""

    link: str
    reason: Line


class RevokeToken(Act, frozen=True, tag="token-revoke"):
    """End a token, by its SHA-256 (base64url)."""

    token: str
    reason: Line


class SwitchOff(Act, frozen=True, tag="kill-switch-off"):
    """Give access back after the kill switch."""

    reason: Line


class Maintain(Act, frozen=True, tag="maintenance"):
    """Let the gateway go on without hearing the log until then (ms); 0 ends that."""

    until: int
    reason: Line


HoldingActs = PreviewHold | AddHold | LiftHold | EndLink | RevokeToken | SwitchOff | Maintain


class Holding:
    """These acts, over one log."""

    def __init__(self, actions: Actions, effects: Effects, approvals: Approvals) -> None:
        self._actions = actions
        self._effects = effects
        approvals.performs(HoldAdded, self._approved)
        approvals.performs(DelegationEnded, self._ended)

    async def perform(self, act: HoldingActs) -> dict[str, Any]:
        """Do it; what there is to say about it afterwards."""
        match act:
            case PreviewHold():
                return await self.preview(act.subject)
            case AddHold():
                return await self.hold(act)
            case LiftHold():
                await self._lift(act.hold, act.reason, act.author)
            case EndLink():
                ended = DelegationEnded(act.link, act.author, act.reason)
                return await self._ended(ended, self._named(act.link))
            case RevokeToken():
                return await self._revoke(act)
            case SwitchOff():
                await self._switch_off(act.reason, act.author)
            case Maintain():
                extended = MaintenanceExtended(act.until, act.reason, act.author)
                await self._actions.append(lambda now: extended)
        return {}

    async def preview(self, subject: str) -> dict[str, Any]:
        """Whom a hold on the subject would cut off now; Denied if it can match nothing."""
        now, register = self._now(), self._actions.log.fold.register
        self._check(subject, now)
        found, people = covered(register, subject, now), self._actions.people
        ids = [one.subject.partition(":")[2] for one in found]
        await people.load(ids)
        rows = []
        for one, name in zip(found, ids, strict=True):
            known = register.state.recipients.get(one.recipient)
            told = {"name": people.name(name) if one.subject.startswith("person:") else name}
            told["handle"] = known.handle if known is not None else one.recipient
            rows.append(msgspec.structs.asdict(one) | told)
        return {"subject": subject, "selects": digest(found), "covers": rows}

    async def hold(self, act: AddHold) -> dict[str, Any]:
        """Put a hold on a subject."""
        if act.subject == KILL_SWITCH:
            raise _denied("`bailment kill-switch on` does that, and needs no log")
        self._check(act.subject, self._now())
        hold = HoldAdded(os.urandom(16).hex(), act.subject, act.reason, act.author, act.until)
        return await self._hold(hold, {"selects": act.selects} if act.selects else {})

    async def _approved(self, hold: Any, shown: Mapping[str, Any]) -> dict[str, Any]:
        """A hold that others approved."""
        return await self._hold(hold, shown)

    async def _hold(self, hold: HoldAdded, shown: Mapping[str, Any]) -> dict[str, Any]:
        """Add it, if it still covers just those who were shown."""
        register, selects = self._actions.log.fold.register, shown.get("selects", "")

        def make(now: int) -> Facts:
            if selects and digest(covered(register, hold.subject, now)) != selects:
                raise _denied("whom it covers has changed since that was shown: look again")
            return hold

        appending = self._actions.append(make, urgent=True, shown=shown)
        return {"hold": hold.hold} | _told(await self._effects.of(appending))

    async def _ended(self, ended: DelegationEnded, shown: Mapping[str, Any]) -> dict[str, Any]:
        """End a link; one that others approved, too."""
        return _told(await self._take(ended, shown))

    def _named(self, link: str) -> dict[str, Any]:
        """What whoever signs is shown of a link."""
        register = self._actions.log.fold.register
        found = register.links.get(link)
        known = register.organisations.get(found.subject) if found is not None else None
        return {"organisation": known.handle} if known is not None else {}

    async def _take(self, facts: Facts, shown: Mapping[str, Any] = _NOTHING) -> Effect:
        appending = self._actions.append(lambda now: facts, urgent=True, shown=shown)
        return await self._effects.of(appending)

    async def _lift(self, hold: str, reason: str, author: str) -> None:
        known = self._actions.log.fold.register.state.holds.get(hold)
        if known is not None and known.subject == KILL_SWITCH:
            raise _denied("that is the kill switch: `bailment kill-switch off`")
        await self._actions.lift(hold, reason, author)

    async def _revoke(self, act: RevokeToken) -> dict[str, Any]:
        issued = self._actions.log.fold.admission.token(act.token)
        if issued is None:
            raise _denied("there is no such token, or it is over")
        return _told(
            await self._take(TokenRevoked(act.token, issued.device, act.reason, act.author))
        )

    async def _switch_off(self, reason: str, author: str) -> None:
        """The gateway takes the end of the hold for the end of the switch."""
        holds = self._actions.log.fold.register.holds_on.get(KILL_SWITCH)
        if not holds:
            raise _denied("the log does not hold that the kill switch is on")
        await self._actions.lift(holds[0].hold, reason, author)

    def _check(self, subject: str, now: int) -> None:
        """Denied if a hold on the subject can match nothing."""
        register = self._actions.log.fold.register
        if not subject_exists(register, subject):
            names = ", ".join(f"`{one}`" for one in near(register, subject))
            meant = f"; near it: {names}" if names else ""
            raise _denied(f"there is no `{subject}` to hold{meant}")
        if dead(register, subject, now):
            raise _denied(f"nobody is left whom a hold on `{subject}` could cover")

    def _now(self) -> int:
        return self._actions.log.sequencer.time


def _told(effect: Effect) -> dict[str, Any]:
    return msgspec.structs.asdict(effect)


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
