"""Durable files: whole or not at all, private where they must be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bailment.errors import ConfigurationError, VerificationError
from bailment.store.durable import Files, read_private


class CountingFiles(Files):
    def __init__(self) -> None:
        self.synced: list[str] = []

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)


class FailingFiles(Files):
    def sync(self, descriptor: int) -> None:
        raise OSError(5, "Input/output error")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_write_replaces_the_whole_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"a longer text", b"short", b""):
        Files().write(path, data)
        assert path.read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    Files().write(path, b"old")
    with pytest.raises(OSError, match="Input/output"):
        FailingFiles().write(path, b"new")
    assert path.read_bytes() == b"old"


def test_file_folder_and_every_new_parent_are_synced(tmp_path: Path) -> None:
    files = CountingFiles()
    files.write(tmp_path / "a" / "b" / "file", b"bytes")
    assert files.synced == [tmp_path.name, "a", ".file.new", "b"]


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o600, 0o700), (0o644, 0o755)])
def test_a_new_folder_is_as_open_as_the_file_in_it(
    tmp_path: Path, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(0o022)
    try:
        Files().write(tmp_path / "new" / "file", b"bytes", file_mode)
    finally:
        os.umask(before)
    assert mode(tmp_path / "new" / "file") == file_mode
    assert mode(tmp_path / "new") == folder_mode


def test_a_placed_file_is_synced_and_its_name_not_yet(tmp_path: Path) -> None:
    files = CountingFiles()
    files.place(tmp_path / "file", b"bytes")
    assert files.synced == [".file.new"]
    files.sync_folder(tmp_path)
    assert files.synced == [".file.new", tmp_path.name]


def test_what_never_changes_is_refused_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tile"
    Files().place(path, b"hashes")
    Files().check_once(path, b"hashes")
    with pytest.raises(VerificationError, match="holds other bytes"):
        Files().check_once(path, b"others")
    assert path.read_bytes() == b"hashes"


def test_several_files_are_written_before_the_first_sync_and_synced_before_the_first_name(
    tmp_path: Path,
) -> None:
    seen: list[list[str]] = []

    class Watching(CountingFiles):
        def sync(self, descriptor: int) -> None:
            super().sync(descriptor)
            seen.append(sorted(os.listdir(tmp_path)))

    files = Watching()
    files.place_all([(tmp_path / name, b"bytes", 0o600) for name in ("a", "b")])
    assert files.synced == [".a.new", ".b.new"]
    assert seen == [[".a.new", ".b.new"]] * 2
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("others", [0o640, 0o604, 0o620, 0o601])
def test_a_secret_that_others_may_touch_is_refused(tmp_path: Path, others: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    path.chmod(others)
    with pytest.raises(ConfigurationError, match=f"mode 0{others:o}") as caught:
        read_private(path)
    assert caught.value.hint == f"chmod 600 {path}"
    path.chmod(0o600)
    assert read_private(path) == b"secret"


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="key"):
        read_private(tmp_path / "key")
