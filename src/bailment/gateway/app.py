"""The gateway put together: one journey, its upstreams, and what it does by the clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from bailment.access.nonce import Nonces
from bailment.clock import now_ms
from bailment.errors import ConfigurationError
from bailment.gateway.credentials import Credentials
from bailment.gateway.flights import Flights
from bailment.gateway.intake import Receive, Scope, Send
from bailment.gateway.journal import Journal
from bailment.gateway.journey import Journey
from bailment.gateway.meter import Ledger, Meter, read_counters
from bailment.gateway.metrics import Metrics
from bailment.gateway.upstream import Upstream, UpstreamConfig, UpstreamError
from bailment.ledger.records import FindingRaised
from bailment.settings import Meter as MeterSettings
from bailment.settings import Model, Settings
from bailment.store.durable import read_private
from bailment.store.log import Log

logger = structlog.get_logger("bailment.gateway")

#: Every access in flight is judged this often for what only the clock changes.
_JUDGE_SECONDS = 0.25
_MAX_EXPOSITION = 4 * 1024 * 1024


class Gateway:
    """An ASGI application for `/v1/` and the health routes."""

    def __init__(self, log: Log, settings: Settings, nonces: Nonces, folder: Path) -> None:
        self.metrics = Metrics()
        self.flights = Flights(log.fold.register)
        self.journal = Journal(log, self.metrics, settings.limits.disk_reserve_bytes)
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
        )
        self._meters: dict[str, Meter] = {}
        self._tasks: list[asyncio.Task[None]] = []
        log.sequencer.listeners.append(self._notice)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer health routes here; everything else is a journey."""
        path = scope["path"]
        if path.startswith("/v1/"):
            await self._journey(scope, receive, send)
        elif path == "/metrics":
            await _text(send, 200, self.metrics.expose())
        elif path == "/readyz":
            refused = self.journal.available()
            ready = refused is None and not self.flights.draining
            why = b"ready\n" if ready else f"{refused.reason if refused else 'draining'}\n".encode()
            await _text(send, 200 if ready else 503, why)
        elif path == "/healthz":
            await _text(send, 200, b"alive\n")
        else:
            await self._journey(scope, receive, send)

    async def start(self) -> None:
        """Close what a process before left open; begin what goes by the clock."""
        orphans = await self.journal.close_orphans()
        if orphans:
            logger.warning("closed accesses that were left open", count=orphans)
        self._tasks.append(asyncio.create_task(self._every(_JUDGE_SECONDS, self._judge)))
        self._tasks.append(asyncio.create_task(self._every(1.0, self.journal.tick)))
        for name, model in self._settings.models.items():
            if model.meter is not None:
                self._meters[name] = Meter(Ledger(name))
                watch = self._every(model.meter.seconds, self._reader(name, model.meter))
                self._tasks.append(asyncio.create_task(watch))

    async def stop(self) -> None:
        """Let accesses finish, cut the rest, and close what was begun."""
        await self.flights.drain(self._settings.limits.drain_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for upstream in self._upstreams.values():
            await upstream.close()

    def _notice(self, news: list) -> None:  # type: ignore[type-arg]
        """Durable records: a change of the register is a new judgement of what is in flight."""
        for meter in self._meters.values():
            meter.ledger.follow(news)
        if self.flights and any(facts.REGISTERS for _, _, facts in news):
            self._cut(self.flights.judge(now_ms()))

    async def _judge(self) -> None:
        self._cut(self.flights.judge(now_ms()))

    def _cut(self, count: int) -> None:
        if count:
            logger.warning("cut accesses in flight", count=count)

    async def _every(self, seconds: float, do: Callable[[], object]) -> None:
        """Do it now and then every so often; a malfunction ends the process, not just the task."""
        while True:
            try:
                await do()  # type: ignore[misc]
            except Exception as error:
                self._log.sequencer.fail(error)
                raise
            await asyncio.sleep(seconds)

    def _reader(self, name: str, settings: MeterSettings) -> Callable[[], object]:
        async def compare() -> None:
            try:
                response = await self._upstreams[name].send("GET", settings.path, [], b"")
                exposition = await response.read(_MAX_EXPOSITION)
            except UpstreamError as error:
                logger.warning("the model's counters cannot be read", model=name, why=str(error))
                return
            text = exposition.decode("utf-8", "replace")
            reading = read_counters(text, settings.input, settings.output, now_ms())
            if response.status != 200 or reading is None:
                logger.warning("the model does not expose the counters", model=name)
                return
            excess = self._meters[name].compare(reading)
            if excess is not None:
                await self._raise(
                    FindingRaised(
                        os.urandom(16).hex(),
                        "around-the-gateway",
                        f"the server of {name} served {excess.input} input and {excess.output} "
                        "output tokens that no access in the log explains: somebody called it "
                        "around the gateway; rotate its key and see who can reach its address",
                        excess.since,
                        excess.until,
                        {"input_tokens": excess.input, "output_tokens": excess.output},
                        name,
                    )
                )

        return compare

    async def _raise(self, finding: FindingRaised) -> None:
        self.metrics.findings.labels(finding.kind).inc()
        logger.warning("finding", kind=finding.kind, sentence=finding.sentence)
        await self._log.sequencer.append(self._log.sequencer.draft(finding))


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
