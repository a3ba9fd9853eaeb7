"""The issuer's sinks, put together: what the control socket is asked of them, and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import structlog
from prometheus_client.core import GaugeMetricFamily

from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied
from bailment.control.receivers import sender_of
from bailment.control.requests import Act, Line
from bailment.control.sending import Sender, Unfit
from bailment.control.sinks import Following
from bailment.detect.ocsf_shapes import Class
from bailment.errors import ConfigurationError
from bailment.store.durable import Files
from bailment.store.sequencer import News
from bailment.store.sinks import Form, Kind, Progress, Sink, Sinks
from bailment.store.streams import webhook_key

logger = structlog.get_logger("bailment.sinks")

#: More would each read the log on their own.
_MOST = 32
#: So many that fail are named in a line.
_NAMED = 3


class AddSink(Act, frozen=True, tag="sink-add"):
    """Send records there, from entry `since` on, or from the next. `ca` is PEM in its lines."""

    sink: Line
    kind: Kind
    to: Line
    classes: tuple[Class, ...]
    form: Form = "ocsf"
    names: bool = False
    header: Line = "authorization"
    secret: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    ca: Annotated[tuple[str, ...], msgspec.Meta(max_length=4000)] = ()
    since: int | None = None


class ChangeSink(Act, frozen=True, tag="sink-change"):
    """Try one with a test event, let one rest, go on with it, or forget it."""

    sink: Line
    what: Literal["test", "pause", "resume", "remove"]


class ListSinks(Act, frozen=True, tag="sink-list"):
    """All, and how they stand."""


SinkActs = AddSink | ChangeSink | ListSinks


class SinkTasks:
    """A task for each sink, as long as the process lives."""

    def __init__(self, actions: Actions) -> None:
        folder, files = actions.log.folder, Files()
        self._actions = actions
        self._sinks = Sinks(folder, files)
        self._key = webhook_key(folder, files)
        self._running: dict[str, tuple[Following, asyncio.Task[None]]] = {}
        self._changing = asyncio.Lock()
        self._over = asyncio.Event()
        self._durable = actions.log.fold.size
        actions.log.sequencer.listeners.append(self._notice)

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            for sink, progress in await self._sinks.all():
                self._begin(sink, progress)
            await self._over.wait()
        finally:
            for name in tuple(self._running):
                await self._end(name)

    def close(self) -> None:
        """Nothing runs any more."""
        self._sinks.close()

    def standing(self) -> list[dict[str, Any]]:
        """Every sink and how it stands; no secret is among it."""
        return [_standing(one) for one, _ in self._running.values()]

    def summary(self) -> str:
        """How they stand, in a line; empty where there is none."""
        told = [one for one, _ in self._running.values()]
        ill = [one.sink.name for one in told if one.progress.error and not one.progress.paused]
        rest = sum(one.progress.paused for one in told)
        behind = max((one.behind for one in told), default=0)
        line = f"{len(told)} ({len(ill)} failing, {rest} paused), at most {behind} entries behind"
        names = f"{', '.join(ill[:_NAMED])}{' and more' if len(ill) > _NAMED else ''}"
        line += f"; what to do about {names}: bailment doctor" if ill else ""
        return line if told else ""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For Prometheus: how far behind each is, in entries and seconds, what it was sent, and
        whether it takes that."""
        behind = GaugeMetricFamily(
            "bailment_sink_behind", "Entries of the log not passed yet.", labels=["sink"]
        )
        oldest = GaugeMetricFamily(
            "bailment_sink_oldest_seconds", "How long the oldest event waits.", labels=["sink"]
        )
        sent = GaugeMetricFamily("bailment_sink_sent", "Events sent.", labels=["sink"])
        failing = GaugeMetricFamily(
            "bailment_sink_failing", "Whether it takes nothing, or stopped.", labels=["sink"]
        )
        now = now_ms()
        for name, (one, _) in self._running.items():
            behind.add_metric([name], one.behind)
            waits = (now - one.oldest) / 1000 if one.oldest else 0.0
            oldest.add_metric([name], max(0.0, waits))
            sent.add_metric([name], one.progress.sent)
            failing.add_metric([name], bool(one.progress.error))
        yield from (behind, oldest, sent, failing)

    async def perform(self, act: SinkActs) -> dict[str, Any]:
        """Do it; what there is to say about it afterwards."""
        async with self._changing:
            match act:
                case AddSink():
                    return await self._add(act)
                case ChangeSink():
                    return await self._change(act)
                case ListSinks():
                    return {"sinks": self.standing()}

    async def _add(self, act: AddSink) -> dict[str, Any]:
        if act.sink in self._running:
            raise _denied(f"there is a sink `{act.sink}`: remove it first")
        if len(self._running) >= _MOST:
            raise _denied(f"there are {_MOST} sinks, which is the most")
        size = self._durable
        since = size if act.since is None else act.since
        if not 0 <= since <= size:
            raise _denied(f"the log has {size} entries, and `{since}` is none of them")
        ca = "\n".join(act.ca)
        told = (act.sink, act.kind, act.to, act.classes, act.form, act.names, act.header, ca)
        sink = Sink(*told, bool(act.secret))
        try:
            sender_of(sink, act.secret, self._key)
        except ConfigurationError as error:
            raise _denied(str(error)) from None
        await self._sinks.add(sink, Progress(since), act.secret)
        return _standing(self._begin(sink, Progress(since)))

    async def _change(self, act: ChangeSink) -> dict[str, Any]:
        if act.sink not in self._running:
            raise _denied(f"there is no sink `{act.sink}`")
        following, task = self._running[act.sink]
        again = task.done() or following.unfit or bool(following.progress.error)
        if act.what in ("test", "resume") and again:  # with its secret as it is now, for instance
            await self._end(act.sink)
            if following.unfit:
                following.progress.well()
            following = self._begin(following.sink, following.progress)
        match act.what:
            case "remove":
                await self._end(act.sink)
                await self._sinks.remove(act.sink)
                return {}
            case "test":
                if why := await following.try_now(test=True):
                    raise _denied(f"`{act.sink}` did not take it: {why}")
            case "pause" | "resume":
                following.progress.paused = act.what == "pause"
                await self._sinks.keep(act.sink, following.progress)
                await following.try_now(test=False)
        return _standing(following)

    def _begin(self, sink: Sink, progress: Progress) -> Following:
        sender: Sender
        if progress.stopped:
            progress.well()
        try:
            sender = sender_of(sink, self._sinks.secret(sink), self._key)
        except ConfigurationError as error:  # its secret's file, for instance; the others go on
            logger.error("a sink cannot be sent anything", sink=sink.name, why=str(error))
            sender, progress.error = Unfit(str(error)), str(error)[:300]
            progress.since = progress.since or now_ms()
        following = Following(
            sink, progress, sender, self._sinks, self._actions, lambda: self._durable
        )
        task = asyncio.create_task(self._follow(following))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._running[sink.name] = (following, task)
        return following

    async def _follow(self, following: Following) -> None:
        """A malfunction stops this sink alone, and is told, with it, until it is begun anew."""
        name, progress = following.sink.name, following.progress
        try:
            await following.run()
        except Exception as error:
            logger.exception("a sink stopped", sink=name)
            progress.failed(f"{type(error).__name__}: {error}", now_ms())
            progress.stopped = True
            await self._sinks.keep(name, progress)
            raise

    async def _end(self, name: str) -> None:
        _, task = self._running.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _notice(self, news: News) -> None:
        self._durable = news[-1][0] + 1
        for following, _ in self._running.values():
            following.notice(news)


def _standing(one: Following) -> dict[str, Any]:
    sink = msgspec.structs.asdict(one.sink)
    told = sink | {"ca": bool(sink["ca"])} | msgspec.structs.asdict(one.progress)
    return told | {"behind": one.behind, "oldest": one.oldest}


def _denied(why: str) -> Denied:
    return Denied(Refused(Reason.CHAIN_BROKEN, why))
