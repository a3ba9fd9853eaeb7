"""Waiting for an issuer to serve, as long as there is one to wait for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.cli import console
from bailment.store.folder import Folder


def test_nobody_waits_for_an_issuer_that_died_before_it_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, looks = Folder(tmp_path), iter([0, 0, 4711, 4711])
    folder.settings.touch()
    monkeypatch.setattr(console, "owner", lambda folder: next(looks, 0))
    monkeypatch.setattr(console, "_GONE", 0.05)
    with pytest.raises(console.NotRunning):
        console.status(folder, wait=3600)
    assert next(looks, None) is None, "it was not waited for while it was about to serve"
