"""The sequencer: the one place where records enter the log, in one order.

Callers `append` and wait. Whoever waits while a commit runs goes into the next batch together
(group commit). In one pass over the batch, on the event loop, conditions are checked and leaves
made; then one transaction on the writer thread makes entries and signed checkpoint durable; only
then does anybody hear of it. State moves ahead of the disk only in this object, and a failed
commit ends the process, so recovery is the ordinary start.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from bailment import canonical
from bailment.access.admission import Stale
from bailment.access.budgets import Budgets
from bailment.access.fold import Fold
from bailment.access.reasons import Reason, Refused
from bailment.errors import VerificationError
from bailment.ledger.checkpoint import Checkpoint, sign_checkpoint
from bailment.ledger.facts import Facts
from bailment.ledger.leaf import SALT_SIZE, Leaf, commit_facts, commit_personal, encode_leaf
from bailment.ledger.note import Signer
from bailment.ledger.records import LogHeads, LogSnapshot
from bailment.ledger.tree import Frontier, leaf_hash
from bailment.store.staging import Batch, CommitFailed, Staging, frame
from bailment.store.vault import KeyNotKept, Vault, facts_key, person_key
from bailment.store.writer import Writer

MAX_BATCH = 512
#: A clock this far behind the log's own time serves no access until it has caught up.
CLOCK_TOLERANCE_MS = 2_000


#: What became durable with one commit: index, leaf and facts, in log order.
News = list[tuple[int, Leaf, Facts]]


class Sequenced(msgspec.Struct, frozen=True, gc=False):
    """The record is at `index`, in the durable signed checkpoint of this `size`."""

    index: int
    size: int
    time: int


@dataclass(slots=True)
class Draft:
    """A record on its way into the log, committed to and sealed, not yet in order.

    epoch     the register's position that the decision saw; None if it does not matter
    replay    the replay key of the proof, `budgets` those of the chain: the conditions
    urgent    goes to the head of the next batch (holds do)
    together  those that go in right after it, all of them or, with it, none
    """

    facts: Facts
    recipient: str
    commitment: str
    sealed: bytes
    personal_commitment: str = ""
    personal_sealed: bytes = b""
    epoch: int | None = None
    replay: bytes = b""
    budgets: Budgets = ()
    urgent: bool = False
    together: tuple[Draft, ...] = ()
    done: asyncio.Future[Sequenced | Refused | Stale] | None = field(default=None)


class Sequencer:
    """Appends to the log. All methods run on one event loop; only commits leave it."""

    def __init__(
        self,
        fold: Fold,
        frontier: Frontier,
        staging: Staging,
        vault: Vault,
        signer: Signer,
        now: Callable[[], int],
        *,
        snapshot_every: int,
        snapshot_size: int,
    ) -> None:
        self.fold = fold
        self.checkpoint = b""
        self._frontier = frontier
        self._staging = staging
        self._vault = vault
        self._signer = signer
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._writer = Writer()
        self._waiting: deque[Draft] = deque()
        self._batch: list[Draft] = []
        #: Set while nothing waits and nothing is being made durable.
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._snapshot_every = snapshot_every
        self._snapshot_size = snapshot_size
        self._unkept: tuple[int, bytes] | None = None
        #: Called after each commit with what became durable, in log order.
        self.listeners: list[Callable[[News], None]] = []
        #: Called on the writer thread with (size, bytes) of a snapshot, before its record commits.
        self.keep_snapshot: Callable[[int, bytes], None] = lambda size, data: None
        #: Resolves with the cause when the log has failed and the process must end.
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()

    # Drafting

    def draft(
        self,
        facts: Facts,
        recipient: str = "",
        *,
        person: str = "",
        personal: dict[str, str] | None = None,
        epoch: int | None = None,
        replay: bytes = b"",
        budgets: Budgets = (),
        urgent: bool = False,
    ) -> Draft:
        """Commit to the record and seal it; `recipient` defaults to the issuer's own slot."""
        recipient = recipient or self.fold.issuer_slot
        body = os.urandom(SALT_SIZE) + canonical.encode(facts)
        commitment = commit_facts(body)
        key = facts_key(recipient, self.fold.time or self._now())
        draft = Draft(
            facts,
            recipient,
            commitment,
            self._seal(key, body, commitment),
            epoch=epoch,
            replay=replay,
            budgets=budgets,
            urgent=urgent,
        )
        if person and personal:
            body = os.urandom(SALT_SIZE) + canonical.encode(personal)
            draft.personal_commitment = commit_personal(body)
            draft.personal_sealed = self._seal(person_key(person), body, draft.personal_commitment)
        return draft

    def _seal(self, key: str, body: bytes, commitment: str) -> bytes:
        try:
            return self._vault.seal(key, body, commitment)
        except KeyNotKept as error:
            self.fail(error)  # so that `append` refuses the draft
            return b""

    async def append(self, draft: Draft) -> Sequenced | Refused | Stale:
        """Append the record and return when it is durable in a signed checkpoint.

        Refused or Stale: a condition does not hold, and nothing was appended.
        """
        if self._closed:
            return Refused(Reason.LOG_UNAVAILABLE, "the log is closed")
        draft.done = self._loop.create_future()
        if draft.urgent:
            self._waiting.appendleft(draft)
        else:
            self._waiting.append(draft)
        if self._idle.is_set():
            self._commit_next()
        return await draft.done

    @property
    def size(self) -> int:
        """Entries sequenced, of which the last batch may not be durable yet."""
        return self._frontier.size

    @property
    def time(self) -> int:
        """The time (ms) of a record appended now: the clock's, but never less than the last."""
        return max(self.fold.time, self._now())

    @property
    def clock_behind(self) -> bool:
        """Whether the clock was set back behind the log."""
        return self._now() < self.fold.time - CLOCK_TOLERANCE_MS

    def tick(self) -> None:
        """Let a due `log.heads` record in although nothing else is appended."""
        if self._idle.is_set() and not self._closed and self._heads_due(self._now()):
            self._commit_next()

    def beat(self, heard: Callable[[int], None]) -> None:
        """A sign of life: `heard` is told the register's position once all that the writer was
        given before is durable and folded."""

        def alive() -> None:
            self._loop.call_soon_threadsafe(lambda: heard(self.fold.register.epoch))

        self._writer.submit(alive)

    async def close(self) -> None:
        """Commit what waits, then accept nothing more."""
        self._closed = True
        while not self._idle.is_set():  # what waits goes in by more than one commit
            await self._idle.wait()
        self._writer.close()

    # One batch

    def _commit_next(self) -> None:
        """Begin the next commit, or come to rest."""
        with self._fatal():
            time = self.time
            drafts = self._batch = [] if self.failed.done() else self._admit(time)
            if self.failed.done():  # a draft of our own may lack its key: nothing goes in
                self.fail(self.failed.result())
                return
            if not drafts:
                self._idle.set()
                return
            self._idle.clear()
            first = self._frontier.size
            leaves = []
            epoch = self.fold.register.epoch
            for draft in drafts:
                leaves.append(self._sequence(draft, time, epoch))
                epoch = self._frontier.size if draft.facts.REGISTERS else epoch
            self._writer.submit(self._commit(first, time, drafts, leaves))

    def _commit(
        self, first: int, time: int, drafts: list[Draft], leaves: list[tuple[Leaf, bytes]]
    ) -> Callable[[], None]:
        """What the writer thread does: make the batch durable, and say so or why not."""
        checkpoint = Checkpoint(self._signer.name, self._frontier.size, self._frontier.root())
        snapshot, self._unkept = self._unkept, None
        facts = [draft.sealed for draft in drafts]
        personal = [draft.personal_sealed for draft in drafts]
        entries = [entry for _, entry in leaves]
        call = self._loop.call_soon_threadsafe

        def commit() -> None:
            try:
                if snapshot is not None:
                    self.keep_snapshot(*snapshot)
                columns = frame(entries), frame(facts), frame(personal)
                note = sign_checkpoint(checkpoint, self._signer)
                batch = Batch(first, len(entries), time, *columns, note)
                self._staging.commit(batch)
            except CommitFailed as error:
                call(self.fail, error)
                return
            except BaseException as error:
                call(self.fail, error)
                raise
            call(self._committed, batch, leaves)

        return commit

    def _admit(self, time: int) -> list[Draft]:
        """Take what waits into a batch; answer at once those whose conditions do not hold."""
        batch: list[Draft] = []
        register = self.fold.register
        if self._heads_due(time):
            batch.append(self.draft(LogHeads(os.urandom(32).hex())))
        while self._waiting and len(batch) < MAX_BATCH:
            draft = self._waiting.popleft()
            try:
                refused = self._condition(draft, time)
                if refused is None:
                    self.fold.admission.apply(
                        draft.facts,
                        draft.replay,
                        draft.budgets,
                        time,
                        register.policy,
                        draft.recipient,
                    )
            except VerificationError as error:  # the draft's author erred; the log is as it was
                _raise(draft, error)
                continue
            if refused is not None:
                _answer(draft, refused)
                continue
            batch += (draft, *draft.together)
            if draft.facts.REGISTERS:
                break  # later drafts saw the register without it: it must be folded first
        return batch

    def _condition(self, draft: Draft, time: int) -> Refused | Stale | None:
        """Whether the draft may enter: every later start must be able to fold what does."""
        register = self.fold.register
        if draft.epoch is not None and draft.epoch != register.epoch:
            return Stale("the register has changed since the decision")
        if draft.facts.REGISTERS:
            # Asked before, at another moment: what runs out in between must not enter the log.
            return register.check_all([one.facts for one in (draft, *draft.together)], time)
        return self.fold.admission.admit(
            draft.facts, draft.replay, draft.budgets, time, register.policy
        )

    def _sequence(self, draft: Draft, time: int, epoch: int) -> tuple[Leaf, bytes]:
        slots, register = self.fold.slots, self.fold.register
        heads = ""
        if isinstance(draft.facts, LogHeads):
            heads = slots.root(bytes.fromhex(draft.facts.secret)).hex()
            self.fold.heads = (time, self._frontier.size + 1)
        head = slots.head(draft.recipient)
        leaf = Leaf(
            draft.facts.TYPE,
            time,
            draft.recipient,
            head.count,
            head.last,
            register.state.spec,
            epoch,
            draft.commitment,
            1,
            draft.personal_commitment,
            heads,
        )
        entry = encode_leaf(leaf)
        hashed = leaf_hash(entry)
        slots.push(draft.recipient, hashed)
        self._frontier.push(hashed)
        return leaf, entry

    def _heads_due(self, time: int) -> bool:
        since, size = self.fold.heads
        due = time - since >= self.fold.register.policy.heads_ms
        return due and size < self._frontier.size and self.fold.size > 0

    def _committed(self, batch: Batch, leaves: list[tuple[Leaf, bytes]]) -> None:
        with self._fatal():
            drafts = self._batch
            self.checkpoint = batch.checkpoint
            self._fold(batch, drafts, leaves)
            for offset, draft in enumerate(drafts):
                _answer(draft, Sequenced(batch.first + offset, batch.end, batch.time))
            if self.fold.size - self._snapshot_size >= self._snapshot_every:
                self._snapshot()
        self._commit_next()

    def _fold(self, batch: Batch, drafts: list[Draft], leaves: list[tuple[Leaf, bytes]]) -> None:
        fold = self.fold
        news = []
        for offset, (draft, (leaf, _)) in enumerate(zip(drafts, leaves, strict=True)):
            fold.register.apply(batch.first + offset, draft.facts, batch.time)
            news.append((batch.first + offset, leaf, draft.facts))
        if fold.size == 0:
            fold.issuer_slot = drafts[0].recipient
        fold.size, fold.time = batch.end, batch.time
        for listener in self.listeners:
            listener(news)

    def _snapshot(self) -> None:
        """Between batches, when register, slots and admission all stand at the same size."""
        data = self.fold.encode()
        self._snapshot_size = self.fold.size
        self._unkept = (self.fold.size, data)
        self._waiting.append(self.draft(LogSnapshot(self.fold.size, canonical.digest(data))))

    def fail(self, error: BaseException) -> None:
        """Refuse everything from here on; whoever owns the process must end it."""
        self._closed = True
        refused = Refused(Reason.LOG_UNAVAILABLE, "the log could not be written")
        for draft in (*self._batch, *self._waiting):
            _answer(draft, refused)
        self._waiting.clear()
        self._idle.set()
        if not self.failed.done():
            cause = error if isinstance(error, CommitFailed) else CommitFailed(str(error))
            self.failed.set_result(cause)

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """Whatever goes wrong in here leaves the state in doubt: nothing more is appended."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise


def _answer(draft: Draft, answer: Sequenced | Refused | Stale) -> None:
    if draft.done is not None and not draft.done.done():
        draft.done.set_result(answer)


def _raise(draft: Draft, error: VerificationError) -> None:
    if draft.done is not None and not draft.done.done():
        draft.done.set_exception(error)
