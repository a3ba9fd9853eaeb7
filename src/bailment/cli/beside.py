"""What runs beside the servers for as long as they do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from functools import partial
from typing import Any

import structlog

from bailment.store.sequencer import Sequencer

logger = structlog.get_logger("bailment.serve")


@contextlib.asynccontextmanager
async def beside(
    sequencer: Sequencer, runs: Iterable[Coroutine[Any, Any, None]]
) -> AsyncIterator[None]:
    """Run them until the end of the block; a malfunction ends the process, not just the task."""
    tasks = [asyncio.create_task(one) for one in runs]
    for task in tasks:
        task.add_done_callback(partial(_ended, sequencer))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _ended(sequencer: Sequencer, task: asyncio.Task[None]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    logger.error("a task stopped", why=str(error)[:300], exc_info=error)
    sequencer.fail(error)
