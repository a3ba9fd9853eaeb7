"""Signatures of proofs, which are most of an audit's work: for a large log on every core."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from types import TracebackType

from bailment.access import jwk
from bailment.access.proof import Proof

#: Entries below which starting processes costs more than it saves.
_LARGE = 20_000
_BATCH = 512
#: Batches under way for each process: enough to keep it busy, and a bound on memory.
_AHEAD = 4

_Job = tuple[int, tuple[tuple[str, str], ...], str, bytes, bytes]


class Signatures:
    """Verifies proofs, now or later. A context manager, which ends what it started."""

    def __init__(self, entries: int) -> None:
        self._jobs: list[_Job] = []
        self._failed: list[int] = []
        self._results: deque[Future[list[int]]] = deque()
        self._workers = os.cpu_count() or 1 if entries >= _LARGE else 0
        self._pool: ProcessPoolExecutor | None = None
        if self._workers:
            # Not forked: a process that audits may have threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context)

    def add(self, index: int, proof: Proof) -> None:
        """Verify the proof of an entry by the key it carries."""
        key = tuple(proof.header.key.jwk.items())
        self._jobs.append((index, key, proof.header.alg, proof.signature, proof.signing_input))
        if len(self._jobs) >= _BATCH:
            self._send()

    def finish(self) -> list[int]:
        """The entries whose proof its key did not sign."""
        self._send()
        while self._results:
            self._failed += self._results.popleft().result()
        return self._failed

    def _send(self) -> None:
        jobs, self._jobs = self._jobs, []
        if self._pool is None:
            self._failed += failed(jobs)
            return
        self._results.append(self._pool.submit(failed, jobs))
        while len(self._results) > _AHEAD * self._workers:
            self._failed += self._results.popleft().result()

    def __enter__(self) -> Signatures:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def failed(jobs: list[_Job]) -> list[int]:
    """Those entries of a batch whose signature does not hold."""
    return [
        index
        for index, members, alg, signature, message in jobs
        if not _key(members).verify(alg, signature, message)
    ]


@lru_cache(4096)
def _key(members: tuple[tuple[str, str], ...]) -> jwk.PublicKey:
    return jwk.parse(dict(members))
