"""Looks for use off purpose: takes prompts from the gateway, and keeps what they mean in numbers.

A thread of its own beside the worker's, since a vector takes as long as hundreds of records. What
it knows is kept, sealed, before anything is told of it, so that a restart says nothing twice. From
the log it knows what people made of its findings, and who was erased.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import structlog

from bailment.canonical import encode
from bailment.clock import now_ms
from bailment.detect import drift
from bailment.detect.drift import Prompt, Scope, State, pack
from bailment.detect.event import Finding
from bailment.detect.grouping import Counts, Grouping, Recorded, finding_of
from bailment.detect.prompt import MAX_LINE, decode
from bailment.errors import FormatError, VerificationError
from bailment.ledger.detection_records import FindingJudged, FindingRaised
from bailment.ledger.records import PersonErased, decode_facts
from bailment.spec.detection import DetectionTerms
from bailment.store.folder import Folder
from bailment.store.secrets import load_kek
from bailment.worker.embedding import Embedder, load_embedder
from bailment.worker.following import Following
from bailment.worker.vectors import Row, Vectors, devices_of

logger = structlog.get_logger("bailment.worker")

#: Seconds between two attempts to be handed prompts, and between two writes of what is known.
_AGAIN, _KEEP = 1.0, 10.0
#: What is read of the log.
_HEARD = (FindingJudged, PersonErased)
#: The row of what was told, which is nobody's vectors.
_TOLD = " told"


class _Told(msgspec.Struct):
    """`position` entries of the log were looked through; -1 where none was yet."""

    counts: Counts
    pending: list[tuple[str, bytes]]
    position: int = -1


class Drifting:
    """Of one issuer. `terms` are those in force, `tell` hands a record in and says whether it
    arrived."""

    def __init__(
        self,
        folder: Folder,
        tell: Callable[[Recorded], bool],
        terms: Callable[[], DetectionTerms],
        embedder: Embedder | None = None,
    ) -> None:
        self._folder, self._tell, self._terms = folder, tell, terms
        self._embedder = embedder or load_embedder()
        self._store = Vectors(folder.vectors, load_kek(folder))
        self._following = Following(folder)
        self._position = -1
        self.state = State()
        self._kept: set[str] = set()
        self._changed: set[str] = set()
        self._gone: set[str] = set()
        self._grouping = Grouping(terms())
        self._pending: list[Recorded] = []
        self._load()
        if self._position < 0:
            self._position = self._following.end()
        self._stop = threading.Event()
        self._kept_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def start(self) -> None:
        """Begin; what ends it is logged and told, and the worker goes on."""
        self._thread.start()

    def finish(self) -> None:
        """End, and keep what is known."""
        self._stop.set()
        self._thread.join()
        self._following.close()
        self._store.close()

    def take(self, line: bytes) -> None:
        """Judge one prompt. A line that is none is logged; no text makes this fail."""
        try:
            asked = decode(line)
        except FormatError as error:
            logger.warning("no prompt", why=str(error))
            return
        terms = self._terms()
        rule = terms.rule(drift.KIND)
        if rule.response == "off":
            return
        prompt = Prompt(
            asked.index,
            asked.time,
            asked.recipient,
            asked.device,
            asked.purpose,
            # Vectors of two embedders are not alike, and never in one reference.
            f"{asked.model}/{self._embedder.name}",
            pack(self._embedder.embed(asked.text)),
        )
        kept = msgspec.structs.replace(rule, window_ms=min(rule.window_ms, terms.vectors_ms))
        self.state, found = drift.step(self.state, prompt, asked.time, kept, terms.budget_ppm)
        self._changed.add(drift.name_of(prompt))
        for finding in found:
            told = msgspec.structs.replace(finding, model=asked.model)
            if finding_of(told) not in self._find(told, asked.time):
                # It only goes on: nobody will be asked about this window.
                del self.state.scopes[drift.name_of(prompt)].found[finding_of(told)]

    def keep(self, now: int) -> None:
        """Forget what has expired or was purged, write what is new, then tell what waits."""
        window = self._terms().vectors_ms
        self._hear()
        self._store.expire(now)
        there = {row.name for row in self._store.rows()}
        for name in self._kept - there:
            self.state.scopes.pop(name, None)
        self._kept &= there
        for name, scope in list(self.state.scopes.items()):
            drift.expire(scope, now - window)
            if not drift.vectors(scope):
                del self.state.scopes[name]
        if empty := self._kept - self.state.scopes.keys() - {_TOLD}:
            self._store.purge(empty)
        for name in self._changed & self.state.scopes.keys():
            self._save(name, self.state.scopes[name], window)
        self._changed.clear()
        if self._gone:
            self._store.forgotten(self._gone)
            self._gone = set()
        self._grouping.terms = self._terms()
        self._pending += self._grouping.tick(now)
        self._write_told(now)
        while self._pending and self._tell(self._pending[0]):
            self._pending.pop(0)
            self._write_told(now)
        self._kept_at = time.monotonic()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for line in self._lines():
                    self.take(line)
                    if self._pending or time.monotonic() - self._kept_at >= _KEEP:
                        self.keep(now_ms())
                self.keep(now_ms())
                self._stop.wait(_AGAIN)
            self.keep(now_ms())
        except Exception:
            logger.exception("use off purpose is looked for no more until the worker starts anew")
            failed = "what looks for use off purpose ended by a mistake of ours; restart the issuer"
            now = now_ms()
            self._find(Finding("detector-failed", "", failed, now, now, (), key=drift.KIND), now)
            for record in self._pending:
                self._tell(record)
            raise

    def _lines(self) -> Iterator[bytes]:
        """Lines from the gateway, until it is gone; an empty pause keeps what is known."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(_AGAIN)
            try:
                peer.connect(str(self._folder.prompts))
            except OSError:
                return
            left = b""
            while not self._stop.is_set():
                try:
                    data = peer.recv(65_536)
                except TimeoutError:
                    self._hear()
                    if self._changed or self._gone:
                        self.keep(now_ms())
                    continue
                except OSError:
                    return
                *lines, left = (left + data).split(b"\n")
                yield from lines
                if not data or len(left) > MAX_LINE:
                    return

    def _hear(self) -> None:
        """What was judged and who was erased since, in the log, and whom somebody purged."""
        end, gone = self._following.end(), self._store.gone()
        for facts in self._following.facts(_HEARD, self._position, end):
            match facts:
                case FindingJudged():
                    self._changed.update(drift.judge(self.state, facts.finding, facts.verdict))
                case PersonErased():
                    gone |= devices_of(self._following.register_at(end), facts.person)
        self._position = end
        for name, scope in self.state.scopes.items() if gone else ():
            if drift.retain(scope, lambda seen: seen.device not in gone):
                self._changed.add(name)
        self._gone |= gone

    def _find(self, finding: Finding, now: int) -> set[str]:
        """The ids of the findings that are raised of it."""
        recorded = list(self._grouping.add(finding, now))
        self._pending += recorded
        return {one.finding for one in recorded if isinstance(one, FindingRaised)}

    def _load(self) -> None:
        try:
            for name, body in self._store.load():
                if name == _TOLD:
                    told = msgspec.msgpack.decode(body, type=_Told)
                    self._grouping = Grouping(self._terms(), told.counts)
                    self._position = told.position
                    facts = (decode_facts(*one) for one in told.pending)
                    self._pending += (one for one in facts if isinstance(one, Recorded))
                else:
                    self.state.scopes[name] = msgspec.msgpack.decode(body, type=Scope)
                self._kept.add(name)
        except (VerificationError, msgspec.MsgspecError, FormatError) as error:
            logger.warning("what prompts meant is lost, and learnt anew", why=str(error))
            self._store.purge([row.name for row in self._store.rows()])
            self.state, self._kept = State(), set()

    def _save(self, name: str, scope: Scope, window: int) -> None:
        every = drift.vectors(scope)
        newest = max((seen.time for seen in every), default=scope.begun)
        row, new = Row(name, newest + window, len(every)), name not in self._kept
        if self._store.save(row, msgspec.msgpack.encode(scope), new=new):
            self._kept.add(name)
        else:
            self._kept.discard(name)
            del self.state.scopes[name]

    def _write_told(self, now: int) -> None:
        pending = [(one.TYPE, encode(one)) for one in self._pending]
        told = _Told(self._grouping.counts, pending, self._position)
        row = Row(_TOLD, now + self._terms().vectors_ms, 0)
        self._store.save(row, msgspec.msgpack.encode(told), new=True)
        self._kept.add(_TOLD)
