"""SCIM 2.0 (RFC 7643, 7644) over HTTP: a recipient's directory tells us of its accounts.

The protocol is `scim2-server`'s; ours is whose directory it is, and how much it may send.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from http import HTTPStatus
from urllib.parse import parse_qsl

import structlog
from pydantic import ValidationError
from scim2_models import Error, PayloadTooLargeException, SCIMException, UnauthorizedException
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService, scim_exception_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bailment.access.reasons import Refused
from bailment.control.actions import Denied
from bailment.control.directory import PROVIDER, Directory
from bailment.control.event_push import credential_of
from bailment.control.requests import bounded_body
from bailment.control.signals import Signals
from bailment.ledger.identity_records import SignalSource
from bailment.ledger.records import DelegationGranted, PersonErased
from bailment.store.accounts import Accounts
from bailment.store.sequencer import News

logger = structlog.get_logger("bailment.signals")

PATH = "/scim/v2"
_MOST = 256 * 1024


class Scim:
    """An ASGI application under `/scim/v2`; whose directory calls follows from its credential."""

    def __init__(self, signals: Signals, accounts: Accounts) -> None:
        self.signals = signals
        self.accounts = accounts
        self._service = ScimService(PROVIDER)
        self._directories: dict[str, Directory] = {}
        self._opening = asyncio.Lock()
        self._after: set[asyncio.Task[None]] = set()
        signals.actions.log.sequencer.listeners.append(self._follow)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = ScimRequest(
            request.method,
            self.signals.actions.log.fold.register.state.url + PATH,
            scope["path"].removeprefix(PATH),
            dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        )
        try:
            answer = await self._handle(request, asked)
        except SCIMException as error:
            answer = self._service.error_response(error)
        except ValidationError as error:
            answer = self._service.error_response(scim_exception_of(error))
        except Denied as denied:
            answer = _unavailable(str(denied))
        headers = {**answer.headers, "cache-control": "no-store"}
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        await Response(body, int(answer.status), headers)(scope, receive, send)

    async def _handle(self, request: Request, asked: ScimRequest) -> ScimResponse:
        source = self._source(request)
        if source is None:
            raise UnauthorizedException(detail="the credential is no source's")
        body = await bounded_body(request, _MOST)
        if isinstance(body, Refused):
            raise PayloadTooLargeException(detail=body.detail)
        asked.body = body
        directory = await self._directory(source.source)
        return await AsyncScimHandler(self._service, directory).handle(asked)

    def _source(self, request: Request) -> SignalSource | None:
        """The source whose credential came; each is compared, so that time tells nothing."""
        shown = credential_of(request)
        sources = self.signals.actions.log.fold.register.state.sources.values()
        known = [one for one in sources if one.kind == "scim"]
        same = [one for one in known if hmac.compare_digest(shown, one.credential)]
        return same[0] if same else None

    async def _directory(self, source: str) -> Directory:
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


def _unavailable(why: str) -> ScimResponse:
    """The directory says it again."""
    headers = {"retry-after": "5"}
    return ScimResponse(HTTPStatus(503), Error(status=503, detail=why).model_dump(), headers)
