"""What the gateway counts for `/metrics`. Labels are closed lists, so cardinality is bounded."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """One registry for each gateway, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accesses = Counter(
            "bailment_accesses", "Accesses by how they ended.", ["outcome"], registry=self.registry
        )
        self.refusals = Counter(
            "bailment_refusals", "Refusals by reason.", ["reason"], registry=self.registry
        )
        self.open = Gauge("bailment_accesses_open", "Accesses open now.", registry=self.registry)
        self.tokens = Counter(
            "bailment_model_tokens",
            "Model tokens by direction.",
            ["direction"],
            registry=self.registry,
        )
        self.entries = Gauge(
            "bailment_log_entries", "Entries in the durable log.", registry=self.registry
        )
        self.findings = Counter(
            "bailment_findings", "Findings by kind.", ["kind"], registry=self.registry
        )
        self.tables_age = Gauge(
            "bailment_network_tables_age_seconds",
            "Since the date of the oldest list in the tables of networks.",
            registry=self.registry,
        )
        self.prompts = Counter(
            "bailment_prompts",
            "Prompts for the worker by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.feed_age = Gauge(
            "bailment_feed_age_seconds",
            "Since the log's writer was last heard.",
            registry=self.registry,
        )
        self.killed = Gauge(
            "bailment_kill_switch", "Whether the kill switch is on.", registry=self.registry
        )
        self.maintained = Gauge(
            "bailment_maintenance_seconds",
            "For how long silence of the log's writer is still excused.",
            registry=self.registry,
        )
        self.worker_up = Gauge(
            "bailment_worker_up", "Whether the worker runs and has read.", registry=self.registry
        )
        self.worker_behind = Gauge(
            "bailment_worker_lag_entries",
            "Entries that the worker has not read yet.",
            registry=self.registry,
        )
        self.worker_seconds = Gauge(
            "bailment_worker_lag_seconds",
            "For how long the worker has not been at the end of the log.",
            registry=self.registry,
        )
        self.worker_restarts = Gauge(
            "bailment_worker_restarts",
            "How often the worker ended and was started again.",
            registry=self.registry,
        )
        self.input_tokens = self.tokens.labels("input")
        self.output_tokens = self.tokens.labels("output")

    def expose(self) -> bytes:
        """The registry in the Prometheus text format."""
        return generate_latest(self.registry)
