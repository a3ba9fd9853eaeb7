"""Keeps the tables of networks fresh: takes new ones as they come, and says when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bailment.clock import now_ms
from bailment.detect.event import Finding
from bailment.gateway.metrics import Metrics
from bailment.store.durable import Files
from bailment.store.log import Log
from bailment.store.tables import Origins

logger = structlog.get_logger("bailment.networks")

KIND = "tables-old"
_DAY_MS = 86_400_000
#: Seconds between looks; the first of them is what whoever starts with old tables has to bring new
#: ones before that is a finding.
_HOUR = 3_600.0


class Freshness:
    """Of one gateway's tables. That they are old is told once a day, whoever restarts."""

    def __init__(
        self,
        log: Log,
        origins: Origins,
        metrics: Metrics,
        report: Callable[[Finding], None],
    ) -> None:
        self._log = log
        self._origins = origins
        self._due = 0.0
        self._path = log.folder.root / "networks.told"
        self._told = self._load()
        metrics.tables_age.set_function(lambda: (now_ms() - origins.tables.built) / 1000)
        self._report = report

    async def tick(self, now: int, running: float) -> None:
        """Once a second; `now` in ms, `running` in seconds of a clock that nobody sets."""
        if self._origins.changed() and await asyncio.to_thread(self._origins.refresh):
            days = self._origins.tables.age_days(now)
            logger.info("took new tables of networks", own=self._origins.own, days_old=days)
        self._due = self._due or running + _HOUR
        if running < self._due:
            return
        self._due = running + _HOUR
        terms = self._log.fold.register.conditions.detection
        age = now - self._origins.tables.built
        off = terms.rule(KIND).response == "off"
        if age <= terms.tables_ms or off or self._told > now - _DAY_MS:
            return
        self._told = now
        try:
            await asyncio.to_thread(Files().write, self._path, str(now).encode())
        except OSError as error:
            logger.warning("a restart will tell again of old tables", why=str(error))
        self._tell(now, age // _DAY_MS, terms.tables_ms // _DAY_MS)

    def _tell(self, now: int, days: int, allowed: int) -> None:
        sentence = (
            f"the tables of networks are {days} days old, and the spec allows {allowed}: "
            "addresses that changed hands since are taken for what they were; "
            "`bailment network refresh` brings new ones"
        )
        numbers = {"days": days, "allowed": allowed}
        built = self._origins.tables.built
        self._report(Finding(KIND, "", sentence, built, now, (), "low", numbers))

    def _load(self) -> int:
        """When it was told last, ms; 0 if that is not known."""
        try:
            text = self._path.read_text()
        except OSError:
            return 0
        return int(text) if text.isascii() and text.isdigit() else 0
