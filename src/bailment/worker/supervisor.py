"""Starts the worker beside the process that serves, and again when it ends. Nothing that it does,
or that becomes of it, is waited for by an access."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from bailment.ledger.detection_records import FindingRaised
from bailment.settings import Worker as WorkerSettings
from bailment.store.log import Log
from bailment.worker.report import Report

logger = structlog.get_logger("bailment.worker")

#: Of a worker that ended: the first pause before the next, twice as long each time, seconds.
FIRST_PAUSE = 0.5
#: Who ended so often in a row is a finding, and is started only so often from then on, seconds.
IN_A_ROW, LONG_PAUSE = 5, 900.0
#: Who ran for so long before it ended begins a new row; who says nothing for so long hangs.
HEALTHY, SILENT = 60.0, 120.0
#: The status of one that could not be started, as shells have it.
NOT_STARTED = 127
#: What the worker's finding is called, as that of any detector that fails.
KIND = "detector-failed"


class Supervisor:
    """Of one worker. `command` is what runs it; the log's size at the start is appended."""

    def __init__(
        self,
        log: Log,
        settings: WorkerSettings,
        command: Sequence[str] = (),
        *,
        silent: float = SILENT,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._log = log
        module = ("-m", "bailment.cli.process", "worker", "-d", str(log.folder.root.absolute()))
        own = (sys.executable, "-P", *module, str(settings.memory_bytes), str(log.fold.size))
        self._command = command or own
        self._silent, self._pause = silent, first_pause
        self._process: asyncio.subprocess.Process | None = None
        self.report = Report(0)
        self.restarts = 0
        self._in_a_row = 0
        self._level = time.monotonic()

    # How it stands

    @property
    def state(self) -> str:
        """`running`, `starting` (again), or `failed`: it ended again and again."""
        if self._in_a_row >= IN_A_ROW:
            return "failed"
        return "running" if self._process is not None and self.report.position else "starting"

    @property
    def behind(self) -> int:
        """How many entries it has not read yet, as far as it has said."""
        return max(0, self._log.fold.size - self.report.position)

    @property
    def seconds(self) -> float:
        """For how long it has not been at the end of the log."""
        return time.monotonic() - self._level if self.behind else 0.0

    def status(self) -> dict[str, Any]:
        """What `bailment status` says of it."""
        pid = self._process.pid if self._process is not None else 0
        told = msgspec.structs.asdict(self.report)
        return {
            "state": self.state,
            "pid": pid,
            "behind": self.behind,
            "seconds": round(self.seconds, 1),
            "restarts": self.restarts,
            **told,
        }

    # Running

    async def run(self) -> None:
        """Keep one running until cancelled."""
        try:
            while True:
                status = await self._once()
                self._in_a_row += 1
                self.restarts += 1
                logger.warning("the worker ended", status=status, in_a_row=self._in_a_row)
                if self._in_a_row == IN_A_ROW:
                    await self._tell(status)
                pause = self._pause * 2 ** (self._in_a_row - 1)
                await asyncio.sleep(LONG_PAUSE if self._in_a_row >= IN_A_ROW else pause)
        finally:
            self._kill()

    async def _once(self) -> int:
        """Start one, and listen to it until it has ended; its status."""
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe
            )
        except OSError as error:  # no memory, or too many processes: it may pass
            logger.warning("the worker cannot be started", why=str(error))
            return NOT_STARTED
        began, said = time.monotonic(), self._process.stdout
        try:
            while said and (line := await self._line(said)):
                self.report = msgspec.json.decode(line, type=Report)
                now = time.monotonic()
                self._level = self._level if self.behind else now
                self._in_a_row = self._in_a_row if now - began < HEALTHY else 0
        except TimeoutError:
            logger.warning("the worker hangs, and is ended")
        except ValueError as error:  # which msgspec's are too
            logger.warning("the worker says what is no report, and is ended", why=str(error))
        finally:
            self._kill()
            status = await self._process.wait()  # its pipes are closed with it, before the loop is
        self._process = None
        return status

    async def _line(self, said: asyncio.StreamReader) -> bytes:
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with a line.
        async with asyncio.timeout(self._silent):
            return await said.readline()

    def _kill(self) -> None:
        """What it knows is kept before it says anything, so there is nothing to wait for."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _tell(self, status: int) -> None:
        sequencer = self._log.sequencer
        sentence = (
            f"the worker, in whose process detectors run, ended {IN_A_ROW} times in a row, last "
            f"with status {status}: what only they see is not seen; find out why in what the "
            f"issuer wrote to its standard error. It is tried again every {LONG_PAUSE / 60:.0f} min"
        )
        finding = FindingRaised(
            os.urandom(16).hex(),
            KIND,
            sentence,
            sequencer.time,
            sequencer.time,
            severity="high",
            response=self._log.fold.register.conditions.detection.rule(KIND).response,
        )
        await sequencer.append(sequencer.draft(finding))
