"""One process owns an issuer's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bailment.errors import ConfigurationError
from bailment.store.folder import Folder, FolderLock

OWNER = """
import sys, time
from pathlib import Path
from bailment.store.folder import Folder, FolderLock
lock = FolderLock(Folder(Path(sys.argv[1])))
print("owned", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_who_owns_the_folder(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        with pytest.raises(ConfigurationError, match=rf"pid {owner.pid}\) owns `{tmp_path}`"):
            FolderLock(Folder(tmp_path))
        owner.kill()
        owner.wait()
        with FolderLock(Folder(tmp_path)):  # a dead process owns nothing
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_folder_that_was_let_go_can_be_owned_again(tmp_path: Path) -> None:
    for _ in range(2):
        with FolderLock(Folder(tmp_path)), pytest.raises(ConfigurationError):
            FolderLock(Folder(tmp_path))


def test_a_folder_without_settings_is_not_an_issuers(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(ConfigurationError, match="not an issuer's folder") as caught:
        folder.require()
    assert "bailment init" in caught.value.hint
    folder.settings.touch()
    folder.require()
