"""Asks a model's server for its own counters and raises a finding when they exceed the log, or
when the comparison cannot be made."""

from __future__ import annotations

import os
from hashlib import sha256

import structlog

from bailment.clock import now_ms
from bailment.gateway.meter import Excess, Ledger, Meter, Reset, read_counters
from bailment.gateway.metrics import Metrics
from bailment.gateway.upstream import Upstream, UpstreamError
from bailment.ledger.counters import Compared, Reading
from bailment.ledger.detection_records import FindingRaised
from bailment.settings import Meter as MeterSettings
from bailment.store.log import Log
from bailment.store.sequencer import News

logger = structlog.get_logger("bailment.reconciler")

_MAX_EXPOSITION = 4 * 1024 * 1024
#: Counters that could not be read for so long (ms) are a finding, but not more often than that.
_BLIND, _AGAIN = 60_000, 3_600_000


class Reconciler:
    """Reconciles one model's server with the log."""

    def __init__(
        self,
        model: str,
        url: str,
        upstream: Upstream,
        settings: MeterSettings,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self.model = model
        self._upstream = upstream
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._meter = Meter(Ledger(model))
        self._read = 0  # when the counters were read last, or first asked for
        self._told: int | None = None  # when it was last found that they cannot be read

        where = (url, settings.path, *settings.input, "", *settings.output)
        self._source = sha256("\n".join(where).encode()).hexdigest()

    @property
    def seconds(self) -> float:
        """How often to compare."""
        return self._settings.seconds

    def follow(self, news: News) -> None:
        """Take note of what has become durable."""
        self._meter.ledger.follow(news)

    def state(self) -> Compared | None:
        """Where the comparison stands; None before the first reading."""
        return self._meter.state(self._source)

    def resume(self, compared: Compared) -> bool:
        """Go on from where it stood, if that was with the same counters of the same server."""
        if compared.source == self._source:
            self._meter.resume(compared)
        return compared.source == self._source

    async def compare(self) -> bool:
        """Read the server's counters once, and raise a finding for what they have too much.

        Whether it is compared from here on, so that what was found is not found again.
        """
        base = self._meter.base
        reading = await self._reading()
        now = now_ms()
        self._read = self._read or now
        if reading is None:
            told = self._told is not None and now - self._told < _AGAIN
            if now - self._read >= _BLIND and not told:
                self._told = now
                await self._find_unreadable(now)
            return False
        self._read = reading.time
        found = self._meter.compare(reading)
        if isinstance(found, Excess):
            await self._find_excess(found)
        elif found is not None:
            await self._find_reset(found)
        return self._meter.base is not base

    async def _reading(self) -> Reading | None:
        settings = self._settings
        try:
            response = await self._upstream.send("GET", settings.path, [], b"")
            exposition = await response.read(_MAX_EXPOSITION)
        except UpstreamError as error:
            logger.warning("cannot read the model's counters", model=self.model, why=str(error))
            return None
        text = exposition.decode("utf-8", "replace")
        reading = read_counters(text, settings.input, settings.output, now_ms())
        if response.status != 200 or reading is None:
            logger.warning("the model does not expose the counters", model=self.model)
            return None
        return reading

    async def _find_excess(self, excess: Excess) -> None:
        await self._raise(
            "around-the-gateway",
            f"the server of {self.model} served {excess.input} input and {excess.output} output "
            "tokens that no access in the log explains: somebody called it around the gateway; "
            "rotate its key and see who can reach its address",
            excess.since,
            excess.until,
            input_tokens=excess.input,
            output_tokens=excess.output,
        )

    async def _find_reset(self, reset: Reset) -> None:
        await self._raise(
            "counters-reset",
            f"the counters of the server of {self.model} went backwards, so it was started "
            "again: what it served between the last comparison and then cannot be held against "
            "the log; see who started it and why",
            reset.since,
            reset.until,
        )

    async def _find_unreadable(self, now: int) -> None:
        await self._raise(
            "counters-unreadable",
            f"the counters of the server of {self.model} cannot be read, so that a call around "
            "the gateway would not be seen: see that the server runs and that the names in "
            "its `meter` settings are those which it exposes",
            self._read,
            now,
        )

    async def _raise(
        self, kind: str, sentence: str, since: int, until: int, **numbers: int
    ) -> None:
        finding = FindingRaised(
            os.urandom(16).hex(),
            kind,
            sentence,
            since,
            until,
            numbers,
            self.model,
            severity="high",
            response="person",
        )
        self._metrics.findings.labels(finding.kind).inc()
        logger.warning("finding", kind=finding.kind, sentence=finding.sentence)
        await self._log.sequencer.append(self._log.sequencer.draft(finding))
