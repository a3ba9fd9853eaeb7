"""The worker answers how far something reaches, from what it has in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from bailment.cli.reach import answer
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.questions import ask
from bailment.worker import answering as answering_module
from bailment.worker.answering import Answering
from bailment.worker.worker import Worker

from ..world import PATIENCE, World, world

pytestmark = pytest.mark.anyio


@contextmanager
def answers(at: World) -> Iterator[Answering]:
    """A worker that has read nothing of what comes, and answers when it is asked to."""
    worker = Worker(at.folder, lambda record: True)
    answering = Answering(at.folder, worker, answer)
    try:
        yield answering
    finally:
        answering.finish()
        worker.finish()


async def asked(at: Answering, folder: Folder, subject: str, **more: Any) -> Any:
    """What it answers to somebody else."""
    loop, question = asyncio.get_running_loop(), {"subject": subject, **more}
    asking = loop.run_in_executor(None, ask, folder, question, PATIENCE)
    async with asyncio.timeout(PATIENCE):
        while not asking.done():
            at.take()
            await asyncio.sleep(0.01)
    return await asking


async def test_what_was_just_done_is_in_the_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        with answers(at) as answering:
            device = await at.device()
            for number in (1, 2):
                assert (await device.ask()).status_code == 200
                told = await asked(answering, at.folder, f"device:{device.id}")
                assert told["used"]["accesses"] == number
            assert told["counts"]["through"]["person"] == 1
            few = await asked(answering, at.folder, f"device:{device.id}", most=1)
            assert len(few["through"]) == 1 and few["counts"] == told["counts"]


async def test_what_cannot_be_answered_is_said_as_by_the_command_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        with answers(at) as answering:
            for subject, why in (("model:", "is no subject"), ("vendor:none", "nothing is known")):
                with pytest.raises(BailmentError, match=why) as raised:
                    await asked(answering, at.folder, subject)
                assert raised.value.hint
            with pytest.raises(BailmentError, match="no question"):
                await asked(answering, at.folder, "model:small", since="yesterday")


async def test_who_is_far_behind_lets_the_log_be_read(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        subject = f"device:{(await at.device()).id}"
        with answers(at) as answering, patch.object(answering_module, "BEHIND", 0):
            assert await asked(answering, at.folder, subject) is None
            while answering.turn():
                pass
            assert await asked(answering, at.folder, subject) is not None


async def test_a_worker_that_hangs_or_is_gone_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        with answers(at):
            assert ask(at.folder, {"subject": "model:small"}, patience=0.01) is None
        assert ask(at.folder, {"subject": "model:small"}) is None


async def test_who_connects_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        subject = f"device:{(await at.device()).id}"
        with (
            answers(at) as answering,
            patch.object(answering_module, "_SAY", 0.01),
            socket.socket(socket.AF_UNIX) as silent,
        ):
            silent.connect(str(at.folder.extent_socket))
            assert await asked(answering, at.folder, subject) is not None


async def test_only_its_owner_may_ask(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        with answers(at):
            assert at.folder.extent_socket.stat().st_mode & 0o077 == 0
        assert not at.folder.extent_socket.exists()


async def test_an_index_that_cannot_be_written_ends_no_worker(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.folder.exposure.mkdir()
        with answers(at) as answering:
            assert answering.turn() is False
            with pytest.raises(BailmentError, match="cannot use"):
                await asked(answering, at.folder, "model:small")


async def test_a_person_who_is_named_by_id_is_found_without_anybodys_name(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        person = at.register.path(at.register.link_of[(await at.device()).id])[-2].subject
        with (
            answers(at) as answering,
            patch("bailment.cli.reach.find_person", side_effect=KeyError),
        ):
            told = await asked(answering, at.folder, f"person:{person}")
            assert told["starts"] == [f"person:{person}"]
