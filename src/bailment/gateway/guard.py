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

#: What the maker of the file is left for making it, once the signal has come, s.
_MOMENT = 0.1
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
        #: The file and `killed` change together, whichever thread does it.
        self._changing = threading.Lock()
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

    def keep(self, author: str, reason: str) -> None:
        """See to it that the switch that is on outlives this process."""
        if why := switch.turn_on(self.path, author, reason):
            logger.error("the kill switch will not outlive this process", why=why)

    def release(self) -> None:
        """Turn the switch off; it stays on where its file does."""
        with self._changing:
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
        try:
            self._look()
        except BaseException:
            self.killed = True  # nobody looks any more
            raise

    def _look(self) -> None:
        silent = False
        while not self._ending.is_set():
            told = signal.sigtimedwait({switch.SIGNAL}, self.feed.heartbeat_ms / 4000)
            # After SIGCONT CPython may return a struct that nobody filled in.
            signalled = told is not None and told.si_signo == switch.SIGNAL
            self._look_at_switch(signalled)
            if self.killed or self.feed.lapsed(self.feed.lapses):
                self._call()
            if (self.feed.refused() is not None) != silent:
                silent = not silent
                logger.warning("the log is silent" if silent else "the log is heard again")
            if told is not None and signalled:
                # Whoever sent it may be making the file with more to say; nothing waits for it.
                self._ending.wait(_MOMENT)
                self.keep(f"signal from pid {told.si_pid}", "SIGUSR1")

    def _look_at_switch(self, signalled: bool) -> None:
        with self._changing:
            found = not self.killed and (signalled or switch.is_on(self.path))
            self.killed = self.killed or found
        if found:
            logger.warning("the kill switch is on")

    def _call(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._cut)
        except RuntimeError:  # the loop has closed: nothing is open any more
            self._ending.set()
