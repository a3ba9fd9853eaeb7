"""The revocation drill: hold a person whose stream to a canary is on its way, and measure.

The issuer measures alone, by the times in its log. The recipient only keeps a stream open and asks
again when it is cut (`bailment rehearse`), with a device and a token like any other; neither the
decision nor whoever looks for misuse can tell the hold from one that is meant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bailment.access.chain import GRANTORS
from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.access.revoking import CLAIMS, LONGEST, Revocation, measured
from bailment.assurance.adapters import drill
from bailment.assurance.item import Item
from bailment.control.actions import Actions, Denied
from bailment.control.assurance import Assurance
from bailment.control.requests import Act
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded
from bailment.spec.compiled import AtLeast, Claim, Kind, Node
from bailment.store.sequencer import News

#: How long the recipient has to open a stream, and how long a stream runs before it is cut (s).
_PATIENCE, _UNDER_WAY = 15.0, 0.5
#: What has not taken effect after so long (s) did not: the drill says so and lifts the hold.
_EFFECT = 8.0


class RevokeDrill(Act, frozen=True, tag="drill-revoke"):
    """Drill the revocation of a person's access; see `RevocationDrill.run`."""

    recipient: str
    person: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class _Stream:
    """An open stream: the ids of the organisations on its chain and of the person, and when it
    began (loop time, s)."""

    organisations: tuple[str, ...]
    person: str
    began: float


class RevocationDrill:
    """Drills over one log, one at a time."""

    def __init__(self, actions: Actions, assurance: Assurance) -> None:
        self._actions = actions
        self._assurance = assurance
        self._one = asyncio.Lock()
        #: Streams to canaries that are open: whose, by access id.
        self._streams: dict[str, _Stream] = {}
        self._opened = asyncio.Event()
        actions.log.sequencer.listeners.append(self._follow)

    @property
    def _fold(self) -> Fold:
        return self._actions.log.fold

    async def run(self, recipient: str, person: str, kind: str, author: str) -> Item:
        """Wait for a stream of the recipient's (of this person's, unless empty) to a canary, hold
        the person, see what follows, lift the hold, and put the result on record.

        Denied if there is no stream, or no kind of evidence for it.
        """
        async with self._one:
            wanted, scope = self._kind(recipient, kind)
            held = await self._stream(recipient, person)
            seen = await self._measure(held, author)
            log = self._actions.log
            item = measured(seen, wanted, scope, os.urandom(16).hex(), log.sequencer.time)
            if item is None:
                raise _denied("the drill measured nothing")
            await self._assurance.record(recipient, item, author)
            return item

    def _kind(self, recipient: str, name: str) -> tuple[Kind, str]:
        """The kind of evidence that the result is, and the scope that it is about."""
        register = self._fold.register
        if register.spec is None:
            raise _denied("there is no spec that asks for evidence")
        read = {
            claim.source.kind
            for tier in register.spec.tiers
            for required in tier.requirements
            for claim in _claims(required.rule)
            if claim.claim in CLAIMS
        }
        fitting = [
            kind
            for kind in register.spec.kinds.values()
            if kind.adapter == drill.ADAPTER and (kind.name == name if name else kind.name in read)
        ]
        if len(fitting) != 1:
            names = ", ".join(f"`{kind.name}`" for kind in fitting) or "no kind of drill"
            raise _denied(f"the spec has {names} for a revocation; say which")
        scopes = sorted(register.proven(recipient).scopes.get(fitting[0].scope, ()))
        if not scopes:
            raise _denied(f"no {fitting[0].scope} is declared as the recipient's")
        return fitting[0], scopes[0]

    def _follow(self, news: News) -> None:
        """Keep up with which streams to canaries are open; all of them began in this process,
        since one that starts closes what was left open."""
        for _, _, facts in news:
            if isinstance(facts, AccessClosed):
                self._streams.pop(facts.access, None)
            elif isinstance(facts, AccessOpened) and facts.stream:
                register = self._fold.register
                token = self._fold.admission.token(facts.token)
                model = register.state.models.get(facts.model)
                if token is not None and model is not None and model.canary is True:
                    began = asyncio.get_running_loop().time()
                    path = register.path(register.link_of.get(token.device, ""))
                    ours = tuple(link.subject for link in path if link.kind in GRANTORS)
                    self._streams[facts.access] = _Stream(ours, token.person, began)
                    self._opened.set()

    async def _stream(self, recipient: str, person: str) -> str:
        """The person whose stream to a canary has been under way for a moment."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE
        while (now := loop.time()) < end:
            waits = [end - now]
            for one in self._streams.values():
                if recipient in one.organisations and person in ("", one.person):
                    waits.append(one.began + _UNDER_WAY - now)
                    if waits[-1] <= 0:
                        return one.person
            self._opened.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(waits)):
                    await self._opened.wait()
        raise _denied(
            "nobody of the recipient's has a stream to a canary: have them run "
            "`bailment rehearse` meanwhile"
        )

    async def _measure(self, person: str, author: str) -> Revocation:
        """Hold the person, wait for the effect, and lift the hold whatever happens."""
        seen: list[Revocation] = []
        subject = f"person:{person}"

        def notice(leaf: Leaf, facts: Facts) -> bool:
            if isinstance(facts, HoldAdded) and facts.subject == subject and not seen:
                seen.append(Revocation(facts, leaf, self._fold))
                return False
            for one in seen:
                one.follow(leaf, facts)
            return bool(seen) and seen[0].took_effect

        with self._listening(notice) as effect:
            # It ends by itself should nobody be left to lift it.
            until = self._actions.log.sequencer.time + LONGEST
            hold = await self._actions.hold(subject, "access revoked", author, until)
            try:
                async with asyncio.timeout(_EFFECT):
                    await effect.wait()
            except TimeoutError:
                pass
            finally:
                await self._actions.lift(hold, "access restored", author)
        if not seen or seen[0].hold != hold:
            raise _denied("somebody else held the person meanwhile; try again")
        return seen[0]

    @contextlib.contextmanager
    def _listening(self, notice: Callable[[Leaf, Facts], bool]) -> Iterator[asyncio.Event]:
        """An event that is set when `notice` says so of a record."""
        event = asyncio.Event()

        def hear(news: News) -> None:
            for _, leaf, facts in news:
                if notice(leaf, facts):
                    event.set()

        listeners = self._actions.log.sequencer.listeners
        listeners.append(hear)
        try:
            yield event
        finally:
            listeners.remove(hear)


def _claims(node: Node) -> Iterator[Claim]:
    if isinstance(node, AtLeast):
        for below in node.of:
            yield from _claims(below)
    elif isinstance(node, Claim):
        yield node


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
