"""The handle beside the key: on the disk before its token is used, and asked for by one alone."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from bailment.agent import private
from bailment.agent.ratchet import HANDLE, LOCK, Ratchet
from bailment.errors import ConfigurationError

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private.make_folder(tmp_path / "profile")
    return tmp_path / "profile"


def test_there_is_no_handle_before_the_first_token(folder: Path) -> None:
    assert Ratchet(folder).read() == ""


def test_a_handle_is_kept_for_its_owner_alone(folder: Path) -> None:
    Ratchet(folder).write("a-handle")
    assert Ratchet(folder).read() == "a-handle"
    assert stat.S_IMODE((folder / HANDLE).stat().st_mode) == 0o600


def test_a_crash_while_a_handle_is_written_leaves_the_one_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ratchet(folder).write("before")

    def crash(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        Ratchet(folder).write("after")
    monkeypatch.undo()
    assert Ratchet(folder).read() == "before"
    Ratchet(folder).write("after")  # what the crash left is no hindrance
    assert Ratchet(folder).read() == "after"


@pytest.mark.parametrize("text", ["", "two words", "a" * 65, "ü"])
def test_a_damaged_handle_is_said_to_be_one(folder: Path, text: str) -> None:
    private.write(folder / HANDLE, text.encode())
    with pytest.raises(ConfigurationError, match="damaged"):
        Ratchet(folder).read()


def test_a_handle_that_others_can_read_is_not_used(folder: Path) -> None:
    Ratchet(folder).write("a-handle")
    (folder / HANDLE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to other users"):
        Ratchet(folder).read()


async def test_one_at_a_time_asks_for_a_token(folder: Path) -> None:
    inside = 0

    async def ask() -> None:
        nonlocal inside
        async with Ratchet(folder).held_async():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(ask() for _ in range(8)))


async def test_who_waits_for_too_long_says_for_what(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailment.agent.ratchet.PATIENCE", 0.0)
    with Ratchet(folder).held():
        with pytest.raises(ConfigurationError, match="another process"):
            async with Ratchet(folder).held_async():
                pass
        with pytest.raises(ConfigurationError, match="another process"), Ratchet(folder).held():
            pass


def test_a_lock_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (folder / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot use"), Ratchet(folder).held():
        pass
    assert not (tmp_path / "elsewhere").exists()
