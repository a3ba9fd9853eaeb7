"""What is measured, and what it is measured beside.

Both take one access at a time and return when its record is durable. `Journaled` is the gateway's
own journal over the log: decision, two commitments, sealing, Merkle tree, signed checkpoint. `Bare`
writes as many random bytes into the same table of SQLite, with the same batches and the same one
sync to a batch, and nothing else: the limit of any log that is built on it.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bailment.access.decision import Request
from bailment.access.proof import Proof
from bailment.gateway.journal import Access, Evidence, Journal
from bailment.gateway.metrics import Metrics
from bailment.ledger.context import Context
from bailment.ledger.records import AccessClosed
from bailment.store.sequencer import MAX_BATCH
from bailment.store.staging import Batch, Staging, frame

from .population import CEILING, MODEL, PATH, PROMPT, Device, Issuer

Work = tuple[Device, Proof]
_NOWHERE = Context()


class Journaled:
    """Accesses through the gateway's journal."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._journal = Journal(issuer.log, Metrics(), 0)
        self._turn = 0

    async def prepare(self, count: int, *, signed: bool = False) -> deque[Work]:
        """Tokens that are good, and a fresh proof for each access: what clients bring."""
        return deque([await self.bring(signed=signed) for _ in range(count)])

    async def bring(self, *, signed: bool) -> Work:
        device = self.issuer.devices[self._turn % len(self.issuer.devices)]
        self._turn += 1
        await self.issuer.token(device)
        return device, device.proof(PATH, PROMPT, device.text, signed=signed)

    async def open(self, work: Work, context: Context = _NOWHERE) -> Access:
        """Decide, and return when `access.opened` is durable in a signed checkpoint."""
        device, proof = work
        assert device.token is not None
        request = Request(device.token, "generate", MODEL, (), CEILING)
        asked = "POST", PATH, PROMPT.hex(), True, "192.0.2.7", "OpenAI/Python 3.51"
        evidence = Evidence("dpop-body", proof, "", *asked, context)
        access = await self._journal.open(request, evidence)
        if not isinstance(access, Access):
            raise RuntimeError(f"an access was refused: {access}")
        return access

    async def close(self, access: Access) -> None:
        """Return when `access.closed` is durable."""
        closed = AccessClosed(access.id, "complete", 200, 412, 128, True, 2_048)
        if not await self._journal.close(access, closed):
            raise RuntimeError("the log could not be written")


@dataclass(slots=True)
class _Waiting:
    columns: tuple[bytes, bytes, bytes]
    done: asyncio.Future[None]


@dataclass
class Bare:
    """A group commit and nothing else. `opened` and `closed` are the bytes of their columns."""

    path: Path
    opened: tuple[int, int, int]
    closed: tuple[int, int, int]
    batches: int = 0
    _size: int = 0
    _busy: bool = False
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def __post_init__(self) -> None:
        self._staging = Staging(self.path)

    async def prepare(self, count: int) -> deque[None]:
        return deque([None] * count)

    async def open(self, _work: None) -> None:
        await self._append(self.opened)

    async def close(self, _access: None) -> None:
        await self._append(self.closed)

    async def _append(self, sizes: tuple[int, int, int]) -> None:
        loop = asyncio.get_running_loop()
        columns = (os.urandom(sizes[0]), os.urandom(sizes[1]), os.urandom(sizes[2]))
        waiting = _Waiting(columns, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._commit_next(loop)
        await waiting.done

    def _commit_next(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        self._busy = bool(taken)
        if not taken:
            return
        first, self._size = self._size, self._size + len(taken)
        self._staging.settle(max(0, first - 10_000))

        def commit() -> None:
            leaves, facts, personal = map(frame, zip(*(one.columns for one in taken), strict=True))
            batch = Batch(first, len(taken), 0, leaves, facts, personal, bytes(200))
            self._staging.commit(batch)

        task = loop.run_in_executor(self._writer, commit)
        task.add_done_callback(lambda done: self._committed(done, taken, loop))

    def _committed(
        self, done: asyncio.Future[None], taken: list[_Waiting], loop: asyncio.AbstractEventLoop
    ) -> None:
        done.result()
        self.batches += 1
        for one in taken:
            one.done.set_result(None)
        self._commit_next(loop)
