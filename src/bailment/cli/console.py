"""Talking to the running issuer through its control socket."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.errors import BailmentError
from bailment.store.folder import Folder

Dir = Annotated[
    Path,
    typer.Option("--dir", "-d", envvar="BAILMENT_DIR", help="The issuer's folder."),
]


def act(folder: Folder, name: str, **arguments: Any) -> dict[str, Any]:
    """Ask the running issuer to act; BailmentError says why it did not."""
    body = {"act": name, "author": getpass.getuser(), **arguments}
    return _call(folder, "POST", "/act", body)


def status(folder: Folder, wait: float = 0) -> dict[str, Any]:
    """What the running issuer says of itself; waits for so many seconds until it does."""
    end = time.monotonic() + wait
    while True:
        try:
            return _call(folder, "GET", "/status", None)
        except NotRunning:
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)


class NotRunning(BailmentError):
    """Nobody listens on the control socket."""


def _call(folder: Folder, method: str, path: str, body: Any) -> dict[str, Any]:
    import httpx2

    folder.require()
    transport = httpx2.HTTPTransport(uds=str(folder.control_socket))
    try:
        with httpx2.Client(transport=transport, timeout=30) as client:
            response = client.request(method, f"http://control{path}", json=body)
            answer: dict[str, Any] = response.json()
    except (httpx2.HTTPError, OSError):
        raise NotRunning(
            f"no issuer is running in `{folder.root}`", hint=f"bailment serve -d {folder.root}"
        ) from None
    if response.status_code >= 400:
        raise BailmentError(f"{answer.get('reason', 'refused')}: {answer.get('detail', '')}")
    return answer
