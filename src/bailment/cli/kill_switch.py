"""The kill switch and its opposite: stop all access with a file and a signal, and maintenance.

`on` asks nothing of log, database or control socket. Whatever gives access back is a record, and
may take several people.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.access.reasons import Reason as Refusal
from bailment.cli import console
from bailment.cli.console import Dir, act, author
from bailment.cli.output import Json, note, say, show_json, warn
from bailment.cli.register import Reason
from bailment.cli.times import ahead, show_time
from bailment.clock import now_ms, steady_ms
from bailment.errors import BailmentError
from bailment.store import switch
from bailment.store.folder import Folder, owner

app = typer.Typer(
    no_args_is_help=True, help="Stop all access at once, without log or database; give it back."
)
maintenance = typer.Typer(
    no_args_is_help=True, help="Let the gateway go on for a time without hearing the log."
)

#: What the running issuer may take to say that it stopped, and each question to it, seconds.
_CONFIRM, _QUESTION = 5.0, 1.0


@app.command("on")
def on(reason: Reason, directory: Dir = Path(), as_json: Json = False) -> None:
    """Refuse everything and cut every stream, from now on and after every restart."""
    folder, began = Folder(directory), steady_ms()
    folder.require()
    pid = owner(folder)
    if pid:  # first, since the disk may be what hangs
        os.kill(pid, switch.SIGNAL)
    lost = switch.turn_on(folder.kill_switch, author(), reason)
    if lost and not pid:
        raise BailmentError(f"the kill switch is NOT on: {lost}", hint="make the file by hand")
    said = _confirmed(folder) if pid else {}
    found = {
        "file": switch.is_on(folder.kill_switch),
        "pid": pid or None,
        "stopped": said.get("killed") is True and not said["open"],
        "after": round(steady_ms() - began, 1),
    }
    if as_json:
        show_json(found)
    elif not pid:
        say("the kill switch is on; no issuer is running here, and none will give access")
    elif found["stopped"]:
        say(f"the kill switch is on: pid {pid} refuses everything, and no stream is open")
        note(f"confirmed {found['after']} ms after you asked")
    else:
        say(f"the kill switch is on: pid {pid} was told")
    if lost:
        warn(f"it will not outlive pid {pid}: {lost}")
    if pid and not found["stopped"]:
        raise BailmentError(
            f"pid {pid} has not confirmed it within {_CONFIRM:.0f} s",
            hint=f"it looks at the file by itself; to be sure: kill -KILL {pid}",
        )


@app.command("off")
def off(reason: Reason, directory: Dir = Path()) -> None:
    """Give access back; the spec may ask for several people."""
    act(Folder(directory), "kill-switch-off", hints=_OFF_HINTS, reason=reason)
    if switch.is_on(Folder(directory).kill_switch):
        raise BailmentError(
            f"the log says off, but `{Folder(directory).kill_switch}` is still there",
            hint="see what the issuer wrote to its standard error",
        )
    say("the kill switch is off")


@app.command("status")
def status(directory: Dir = Path(), as_json: Json = False) -> None:
    """Say whether it is on, by the file and by the issuer that runs."""
    folder = Folder(directory)
    folder.require()
    there, pid = switch.is_on(folder.kill_switch), owner(folder)
    said = _ask(folder) if pid else {}
    found: dict[str, Any] = {"file": there, "pid": pid or None, "stopped": said.get("killed")}
    if there:
        told = switch.read(folder.kill_switch)
        found |= {"author": told.author, "reason": told.reason}
        found["time"] = show_time(told.time) if told.time else None
    if as_json:
        show_json(found)
        return
    say(f"the kill switch is {'on' if there or said.get('killed') else 'off'}")
    if there:
        say(f"by {found['author']} at {found['time'] or 'an unknown time'}: {found['reason']}")
    if pid and "killed" not in said:
        warn(f"pid {pid} does not answer")
    elif pid and said["killed"] != there:
        warn(f"pid {pid} is {'stopped' if said['killed'] else 'NOT stopped'}; the file says else")


_OFF_HINTS = {Refusal.CHAIN_BROKEN: "bailment kill-switch status"}


def _ask(folder: Folder) -> dict[str, Any]:
    try:
        return console.status(folder, patience=_QUESTION)
    except BailmentError:
        return {}


def _confirmed(folder: Folder) -> dict[str, Any]:
    """What the issuer says once it has stopped, or when it has had its time."""
    end = time.monotonic() + _CONFIRM
    while True:
        said = _ask(folder)
        if (said.get("killed") and not said["open"]) or time.monotonic() >= end:
            return said
        time.sleep(0.02)


@maintenance.command("start")
def start(
    reason: Reason,
    until: Annotated[str, typer.Option(help="When it ends by itself, like 30m.")] = "10m",
    directory: Dir = Path(),
) -> None:
    """Let open streams and new work go on although the log is not heard. Bounded by the spec."""
    ends = ahead(until, now_ms())
    act(Folder(directory), "maintenance", until=ends, reason=reason)
    say(f"silence of the log is excused until {show_time(ends)}")


@maintenance.command("end")
def end(reason: Reason, directory: Dir = Path()) -> None:
    """Excuse silence of the log no longer."""
    act(Folder(directory), "maintenance", until=0, reason=reason)
    say("silence of the log is excused no longer")
