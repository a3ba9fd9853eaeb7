"""The gateway put together: one journey, its upstreams, and what it does by the clock."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from bailment.access.chain import networks_of
from bailment.access.holds import KILL_SWITCH
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.errors import ConfigurationError
from bailment.gateway.credentials import Credentials
from bailment.gateway.feed import Feed
from bailment.gateway.flights import Flights
from bailment.gateway.freshness import Freshness
from bailment.gateway.guard import Guard
from bailment.gateway.intake import Buffers, Receive, Scope, Send, arrive
from bailment.gateway.journal import Journal
from bailment.gateway.journey import Journey
from bailment.gateway.metrics import Metrics
from bailment.gateway.prompts import Prompts
from bailment.gateway.readings import Readings
from bailment.gateway.reconciler import Reconciler
from bailment.gateway.tripwires import Tripwires
from bailment.gateway.upstream import Upstream, UpstreamConfig
from bailment.gateway.watch import Watch
from bailment.ledger.enforcement_records import MaintenanceExtended
from bailment.ledger.records import HoldAdded
from bailment.settings import Model, Settings
from bailment.store import switch
from bailment.store.durable import read_private
from bailment.store.log import Log
from bailment.store.sequencer import News
from bailment.store.tables import Origins

logger = structlog.get_logger("bailment.gateway")

#: Every access in flight is judged this often for what only the clock changes.
_JUDGE_SECONDS = 0.25


class Gateway:
    """An ASGI application for `/v1/` and the health routes."""

    def __init__(self, log: Log, settings: Settings, nonces: Nonces, folder: Path) -> None:
        self.metrics = Metrics()
        register = log.fold.register
        self.feed = Feed(register)
        #: Whether the log holds that the kill switch is on.
        self._killed = bool(register.holds_on.get(KILL_SWITCH))
        self.guard = Guard(self.feed, log.folder.kill_switch, killed=self._killed)
        self.flights = Flights(register, self.guard)
        self.metrics.feed_age.set_function(lambda: self.feed.age / 1000)
        self.metrics.maintained.set_function(lambda: self.feed.maintained / 1000)
        self.metrics.killed.set_function(lambda: self.guard.killed)
        self.journal = Journal(log, self.metrics, settings.limits.disk_reserve_bytes)
        self.watch = Watch(log, self.metrics)
        self.tripwires = Tripwires(log, self.watch.report, settings.listen.proxies)
        self.origins = Origins(log.folder)
        report = self.watch.report
        self.freshness = Freshness(log, self.origins, self.metrics, report)
        self.prompts = Prompts(log.folder.prompts, self.metrics)
        self._log = log
        self._settings = settings
        self._upstreams = {
            name: Upstream(upstream_config(name, model, folder))
            for name, model in settings.models.items()
        }
        self._journey = Journey(
            log.fold,
            self.journal,
            self.flights,
            self._upstreams,
            settings,
            nonces,
            Credentials(log.fold, nonces),
            Buffers(settings.limits.buffered_bytes),
            self.tripwires,
            self.origins,
            self.prompts,
        )
        self._reconcilers = [
            Reconciler(name, model.url, self._upstreams[name], model.meter, log, self.metrics)
            for name, model in settings.models.items()
            if model.meter is not None
        ]
        self._readings = Readings(log, self._reconcilers)
        self._tasks: list[asyncio.Task[None]] = []
        log.sequencer.listeners.append(self._notice)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer health routes here; everything else is a journey."""
        path = scope["path"]
        if path.startswith("/v1/"):
            await self._journey(scope, receive, send)
        elif path == "/metrics" and self._may_measure(scope):
            await _text(send, 200, self.metrics.expose())
        elif path == "/readyz":
            refused = self.available()
            ready = refused is None and not self.flights.draining
            why = b"ready\n" if ready else f"{refused.reason if refused else 'draining'}\n".encode()
            await _text(send, 200 if ready else 503, why)
        elif path == "/healthz":
            await _text(send, 200, b"alive\n")
        else:
            await self._journey(scope, receive, send)

    def available(self) -> Refused | None:
        """Why no access can be had just now, or None."""
        return self.guard.refused() or self.journal.available()

    def _may_measure(self, scope: Scope) -> bool:
        """Volumes are nobody's business but the operator's. A forwarded request is not local."""
        listen = self._settings.listen
        arrival = arrive(scope, listen.proxies)
        forwarded = bool(arrival.header(b"x-forwarded-for")) and not listen.proxies
        return not forwarded and bool(networks_of(arrival.address, listen.metrics))

    async def start(self) -> None:
        """Close what a process before left open; begin what goes by the clock."""
        self._readings.restore()
        orphans = await self.journal.close_orphans()
        if orphans:
            logger.warning("closed accesses that were left open", count=orphans)
        left = self._log.fold.register.state.maintenance - self.journal.now
        self.feed.excuse(max(0, left))
        if self._killed:
            self.guard.keep("the log", "the switch was on, and its file was gone")
        self.guard.watch(self._stop_flights)
        self.watch.start()
        if self._settings.worker.enabled:
            await self.prompts.start()
        self._tasks.append(asyncio.create_task(self._beat()))
        self._tasks.append(asyncio.create_task(self._every(_JUDGE_SECONDS, self._judge)))
        self._tasks.append(asyncio.create_task(self._every(1.0, self._tick)))
        for reconciler in self._reconcilers:
            compare = self._every(reconciler.seconds, partial(self._readings.compare, reconciler))
            self._tasks.append(asyncio.create_task(compare))

    async def stop(self) -> None:
        """Let accesses finish, cut the rest, and close what was begun.

        Where the log has failed nothing may finish: no hold could reach it any more.
        """
        failed = self._log.sequencer.failed.done()
        seconds = 0.0 if failed else self._settings.limits.drain_seconds
        await self.flights.drain(
            seconds, Refused(Reason.LOG_UNAVAILABLE if failed else Reason.DRAINING)
        )
        self.guard.end()
        await self.prompts.stop()
        await self.journal.finish()
        await self.watch.finish()
        await self._readings.keep()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for upstream in self._upstreams.values():
            await upstream.close()

    def _notice(self, news: News) -> None:
        """Durable records: a change of the register is a new judgement of what is in flight."""
        self._readings.follow(news)
        self._follow(news)
        if self.flights:
            now = self.journal.now
            changes = [facts for _, _, facts in news if facts.REGISTERS]
            self._cut(sum([self.flights.follow(facts, now) for facts in changes]))

    def _follow(self, news: News) -> None:
        """What the log says of the guard: the end of the kill switch, and maintenance."""
        for _, leaf, facts in news:
            if isinstance(facts, MaintenanceExtended):
                self.feed.excuse(max(0, facts.until - leaf.time))
        held = bool(self._log.fold.register.holds_on.get(KILL_SWITCH))
        if self._killed and not held:
            self.guard.release()
        self._killed = held

    async def _judge(self) -> None:
        self._cut(await self.flights.sweep(lambda: self.journal.now))

    def _stop_flights(self) -> None:
        self._cut(self.flights.stop())

    def _cut(self, count: int) -> None:
        if count:
            logger.warning("cut accesses in flight", count=count)

    async def _beat(self) -> None:
        """Ask the writer for signs of life, each after the spec's time, whether or not one came."""
        while True:
            self._log.sequencer.beat(self.feed.hear)
            await asyncio.sleep(self.feed.heartbeat_ms / 1000)

    async def _tick(self) -> None:
        """Once a second."""
        await self.journal.tick()
        await self._record_kill()
        await self.freshness.tick(now_ms(), time.monotonic())

    async def _record_kill(self) -> None:
        """Put the kill switch on the record once the log can be written: as a hold, so that the
        register refuses too, and whoever audits the log knows why."""
        log = self._log
        if not self.guard.killed or log.fold.register.holds_on.get(KILL_SWITCH):
            return
        said = switch.read(self.guard.path)
        hold = HoldAdded(os.urandom(16).hex(), KILL_SWITCH, said.reason, said.author)
        await log.sequencer.append(log.sequencer.draft(hold, urgent=True))

    async def _every(self, seconds: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do it now and then every so often; a malfunction ends the process, not just the task."""
        while True:
            try:
                await do()
            except Exception as error:
                self._log.sequencer.fail(error)
                raise
            await asyncio.sleep(seconds)


def upstream_config(name: str, model: Model, folder: Path) -> UpstreamConfig:
    """How to reach a model's server, its key read from a private file."""
    url = urlsplit(model.url)
    if url.scheme not in ("http", "https", "unix"):
        raise ConfigurationError(f"models.{name}.url must be http://, https:// or unix://")
    key = read_private(folder / model.key_file).decode().strip() if model.key_file else ""
    return UpstreamConfig(
        url=model.url,
        key=key,
        connect_timeout=model.connect_seconds,
        first_byte_timeout=model.first_byte_seconds,
        idle_timeout=model.idle_seconds,
        pool_size=model.pool,
    )


async def _text(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
