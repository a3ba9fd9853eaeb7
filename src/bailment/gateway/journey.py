"""One request, top to bottom.

    intake      what arrives, within bounds                       intake.py
    proof       which token, and is it in its owner's hands        credentials.py
    body        read, and held against the proof
    dialect     what is asked; parsed only now, after proof        dialects/
    decision    is it allowed                                      access/decision.py
    opened      on the record, durable, or nothing happens         journal.py
    upstream    the model's server                                 upstream.py
    relay       the answer, under the cutoff                       relay.py
    closed      on the record, before the end of the answer        journal.py

Whatever says no on the way is answered by `exchange.py` in the words of `answers.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bailment.access.admission import Stale
from bailment.access.chain import networks_of
from bailment.access.decision import Request, models_of
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.proof import check_body
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.gateway.credentials import Caller, Credentials, Stranger
from bailment.gateway.dialects import models
from bailment.gateway.dialects.base import Action, Ask, Dialect
from bailment.gateway.dialects.catalogue import Route, route, shape
from bailment.gateway.exchange import Exchange
from bailment.gateway.flights import Flight, Flights, Leaving, uncancel
from bailment.gateway.guard import UNRECORDED
from bailment.gateway.intake import (
    Arrival,
    Buffers,
    ClientGone,
    Receive,
    Scope,
    Send,
    Share,
    arrive,
    read_body,
)
from bailment.gateway.journal import Access, Journal, evidence_of
from bailment.gateway.prompts import Prompts
from bailment.gateway.relay import (
    NOTHING,
    PASSED_ON,
    Broken,
    Progress,
    read_answer,
    relay_stream,
    why,
)
from bailment.gateway.tripwires import Tripwires
from bailment.gateway.upstream import Upstream, UpstreamError, UpstreamResponse
from bailment.ledger.context import Context
from bailment.ledger.records import AccessClosed
from bailment.settings import Settings
from bailment.store.tables import Origins

#: How often an end is put on the record anew because the register moved under it.
_ATTEMPTS = 5
#: Tokens that a server's chat template may add to what the client sent.
TEMPLATE = 512
#: What of the client's headers goes upstream; its credentials never do.
_PASSED_HEADERS = frozenset({b"content-type", b"accept", b"anthropic-version"})


@dataclass(frozen=True, slots=True)
class Journey:
    """Carries requests for models. One for each gateway; holds no state of any request."""

    fold: Fold
    journal: Journal
    flights: Flights
    upstreams: Mapping[str, Upstream]
    settings: Settings
    nonces: Nonces
    credentials: Credentials
    buffers: Buffers
    tripwires: Tripwires
    origins: Origins
    prompts: Prompts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one ASGI request."""
        arrival = arrive(scope, self.settings.listen.proxies)
        anthropic = bool(arrival.header(b"anthropic-version"))
        way = route(arrival.method, arrival.path, anthropic=anthropic)
        dialect = shape(arrival.path, anthropic=anthropic)
        nonce = self.nonces.current(now_ms())
        exchange = Exchange(send, nonce, dialect, self.fold.register.policy.contact)
        if isinstance(way, Refused):
            self.tripwires.judge(arrival, None)
            await self._turn_away(way, exchange)
            return
        try:
            with Share(self.buffers) as share:
                await self._enter(arrival, way, exchange, receive, share)
        except ClientGone:
            return

    async def _enter(
        self, arrival: Arrival, way: Route, exchange: Exchange, receive: Receive, share: Share
    ) -> None:
        """Proof, body, dialect, decision, opened."""
        closed = self._unavailable()
        if closed is not None:
            await self._turn_away(closed, exchange)
            return
        caller = self.credentials.check(arrival, now_ms())
        self.tripwires.judge(arrival, caller)
        context = self.origins.context(arrival.address, arrival.headers)
        if isinstance(caller, Stranger):
            await self.journal.refuse(caller.refused, caller.token, context)
            await exchange.refuse(caller.refused, verified=False)
            return
        body = await read_body(arrival, receive, self.settings.limits.body_bytes, share)
        if isinstance(body, Refused):
            await self._refuse(body, caller, exchange, context)
            return
        content, digest = body
        mismatch = check_body(caller.proof, digest) if caller.proof is not None else None
        if mismatch is not None:
            # Whoever sent this body is not shown to be the key's holder.
            await self.journal.refuse(mismatch, caller.token, context)
            await exchange.refuse(mismatch, verified=False)
            return
        ask = _LISTING if way.listing else way.dialect.parse(arrival.path, content)
        if isinstance(ask, Refused):
            await self._refuse(ask, caller, exchange, context)
            return
        context = self.origins.opened(context, ask.opening)
        request = self._request(caller, ask, arrival, len(content))
        access = self._unavailable() or await self.journal.open(
            request, evidence_of(caller, arrival, digest, ask.stream, context)
        )
        if isinstance(access, Refused):
            await self._refuse(access, caller, exchange, context, request)
            return
        exchange.access = access.id
        self.prompts.offer(access, ask.prompt)
        await self._carry(arrival, way, ask, access, exchange, receive)

    async def _carry(
        self,
        arrival: Arrival,
        way: Route,
        ask: Ask,
        access: Access,
        exchange: Exchange,
        receive: Receive,
    ) -> None:
        """Upstream, relay, closed: from here on every way out closes the access."""
        flight = self.flights.take_off(access, self.journal.now)
        progress = Progress(several=ask.choices > 1)
        leaving = Leaving(receive, flight)
        try:
            if (refused := flight.stopped()) is not None:
                raise Broken(refused)
            if way.listing:
                await self._list_models(way, flight, progress, exchange)
                return
            response = await self._upstream(arrival, ask, flight)
            flight.upstream = response
            progress.status = response.status
            if response.status == 200 and ask.stream:
                await self._stream(response, way.dialect, ask, flight, progress, exchange)
            else:
                await self._answer(response, way.dialect, flight, progress, exchange)
        except (UpstreamError, Broken, asyncio.CancelledError) as error:
            if flight.closed and not flight.released:
                raise  # its end is on the record; what is left of the answer is not sent
            uncancel(flight)
            if flight.upstream is not None:
                flight.upstream.abort()
            await self._break_off(why(error, flight), flight, progress, exchange)
        except Exception:
            # A mistake of ours; but what was opened is closed, and no connection is used again.
            if flight.upstream is not None:
                flight.upstream.abort()
            if not flight.closed:
                await self._put_down(flight, progress.closed(access.id, "aborted", "malfunction"))
            raise
        finally:
            leaving.cancel()
            if flight.landing is None:
                self.flights.land(flight)

    async def _upstream(self, arrival: Arrival, ask: Ask, flight: Flight) -> UpstreamResponse:
        upstream = self.upstreams.get(ask.model)
        if upstream is None:
            raise UpstreamError(Reason.UPSTREAM_UNREACHABLE, "no server is set for this model")
        headers = [pair for pair in arrival.headers if pair[0] in _PASSED_HEADERS]
        flight.waiting = True
        try:
            return await upstream.send(arrival.method, arrival.path, headers, ask.body)
        finally:
            flight.waiting = False

    async def _answer(
        self,
        response: UpstreamResponse,
        dialect: Dialect,
        flight: Flight,
        progress: Progress,
        exchange: Exchange,
    ) -> None:
        """A whole answer: closed on the record, then sent."""
        body = await read_answer(response, dialect, progress, self.settings.limits.answer_bytes)
        if response.status != 200 and response.status not in PASSED_ON:
            detail = f"it answered with status {response.status}"
            raise Broken(Refused(Reason.UPSTREAM_REFUSED, detail))
        outcome = "complete" if response.status == 200 else "upstream-refused"
        refused = await self._close(flight, progress, outcome, len(body))
        if refused is None:
            await exchange.whole(response.status, body)
        else:
            await exchange.refuse(refused, verified=True)

    async def _stream(
        self,
        response: UpstreamResponse,
        dialect: Dialect,
        ask: Ask,
        flight: Flight,
        progress: Progress,
        exchange: Exchange,
    ) -> None:
        """A stream: its events as they come, its end only after the access is closed."""
        reader = dialect.reader(ask.strip_usage)
        await exchange.head(200, b"text/event-stream; charset=utf-8", (b"x-accel-buffering", b"no"))
        await relay_stream(response, reader, flight, progress, exchange.send)
        refused = await self._close(flight, progress, "complete", len(reader.held))
        if refused is None:
            await exchange.end(reader.held)
        else:
            await exchange.refuse(refused, verified=True)

    async def _close(
        self, flight: Flight, progress: Progress, outcome: str, rest: int
    ) -> Refused | None:
        """Close a finished access, of whose answer `rest` bytes are left to send; why they may not
        go out after all. Raises Broken if that is known before anything is on the record.

        Nothing follows a hold. One that is in the log before the record of the end makes that a
        cut. One that comes right after it finds an end that says what was about to be sent.
        """
        register, unsent = self.fold.register, progress.sent
        for _ in range(_ATTEMPTS):
            if (refused := flight.stopped()) is not None:
                raise Broken(refused)
            progress.sent = unsent + rest
            closed = progress.closed(flight.access.id, outcome)
            answer = await self._end(flight, closed, register.epoch)
            if not isinstance(answer, Stale):
                break
            progress.sent = unsent
        else:
            answer = await self._end(flight, closed)
        return flight.stopped() if answer else Refused(Reason.LOG_UNAVAILABLE)

    async def _end(
        self, flight: Flight, closed: AccessClosed, epoch: int | None = None
    ) -> bool | Stale:
        """Put down the end of an answer whose last part waits for that."""
        flight.ending = True
        try:
            return await self._put_down(flight, closed, epoch)
        finally:
            flight.ending = False

    async def _put_down(
        self, flight: Flight, closed: AccessClosed, epoch: int | None = None
    ) -> bool | Stale:
        """Hand the end to the log, once; again only if that answers that it is stale."""
        flight.closed = True
        answer = await self.journal.close(flight.access, closed, epoch)
        flight.closed = not isinstance(answer, Stale)
        return answer

    async def _break_off(
        self, refused: Refused, flight: Flight, progress: Progress, exchange: Exchange
    ) -> None:
        """Close the access as what it was, and tell the client, if it is still there. A stream is
        broken off at once, since the log may be what stands still; a whole answer comes after it.
        """
        if flight.released:  # how it ends is on its way to the log already
            await exchange.refuse(refused, verified=True)
            return
        if flight.gone:
            await self._put_down(flight, progress.closed(flight.access.id, "client-left"))
            return
        if refused.reason is Reason.UPSTREAM_UNREACHABLE:
            progress.usage, progress.final = NOTHING, True
        outcome = _OUTCOMES.get(refused.reason, "cut")
        closed = progress.closed(flight.access.id, outcome, refused.reason.value)
        flight.landing = asyncio.create_task(self._land(flight, closed))
        if not exchange.started and refused.reason not in UNRECORDED:
            await flight.landed(flight.landing)
        await exchange.refuse(refused, verified=True)

    async def _land(self, flight: Flight, closed: AccessClosed) -> None:
        """Put down the end of a cut access, beside its client's hearing of it."""
        try:
            await self._put_down(flight, closed)
        finally:
            self.flights.land(flight)

    async def _list_models(
        self, way: Route, flight: Flight, progress: Progress, exchange: Exchange
    ) -> None:
        """What the caller may use, from the register; on the record like any access."""
        progress.usage, progress.final = NOTHING, True
        register, access = self.fold.register, flight.access
        names = models_of(access.request.token, register, access.request.networks, self.journal.now)
        owner = register.state.origin
        listed = [models.Model(n, register.state.models[n].created, owner) for n in names]
        chosen = [model for model in listed if model.id == way.model]
        anthropic = way.dialect.name == "messages"
        if not way.model:
            body = models.listing(listed, anthropic=anthropic)
        elif chosen:
            body = models.single(chosen[0], anthropic=anthropic)
        else:
            body = b""
        progress.status = 200 if body else 403
        refused = await self._close(flight, progress, "complete", len(body))
        if refused is None and not body:
            refused = Refused(Reason.MODEL_OUTSIDE_CHAIN, "there is no such model in the chain")
        if refused is None:
            await exchange.whole(200, body)
        else:
            await exchange.refuse(refused, verified=True)

    def _request(self, caller: Caller, ask: Ask, arrival: Arrival, size: int) -> Request:
        """What the decision is asked. The ceiling is what the access can cost at the most."""
        register = self.fold.register
        model = register.state.models.get(ask.model)
        ceiling = 0
        if model is not None and ask.action is Action.GENERATE:
            # A token is at least one byte of the body, and answers share the prompt.
            output = min(ask.max_output or model.output, model.context) * ask.choices
            ceiling = min(size + TEMPLATE, model.context) + output
        within = caller.token.within or ()
        networks = networks_of(arrival.address, (*register.networks, *within))
        return Request(caller.token, ask.action.value, ask.model, networks, ceiling)

    def _unavailable(self) -> Refused | None:
        closed = self.flights.guard.refused() or self.journal.available()
        return Refused(Reason.DRAINING) if closed is None and self.flights.draining else closed

    async def _refuse(
        self,
        refused: Refused,
        caller: Caller,
        exchange: Exchange,
        context: Context,
        request: Request | None = None,
    ) -> None:
        """Refuse a caller that proved its key: it is told why."""
        action, model = (request.action, request.model) if request else ("", "")
        # Where the log stands still nobody is kept waiting for it to say so.
        token = None if refused.reason in UNRECORDED else caller.token
        await self.journal.refuse(refused, token, context, action=action, model=model)
        await exchange.refuse(refused, verified=True)

    async def _turn_away(self, refused: Refused, exchange: Exchange) -> None:
        """Refuse somebody of whom nothing is known."""
        await self.journal.refuse(refused, None)
        await exchange.refuse(refused, verified=False)


_LISTING = Ask(Action.LIST_MODELS, "", False, None, 0, b"")

_OUTCOMES = {
    Reason.UPSTREAM_UNREACHABLE: "upstream-failed",
    Reason.UPSTREAM_TIMEOUT: "upstream-failed",
    Reason.UPSTREAM_INVALID: "upstream-failed",
    Reason.UPSTREAM_ABORTED: "upstream-failed",
    Reason.UPSTREAM_REFUSED: "upstream-refused",
    Reason.DRAINING: "aborted",
}
