"""Talking to the running issuer through its control socket."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer

from bailment.access.reasons import Reason
from bailment.cli.output import Exit, note, say
from bailment.cli.times import show_time
from bailment.errors import BailmentError
from bailment.store.folder import Folder, owner
from bailment.store.socket import ControlConnection

Dir = Annotated[
    Path,
    typer.Option("--dir", "-d", envvar="BAILMENT_DIR", help="The issuer's folder."),
]

_NO_HINTS: Mapping[Reason, str] = {}
#: What the running issuer may take for one act: longer than its slowest disk.
_SECONDS = 30.0
#: Who owned the folder and has not for so long is not waited for, seconds.
_GONE = 2.0


class NotRunning(BailmentError):
    """Nobody listens on the control socket."""


def author() -> str:
    """Who acts, for the record: the user's name, or the number of one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def act(
    folder: Folder, name: str, *, hints: Mapping[Reason, str] = _NO_HINTS, **arguments: Any
) -> dict[str, Any]:
    """Ask the running issuer to act; BailmentError says why it did not, `hints` what to do then."""
    body = {"act": name, "author": author(), **arguments}
    done = _call(folder, "POST", "/act", body, hints)
    if "proposed" in done:
        _waiting(done)
    return done


def _waiting(done: dict[str, Any]) -> NoReturn:
    """Nothing was done yet: say who must do what."""
    number, name = done["people"], done["proposed"]
    say(f"proposed {name}: `{done['act']}` takes {number} people who sign")
    ends = show_time(done["until"])
    note(f"each signs it by {ends}: bailment approve sign {name[:8]} --key FOLDER")
    note(f"or in the browser, with a passkey: {done['url']}")
    raise typer.Exit(Exit.PENDING)


def hand_in(folder: Folder, file: bytes, **query: str) -> dict[str, Any]:
    """Hand a file to the running issuer as evidence; BailmentError says why it is none."""
    path = "/evidence?" + urlencode({"author": author(), **query})
    return _call(folder, "POST", path, file)


def status(folder: Folder, wait: float = 0, patience: float = _SECONDS) -> dict[str, Any]:
    """What the running issuer says of itself; waits for so many seconds until it does, but not for
    one that was about to and has ended.

    `patience` is what it may take for an answer, in seconds."""
    end, owned = time.monotonic() + wait, 0.0
    while True:
        try:
            return _call(folder, "GET", "/status", None, patience=patience)
        except NotRunning:
            now = time.monotonic()
            owned = now if owner(folder) else owned
            if now >= end or (owned and now - owned > _GONE):
                raise
            time.sleep(0.1)


def _call(
    folder: Folder,
    method: str,
    path: str,
    body: Any,
    hints: Mapping[Reason, str] = _NO_HINTS,
    patience: float = _SECONDS,
) -> dict[str, Any]:
    folder.require()
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body)
    try:
        with contextlib.closing(ControlConnection(folder.control_socket, patience)) as connection:
            connection.request(method, path, sent, {"content-type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning(
            f"no issuer is running in `{folder.root}`", hint=f"bailment serve -d {folder.root}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BailmentError(
            f"the issuer did not answer: {str(error) or type(error).__name__}",
            hint="it may have acted all the same; see what it wrote to its standard error",
        ) from None
    if response.status >= 400:
        reason, title, detail = (answer.get(name, "") for name in ("reason", "title", "detail"))
        if reason == Reason.HELD:  # whose detail is the subject alone
            detail = f"{title}: {detail}"
        if reason.startswith("evidence-"):
            detail = f"{title} (`{reason}`): {detail}"
        message = detail[:1].lower() + detail[1:] or title or "refused"
        raise BailmentError(message, hint=hints.get(reason, ""))
    return answer
