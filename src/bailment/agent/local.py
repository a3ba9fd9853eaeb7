"""What an agent's variables say, kept in its profile so that they hold when it starts again.

agent.json     the local capability, the address that the agent listened on last, and whether the
               gateway knows the capability's hash
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import msgspec

from bailment import canonical
from bailment.agent import private
from bailment.agent.listener import Listener, bind
from bailment.errors import ConfigurationError, FormatError

LOCAL = "agent.json"
ANY_PORT = "127.0.0.1:0"


class Local(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`agent.json`. `listen` is empty as long as no port is to be kept; `registered` if the gateway
    raises a finding where the capability turns up."""

    capability: Annotated[str, msgspec.Meta(pattern=r"^bailment-local-[A-Za-z0-9_-]{43}\Z")]
    listen: str = ""
    registered: bool = False


def is_registered(folder: Path) -> bool:
    """Whether the gateway knows the hash of this profile's capability."""
    stored = _load(folder)
    return stored is not None and stored.registered


def note_registered(folder: Path) -> None:
    """Note that it does."""
    if (stored := _load(folder)) is not None:
        _save(folder, msgspec.structs.replace(stored, registered=True))


def bind_local(folder: Path, listen: str, *, check_peers: bool = True) -> tuple[Listener, str]:
    """Bind `listen`, or the address of the last time if it is empty; with the capability.

    The port is kept for the next start, unless any was asked for. Raises as `bind` does.
    """
    stored = _load(folder)
    known = stored or Local("bailment-local-" + secrets.token_urlsafe(32))
    again = known.listen if not listen else ""
    try:
        listener = bind(listen or again or ANY_PORT, check_peers=check_peers)
    except ConfigurationError as error:
        if again:
            raise ConfigurationError(
                f"{error}; this profile's agent listened there last",
                hint="end what listens there now, perhaps another agent; or choose a port, "
                "which is kept: bailment agent --listen 127.0.0.1:PORT",
            ) from None
        raise
    kept = known
    if listener.path is None and not listen.endswith(":0"):
        kept = msgspec.structs.replace(known, listen=listener.base_url.removeprefix("http://"))
    if kept != stored:
        _save(folder, kept)
    return listener, kept.capability


def _save(folder: Path, local: Local) -> None:
    private.write(folder / LOCAL, canonical.encode(local) + b"\n")


def _load(folder: Path) -> Local | None:
    path = folder / LOCAL
    if not path.exists():
        return None
    try:
        return msgspec.convert(canonical.parse_unique(private.read(path)), Local)
    except (FormatError, msgspec.ValidationError):
        raise ConfigurationError(
            f"`{path}` is damaged", hint="remove it; the agent makes another, with new variables"
        ) from None
