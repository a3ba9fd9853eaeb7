"""What the gateway counts for `/metrics`. Labels are closed lists, so cardinality is bounded."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """One registry for each gateway, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.accesses = counter("bailment_accesses", "Accesses by how they ended.", ["outcome"])
        self.refusals = counter("bailment_refusals", "Refusals by reason.", ["reason"])
        self.open = gauge("bailment_accesses_open", "Accesses open now.")
        self.tokens = counter("bailment_model_tokens", "Model tokens by direction.", ["direction"])
        self.entries = gauge("bailment_log_entries", "Entries in the durable log.")
        self.findings = counter("bailment_findings", "Findings by kind.", ["kind"])
        self.tables_age = gauge(
            "bailment_network_tables_age_seconds",
            "Since the date of the oldest list in the tables of networks.",
        )
        self.prompts = counter(
            "bailment_prompts", "Prompts for the worker by what became of them.", ["outcome"]
        )
        self.feed_age = gauge("bailment_feed_age_seconds", "Since the log's writer was last heard.")
        self.killed = gauge("bailment_kill_switch", "Whether the kill switch is on.")
        self.maintained = gauge(
            "bailment_maintenance_seconds",
            "For how long silence of the log's writer is still excused.",
        )
        self.worker_up = gauge("bailment_worker_up", "Whether the worker runs and has read.")
        self.worker_behind = gauge(
            "bailment_worker_lag_entries", "Entries that the worker has not read yet."
        )
        self.worker_seconds = gauge(
            "bailment_worker_lag_seconds",
            "For how long the worker has not been at the end of the log.",
        )
        self.worker_restarts = gauge(
            "bailment_worker_restarts", "How often the worker ended and was started again."
        )
        self.input_tokens = self.tokens.labels("input")
        self.output_tokens = self.tokens.labels("output")

    def expose(self) -> bytes:
        """The registry in the Prometheus text format."""
        return generate_latest(self.registry)
