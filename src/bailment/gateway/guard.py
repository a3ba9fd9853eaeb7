"""The guard: what stops this gateway although no record says so.

Two things do: silence of the feed, and the kill switch. Both are asked by the request itself and
before each part of an answer, so that no timer has to run in time. A thread of its own looks at
both besides, for streams through which nothing flows, and for the switch while the event loop
stands still.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from bailment.access.reasons import Reason, Refused
from bailment.errors import BailmentError
from bailment.gateway.feed import Feed
from bailment.store import switch

logger = structlog.get_logger("bailment.guard")

#: What the guard refuses for; it may be the log that stands still.
UNRECORDED = frozenset((Reason.KILL_SWITCH, Reason.FEED_STALE))
_KILLED = Refused(Reason.KILL_SWITCH)
_STALE = Refused(Reason.FEED_STALE)


class Guard:
    """`killed` is whether the switch is on; from any thread, and never off but by `release`."""

    def __init__(self, feed: Feed, path: Path, *, killed: bool = False) -> None:
        self.feed = feed
        self.path = path
        self.killed = killed or switch.is_on(path)
        self._loop = asyncio.get_running_loop()
        self._cut: Callable[[], None] = lambda: None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def refused(self) -> Refused | None:
        """Why nothing new may begin, or None."""
        return _KILLED if self.killed else self.feed.refused()

    def stopped(self, lapses: int) -> Refused | None:
        """Why what began when the feed had lapsed so often may not go on, or None."""
        if self.killed:
            return _KILLED
        return _STALE if self.feed.lapsed(lapses) else None

    def kill(self, author: str, reason: str) -> None:
        """Turn the switch on, from any thread; the file follows where it can be made."""
        self.killed = True
        if why := switch.turn_on(self.path, author, reason):
            logger.error("the kill switch will not outlive this process", why=why)

    def release(self) -> None:
        """Turn the switch off; it stays on where its file does."""
        try:
            switch.turn_off(self.path)
        except BailmentError as error:
            logger.error("the kill switch stays on", why=str(error))
            return
        self.killed = False

    def watch(self, cut: Callable[[], None]) -> None:
        """Begin to look; `cut` is called on the event loop when something open may not go on."""
        self._cut = cut
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        silent = killed = False
        while not self._ending.is_set():
            beat = self.feed.heartbeat_ms / 1000
            told = signal.sigtimedwait({switch.SIGNAL}, beat / 4)
            # After SIGCONT CPython may return a struct that nobody filled in.
            if told is not None and told.si_signo == switch.SIGNAL and not self.killed:
                self.kill(f"signal from pid {told.si_pid}", "SIGUSR1")
            self.killed = self.killed or switch.is_on(self.path)
            stale, lapsed = self.feed.refused() is not None, self.feed.lapsed(self.feed.lapses)
            if stale != silent:
                silent = stale
                logger.warning("the feed is silent" if stale else "the feed is back")
            if self.killed and not killed:
                logger.warning("the kill switch is on")
            killed = self.killed
            if killed or lapsed:
                self._call()

    def _call(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._cut)
        except RuntimeError:  # the loop has closed: nothing is open any more
            self._ending.set()
