"""SCIM 2.0 (RFC 7643, 7644) over HTTP: a recipient's directory tells us of its accounts.

The protocol is `scim2-server`'s; ours is whose directory it is, and how much it may send.
"""

from __future__ import annotations

import asyncio
import hmac
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bailment.control.actions import Denied
from bailment.control.requests import credential_of
from bailment.control.signals import Signals
from bailment.ledger.identity_records import SignalSource
from bailment.ledger.records import DelegationGranted, PersonErased
from bailment.store.accounts import Accounts
from bailment.store.sequencer import News

if TYPE_CHECKING:
    from bailment.control.directory import Directory

logger = structlog.get_logger("bailment.signals")

PATH = "/scim/v2"


class Scim:
    """An ASGI application under `/scim/v2`; whose directory calls follows from its credential."""

    def __init__(self, signals: Signals, accounts: Accounts) -> None:
        self.signals = signals
        self.accounts = accounts
        self._directories: dict[str, Directory] = {}
        self._opening = asyncio.Lock()
        self._after: set[asyncio.Task[None]] = set()
        signals.actions.log.sequencer.listeners.append(self._follow)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _load()
        from bailment.control.scim_messages import answered

        request = Request(scope, receive)
        source = self._source(request)
        base = self.signals.actions.log.fold.register.state.url + PATH
        opened = partial(self._directory, source.source) if source is not None else None
        answer = await answered(request, base, scope["path"].removeprefix(PATH), opened)
        await answer(scope, receive, send)

    def _source(self, request: Request) -> SignalSource | None:
        """The source whose credential came; each is compared, so that time tells nothing."""
        shown = credential_of(request)
        sources = self.signals.actions.log.fold.register.state.sources.values()
        known = [one for one in sources if one.kind == "scim"]
        same = [one for one in known if hmac.compare_digest(shown, one.credential)]
        return same[0] if same else None

    async def _directory(self, source: str) -> Directory:
        await _load()
        from bailment.control.directory import Directory

        async with self._opening:
            if source not in self._directories:
                rows = await self.accounts.of(source)
                self._directories[source] = Directory(source, rows, self.signals, self.accounts)
            return self._directories[source]

    # What else changes who is meant

    def _follow(self, news: News) -> None:
        named = any(isinstance(facts, DelegationGranted) for _, _, facts in news)
        erased = [facts.person for _, _, facts in news if isinstance(facts, PersonErased)]
        ended = [f.source for _, _, f in news if isinstance(f, SignalSource) and not f.kind]
        if named or erased or ended:
            task = asyncio.create_task(self._catch_up(named, erased, ended))
            self._after.add(task)
            task.add_done_callback(self._after.discard)

    async def begin(self) -> None:
        """Catch up with what a process before may not have come to."""
        await self._catch_up(True, list(self.signals.actions.log.fold.register.state.erased), [])

    async def _catch_up(self, named: bool, erased: list[str], ended: list[str]) -> None:
        """A malfunction ends the process: a leaver could be missed."""
        try:
            await self._caught_up(named, erased, ended)
        except Exception as error:
            self.signals.actions.log.sequencer.fail(error)
            raise

    async def _caught_up(self, named: bool, erased: list[str], ended: list[str]) -> None:
        for source in ended:
            self._directories.pop(source, None)
            await self.accounts.drop(source)
        for person in erased:
            await self.accounts.erase(person)
            for directory in self._directories.values():
                directory.erase(person)
        sources = self.signals.actions.log.fold.register.state.sources.values()
        for source in [one.source for one in sources if named and one.kind == "scim"]:
            try:
                await (await self._directory(source)).recheck()
            except Denied as denied:
                logger.error("a directory was not looked at", source=source, why=str(denied))


async def _load() -> None:
    """Import what takes its time to import, beside everything else that goes on."""
    await run_in_threadpool(import_module, "bailment.control.scim_messages")
