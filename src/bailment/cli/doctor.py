"""`bailment doctor`: what is wrong with a set-up, and how to mend it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer
from rich.text import Text

from bailment.cli.console import Dir, status
from bailment.cli.output import Exit, Json, out, show_json
from bailment.errors import BailmentError
from bailment.settings import Settings, load_settings
from bailment.store.folder import Folder
from bailment.store.secrets import load_secrets
from bailment.store.view import open_view


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    check: str
    ok: bool
    says: str
    mend: str = ""


def doctor(directory: Dir = Path(), as_json: Json = False) -> None:
    """Find what is wrong with an issuer's set-up, and say how to mend it."""
    findings = list(examine(Folder(directory)))
    if as_json:
        show_json(
            [{"check": f.check, "ok": f.ok, "says": f.says, "mend": f.mend} for f in findings]
        )
    else:
        for finding in findings:
            mark = ("ok   ", "green") if finding.ok else ("wrong", "bold red")
            out.print(Text.assemble(mark, f"  {finding.check}: {finding.says}"), soft_wrap=True)
            if finding.mend:
                out.print(Text.assemble(("       try: ", "bold"), finding.mend), soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.FAILED)


def examine(folder: Folder) -> Iterator[Finding]:
    """Look at one thing after another; stop where the next makes no sense."""
    settings: Settings | None = None

    def read_settings() -> str:
        nonlocal settings
        folder.require()
        settings = load_settings(folder.settings)
        return f"{len(settings.models)} model(s), served at {settings.issuer.url}"

    first = _try("settings", read_settings)
    yield first
    yield _try("folder", lambda: _private(folder))
    yield _try("secrets", lambda: f"the log's key is {load_secrets(folder).log.public.vkey}")
    if settings is None:
        return
    log = _try("log", lambda: _log(folder))
    yield log
    yield _space(folder, settings)
    if log.ok:
        yield _clock(folder)
    for name, model in settings.models.items():
        yield _try(f"key of {name}", lambda n=name, m=model: _key(n, m, folder))  # type: ignore[misc]
        yield _reachable(name, model.url)
    if not settings.models:
        yield Finding("models", False, "no model is set", f"add [models.NAME] to {folder.settings}")
    yield _running(folder)


def _try(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, True, look())
    except BailmentError as error:
        return Finding(check, False, str(error), error.hint)


def _private(folder: Folder) -> str:
    mode = folder.root.stat().st_mode & 0o777
    if mode & 0o077:
        raise BailmentError(
            f"others may enter `{folder.root}` (mode {mode:04o})", hint=f"chmod 700 {folder.root}"
        )
    return "only its owner may enter"


def _log(folder: Folder) -> str:
    view = open_view(folder)
    return f"{view.checkpoint.size} records, signed, folded and consistent"


def _space(folder: Folder, settings: Settings) -> Finding:
    found = os.statvfs(folder.root)
    free, reserve = found.f_bavail * found.f_frsize, settings.limits.disk_reserve_bytes
    says = f"{free >> 20} MiB free, of which {reserve >> 20} are kept for holds"
    return Finding("disk", free > 4 * reserve, says, "" if free > 4 * reserve else "free some")


def _clock(folder: Folder) -> Finding:
    behind = open_view(folder).fold.time / 1000 - time.time()
    if behind > 2:
        says = f"the clock is {behind:.0f} s behind the log, so there is no access"
        return Finding("clock", False, says, "set the clock; the log cannot go back")
    return Finding("clock", True, "not behind the log")


def _key(name: str, model: object, folder: Folder) -> str:
    from bailment.gateway.app import upstream_config

    config = upstream_config(name, model, folder.root)  # type: ignore[arg-type]
    return "private" if config.key else "none is set"


def _reachable(name: str, url: str) -> Finding:
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(3)
                probe.connect(parts.path)
        else:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), 3).close()
    except OSError as error:
        says = f"`{url}` cannot be reached: {error.strerror or error}"
        return Finding(f"model {name}", False, says, "start its server, or mend the url")
    return Finding(f"model {name}", True, "its server answers")


def _running(folder: Folder) -> Finding:
    try:
        found = status(folder)
    except BailmentError as error:
        return Finding("issuer", False, str(error), error.hint)
    served = found["access"] == "served"
    says = f"running as pid {found['pid']}; access is " + (
        "served" if served else f"refused: {found['access']}"
    )
    return Finding("issuer", served, says, "" if served else f"see {found['access']} in the docs")
