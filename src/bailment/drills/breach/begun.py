"""A drill that is not on record yet, and what is still to be done for it: its recipients' links
are ended, and it is noted. It lies in the issuer's folder, so that a process that was killed leaves
nothing behind that another cannot finish.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bailment import canonical
from bailment.access.drilled import unfit
from bailment.access.register import Register
from bailment.clock import now_ms
from bailment.drills.breach.result import Background, Result
from bailment.errors import BailmentError
from bailment.store.durable import Files
from bailment.store.folder import Folder
from bailment.store.view import open_view

#: Asks the running issuer to act: `act(name, **members)`.
Act = Callable[..., Mapping[str, Any]]
NAME = "breach-2026"
FILE = "drill.json"
#: How the name of the folder begins in which its recipients and strangers have what is theirs.
ROOT = "bailment-drill-"
BROKEN_OFF = "broken off"
#: For how long a registration may be under way that nobody waits for any more, seconds.
_UNDER_WAY = 10.0


class Begun(msgspec.Struct, forbid_unknown_fields=True):
    """A drill by its id, when it began (ms), and its recipients up to now; `coming` are the handles
    of those that are being registered, and `root` the folder with their keys and their loot."""

    drill: str
    started: int
    recipients: list[str] = []
    coming: list[str] = []
    root: str = ""


class Ended(NamedTuple):
    """What was put on record, and the recipients that no drill can have had, which stay in every
    count."""

    result: Result
    ordinary: tuple[str, ...]


@contextmanager
def alone(folder: Folder) -> Iterator[None]:
    """While no other drill is held in this folder; the kernel lets go when a process dies."""
    folder.require()
    with folder.settings.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BailmentError(
                "a drill is being held already", hint="wait for its end, or end it with Ctrl-C"
            ) from None
        yield


def keep(folder: Folder, begun: Begun) -> None:
    """Keep it for whoever has to finish it; nothing of it is on record before its end."""
    Files().write(folder.root / FILE, msgspec.json.encode(begun))


def broken_off(folder: Folder) -> Begun | None:
    """The drill that nobody finished, if there is one."""
    path = folder.root / FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Begun)
    except msgspec.DecodeError as error:
        raise BailmentError(
            f"`{path}` is not what a drill writes: {error}",
            hint="end the links of its recipients by hand (`bailment link end`), and remove it",
        ) from None


def nothing(begun: Begun) -> Result:
    """The result of a drill of which nothing but its recipients is known."""
    return Result(
        drill=begun.drill,
        name=NAME,
        form="live",
        simulated=False,
        started=begun.started,
        ended=begun.started,
        geography="",
        background=Background(0, 0, 0, {}, 0.0),
        variants=(),
        notes=(BROKEN_OFF,),
    )


def finish(folder: Folder, act: Act, begun: Begun, result: Result) -> Ended:
    """End the links of its recipients, and put it on record with what came of it."""
    register = _registered(folder, begun)
    while left := list(_left(register, begun)):  # and what was granted meanwhile
        for link in left:
            act("link-end", link=link, reason="no longer needed")
        register = open_view(folder).register
    result = msgspec.structs.replace(result, ended=now_ms())
    if begun.drill in register.state.drilled.values():  # by a process that was then killed
        return _removed(folder, begun, Ended(result, ()))
    ordinary = tuple(
        one for one in begun.recipients if unfit(register, one, begun.started, result.ended)
    )
    recipients = [one for one in begun.recipients if one not in ordinary]
    if recipients:
        act(
            "drill-note",
            drill=begun.drill,
            drill_name=result.name,
            recipients=recipients,
            started=begun.started,
            ended=result.ended,
            variants=[msgspec.to_builtins(one.record()) for one in result.variants],
            result=canonical.digest(canonical.encode(msgspec.to_builtins(result))),
        )
    return _removed(folder, begun, Ended(result, ordinary))


def _registered(folder: Folder, begun: Begun) -> Register:
    """Take up those who were being registered when it was broken off, where they were."""
    until = time.monotonic() + _UNDER_WAY
    while True:
        register = open_view(folder).register
        ids = {one.handle: one.recipient for one in register.organisations.values()}
        # Who is registered has a link a moment later.
        linked = {handle for handle in begun.coming if register.links_of(ids.get(handle, ""))}
        if linked.issuperset(begun.coming) or time.monotonic() > until:
            break
        time.sleep(0.1)
    for recipient in (ids[handle] for handle in begun.coming if handle in ids):
        # One that had the name before is not the drill's.
        if all(link.start >= begun.started for link in register.links_of(recipient)):
            begun.recipients.append(recipient)
    begun.coming.clear()
    keep(folder, begun)
    return register


def _left(register: Register, begun: Begun) -> Iterator[str]:
    """The links of its recipients that are not ended yet."""
    for recipient in begun.recipients:
        for link in register.links_of(recipient):
            if not register.state.links[link.id].ended:
                yield link.id


def _removed(folder: Folder, begun: Begun, ended: Ended) -> Ended:
    if Path(begun.root).name.startswith(ROOT):  # and nothing that was not a drill's
        shutil.rmtree(begun.root, ignore_errors=True)
    (folder.root / FILE).unlink(missing_ok=True)
    return ended
