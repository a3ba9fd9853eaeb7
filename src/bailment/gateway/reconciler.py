"""Asks a model's server for its own counters and raises a finding when they exceed the log."""

from __future__ import annotations

import os

import structlog

from bailment.clock import now_ms
from bailment.gateway.meter import Excess, Ledger, Meter, read_counters
from bailment.gateway.metrics import Metrics
from bailment.gateway.upstream import Upstream, UpstreamError
from bailment.ledger.records import FindingRaised
from bailment.settings import Meter as MeterSettings
from bailment.store.log import Log
from bailment.store.sequencer import News

logger = structlog.get_logger("bailment.reconciler")

_MAX_EXPOSITION = 4 * 1024 * 1024


class Reconciler:
    """Reconciles one model's server with the log."""

    def __init__(
        self, model: str, upstream: Upstream, settings: MeterSettings, log: Log, metrics: Metrics
    ) -> None:
        self._model = model
        self._upstream = upstream
        self._settings = settings
        self._log = log
        self._metrics = metrics
        self._meter = Meter(Ledger(model))

    @property
    def seconds(self) -> float:
        """How often to compare."""
        return self._settings.seconds

    def follow(self, news: News) -> None:
        """Take note of what has become durable."""
        self._meter.ledger.follow(news)

    async def compare(self) -> None:
        """Read the server's counters once, and raise a finding for what they have too much."""
        settings = self._settings
        try:
            response = await self._upstream.send("GET", settings.path, [], b"")
            exposition = await response.read(_MAX_EXPOSITION)
        except UpstreamError as error:
            logger.warning("cannot read the model's counters", model=self._model, why=str(error))
            return
        text = exposition.decode("utf-8", "replace")
        reading = read_counters(text, settings.input, settings.output, now_ms())
        if response.status != 200 or reading is None:
            logger.warning("the model does not expose the counters", model=self._model)
            return
        excess = self._meter.compare(reading)
        if excess is not None:
            await self._raise(excess)

    async def _raise(self, excess: Excess) -> None:
        finding = FindingRaised(
            os.urandom(16).hex(),
            "around-the-gateway",
            f"the server of {self._model} served {excess.input} input and {excess.output} output "
            "tokens that no access in the log explains: somebody called it around the gateway; "
            "rotate its key and see who can reach its address",
            excess.since,
            excess.until,
            {"input_tokens": excess.input, "output_tokens": excess.output},
            self._model,
        )
        self._metrics.findings.labels(finding.kind).inc()
        logger.warning("finding", kind=finding.kind, sentence=finding.sentence)
        await self._log.sequencer.append(self._log.sequencer.draft(finding))
