"""`bailment drill` for the lab, and `bailment rehearse` for the recipient that it is held with."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from bailment.cli.console import Dir, act
from bailment.cli.output import Json, note, say, show_json
from bailment.cli.recipient import Profile
from bailment.cli.subjects import find_person, find_recipient
from bailment.errors import BailmentError
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

app = typer.Typer(no_args_is_help=True, help="Measure what nobody believes unmeasured.")

#: Longer than the issuer waits for all of it, in seconds.
_SECONDS = 28.0

Purpose = Annotated[str, typer.Option(help="What the device uses the canary for; goes on record.")]


@app.callback()
def drills() -> None:
    """Measure what nobody believes unmeasured."""


@app.command("revoke")
def revoke(
    handle: Annotated[str, typer.Argument(help="The recipient.")],
    person: Annotated[
        str, typer.Option(help="Whom to hold; without it, whoever streams from a canary.")
    ] = "",
    kind: Annotated[
        str, typer.Option(help="The kind of evidence, if the spec has several for it.")
    ] = "",
    profile: Annotated[
        str,
        typer.Option(help="Open the stream too, with this profile of a device on this machine."),
    ] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Put a person on hold while they stream from a canary, measure, lift the hold.

    Meanwhile the recipient runs `bailment rehearse`, unless `--profile` names a device here.
    The result is evidence that the gateway observed, by the times in its log.
    """
    folder = Folder(directory)
    view = open_view(folder)
    recipient = find_recipient(view, handle)
    who = find_person(view, person) if person else ""
    with ThreadPoolExecutor(1) as beside:
        streaming = beside.submit(_stream, profile, _canary(view, recipient)) if profile else None
        try:
            done = act(folder, "drill-revoke", recipient=recipient, person=who, kind=kind)
        except BailmentError as error:
            if streaming is not None and streaming.done():
                _explain(streaming, error)
            raise
    _show(done, as_json=as_json)


def rehearse(
    model: Annotated[str, typer.Argument(help="The canary model.")],
    purpose: Purpose = "",
    seconds: Annotated[float, typer.Option(min=1, help="Give up after so long.")] = 300,
    profile: Profile = "default",
) -> None:
    """Stream from a canary until the lab cuts it in a drill, then ask until it is lifted."""
    from bailment.agent.rehearsal import rehearse as play

    @cache
    def opened() -> None:
        note("streaming; tell the lab, which runs `bailment drill revoke`")

    device, what = _device(profile, purpose)
    seen = play(device, what, model, seconds, opened)
    say(
        f"cut, refused for {seen.refused:.1f} s, and answered again; "
        f"{seen.answered} requests were answered after the cut"
    )


def _stream(profile: str, model: str) -> None:
    from bailment.agent.rehearsal import rehearse as play

    device, what = _device(profile, "")
    play(device, what, model, _SECONDS)


def _device(profile: str, purpose: str) -> tuple[Any, str]:
    from bailment.agent.profile import default_folder, load

    device = load(default_folder(profile))
    purposes = device.profile.purposes
    if not purpose and not purposes:
        raise BailmentError("this device waits to be confirmed", hint="bailment enrol")
    return device, purpose or purposes[0]


def _canary(view: View, recipient: str) -> str:
    """A canary that the recipient may use."""
    register = view.fold.register
    granted = {
        model
        for link in register.path(register.link_of.get(recipient, ""))[:1]
        for model in link.models
    }
    for name, model in sorted(register.state.models.items()):
        if model.canary is True and name in granted:
            return name
    raise BailmentError(
        "no canary model is granted to this recipient",
        hint="`canary = true` in a model's settings makes one; name it in `recipient add --model`",
    )


def _explain(streaming: Future[None], error: BailmentError) -> None:
    """Why there was no stream, if the device says so."""
    cause = streaming.exception()
    if isinstance(cause, BailmentError):
        raise cause from error


def _show(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(done)
        return
    claims = done["claims"]
    for name, what in (("cut_after_ms", "streams cut"), ("refused_after_ms", "requests refused")):
        if name in claims:
            say(f"{what} after {claims[name]} ms")
        else:
            say(f"{what}: not within the drill")
    say(f"on record as {done['kind']}, observed: {done['item']}")
