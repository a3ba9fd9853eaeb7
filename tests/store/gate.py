"""A staging table whose commits wait for the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

from bailment.store.log import Log
from bailment.store.sequencer import Draft
from bailment.store.staging import Batch, Staging


class Gate:
    """Holds up every commit while it is shut; `batches` tells how many records each had."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self._open = threading.Event()
        self._open.set()
        gate = self

        class GatedStaging(Staging):
            def commit(self, batch: Batch) -> None:
                assert gate._open.wait(30)
                super().commit(batch)
                gate.batches.append(batch.count)

        self.staging = GatedStaging

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()


async def queue(log: Log, *drafts: Draft) -> list[asyncio.Future[Any]]:
    """Append without waiting: each draft stands in the queue when this returns."""
    waiting: list[Awaitable[Any]] = [log.sequencer.append(draft) for draft in drafts]
    futures = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.sleep(0)
    return futures
