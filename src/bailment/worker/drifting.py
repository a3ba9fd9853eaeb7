"""Looks for use off purpose: takes prompts from the gateway, and keeps what they mean in numbers.

A thread of its own beside the worker's, since a vector takes as long as hundreds of records. What
it knows is kept, sealed, before anything is told of it, so that a restart says nothing twice.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain

import msgspec
import structlog

from bailment.canonical import encode
from bailment.clock import now_ms
from bailment.detect import drift
from bailment.detect.drift import Prompt, Scope, State, pack
from bailment.detect.event import Finding
from bailment.detect.grouping import Counts, Grouping, Recorded
from bailment.detect.prompt import MAX_LINE, decode
from bailment.errors import FormatError, VerificationError
from bailment.ledger.records import decode_facts
from bailment.spec.detection import DetectionTerms
from bailment.store.folder import Folder
from bailment.store.secrets import load_kek
from bailment.worker.embedding import Embedder, load_embedder
from bailment.worker.vectors import Row, Vectors

logger = structlog.get_logger("bailment.worker")

#: Seconds between two attempts to be handed prompts, and between two writes of what is known.
_AGAIN, _KEEP = 1.0, 10.0
#: The row of what was told, which is nobody's vectors.
_TOLD = " told"


class _Told(msgspec.Struct):
    counts: Counts
    pending: list[tuple[str, bytes]]


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
        self.state = State()
        self._kept: set[str] = set()
        self._changed: set[str] = set()
        self._grouping = Grouping(terms())
        self._pending: list[Recorded] = []
        self._load()
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
            self._find(msgspec.structs.replace(finding, model=asked.model), asked.time)

    def keep(self, now: int) -> None:
        """Forget what has expired or was purged, write what is new, then tell what waits."""
        window = self._terms().vectors_ms
        self._store.expire(now)
        there = {row.name for row in self._store.rows()}
        for name in self._kept - there:
            self.state.scopes.pop(name, None)
        self._kept &= there
        for name, scope in list(self.state.scopes.items()):
            drift.expire(scope, now - window)
            if not (scope.reference or scope.waiting or scope.windows):
                del self.state.scopes[name]
        for name in self._kept - self.state.scopes.keys() - {_TOLD}:
            self._store.purge(name)
        for name in self._changed & self.state.scopes.keys():
            self._save(name, self.state.scopes[name], window)
        self._changed.clear()
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
                    if self._changed:
                        self.keep(now_ms())
                    continue
                except OSError:
                    return
                *lines, left = (left + data).split(b"\n")
                yield from lines
                if not data or len(left) > MAX_LINE:
                    return

    def _find(self, finding: Finding, now: int) -> None:
        self._pending += self._grouping.add(finding, now)

    def _load(self) -> None:
        try:
            for name, body in self._store.load():
                if name == _TOLD:
                    told = msgspec.msgpack.decode(body, type=_Told)
                    self._grouping = Grouping(self._terms(), told.counts)
                    facts = (decode_facts(*one) for one in told.pending)
                    self._pending += (one for one in facts if isinstance(one, Recorded))
                else:
                    self.state.scopes[name] = msgspec.msgpack.decode(body, type=Scope)
                self._kept.add(name)
        except (VerificationError, msgspec.MsgspecError, FormatError) as error:
            logger.warning("what prompts meant is lost, and learnt anew", why=str(error))
            self._store.purge()
            self.state, self._kept = State(), set()

    def _save(self, name: str, scope: Scope, window: int) -> None:
        every = [*scope.reference, *scope.waiting, *chain(*scope.windows.values())]
        newest = max((seen.time for seen in every), default=scope.begun)
        row, new = Row(name, newest + window, len(every)), name not in self._kept
        if self._store.save(row, msgspec.msgpack.encode(scope), new=new):
            self._kept.add(name)
        else:
            self._kept.discard(name)
            del self.state.scopes[name]

    def _write_told(self, now: int) -> None:
        told = _Told(self._grouping.counts, [(one.TYPE, encode(one)) for one in self._pending])
        row = Row(_TOLD, now + self._terms().vectors_ms, 0)
        self._store.save(row, msgspec.msgpack.encode(told), new=True)
        self._kept.add(_TOLD)
