"""The names by which people on the command line know what the log knows by random ids."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from bailment import canonical
from bailment.access import jwk
from bailment.access.holds import EVERYTHING
from bailment.access.jwk import PublicKey
from bailment.errors import BailmentError, ConfigurationError, FormatError
from bailment.store.folder import Folder
from bailment.store.view import Known, open_view

_ID = re.compile(r"[0-9a-f]{32}")


def find_person(known: Known, who: str) -> str:
    """The one person with this id, email or name."""
    found = known.people.find(who)
    if not found:
        near = _near(who, known.people.known())
        raise BailmentError(f"nobody is `{who}`{near}", hint="bailment person list")
    if len(found) > 1:
        raise BailmentError(
            f"{len(found)} people are `{who}`",
            hint=f"say which by email or id, as in `bailment person list`: {', '.join(found)}",
        )
    return found[0]


def find_recipient(known: Known, handle: str) -> str:
    """The id of the organisation with this handle (`acme`, `acme/vendor`) or id."""
    for name, found in known.register.organisations.items():
        if handle in (name, found.handle):
            return name
    near = _near(handle, (one.handle for one in known.register.organisations.values()))
    raise BailmentError(f"there is no recipient `{handle}`{near}", hint="bailment recipient list")


def _near(typed: str, known: Iterable[str]) -> str:
    """Names that are written much like what was typed."""
    found = ", ".join(f"`{one}`" for one in get_close_matches(typed, sorted(set(known)), 3))
    return f"; near it: {found}" if found else ""


def find_network(known: Known, block: str) -> str:
    """A declared network as the delegation that declares it writes it; accesses carry no others."""
    declared = known.register.networks
    try:
        sought = ipaddress.ip_network(block)
    except ValueError:
        raise BailmentError(
            f"`{block}` is not a network", hint="write one like `192.0.2.0/24`"
        ) from None
    for one in declared:
        if ipaddress.ip_network(one) == sought:
            return one
    others = f"those declared are {', '.join(declared)}" if declared else "none is declared"
    raise BailmentError(f"no delegation declares the network `{block}`: {others}")


def handle_of(known: Known, pseudonym: str) -> str:
    """The name of an organisation."""
    found = known.register.organisations.get(pseudonym)
    return found.handle if found else pseudonym


def name_of(known: Known, kind: str, subject: str) -> str:
    """What people call a subject; its id where they have no other name for it."""
    match kind:
        case "person":
            return known.people.name(subject) if subject else ""
        case "recipient" | "subcontractor":
            return handle_of(known, subject)
        case "device":
            return known.people.device(subject) or subject
        case "link":
            link = known.register.links.get(subject)
            return f"{link.kind} {name_of(known, link.kind, link.subject)}" if link else subject
    return subject


def short(subject: str) -> str:
    """A subject with only the beginning of its random id, for where there is little room."""
    return _ID.sub(lambda found: found[0][:8], subject)


def find_subject(folder: Folder, subject: str) -> str:
    """The subject of a hold with names replaced by the ids that the log knows."""
    kind, _, name = subject.partition(":")
    if kind == "person" and _ID.fullmatch(name):
        return subject  # who has the id need not wait for the log to be read
    if kind == "person":
        return f"person:{find_person(open_view(folder), name)}"
    if kind in ("recipient", "subcontractor"):
        view = open_view(folder)
        found = find_recipient(view, name)
        top = view.fold.register.organisations[found].recipient == found
        return f"{'recipient' if top else 'subcontractor'}:{found}"
    if kind == "network":
        return f"network:{find_network(open_view(folder), name)}"
    return subject


def find_hold(folder: Folder, held: str) -> str:
    """The id of a hold: this one, the only one that begins so, or the only one on this subject."""
    if ":" not in held and held != EVERYTHING:
        return _begun(folder, held) if 8 <= len(held) < 32 else held
    subject = find_subject(folder, held)
    register = open_view(folder).fold.register
    found = [hold.hold for hold in register.holds_on.get(subject, ())]
    if len(found) != 1:
        many = f"there are {len(found)} holds" if found else "there is no hold"
        raise BailmentError(f"{many} on `{held}`", hint="bailment hold list")
    return found[0]


def _begun(folder: Folder, begin: str) -> str:
    known = open_view(folder).fold.register.state.holds
    found = [name for name in known if name.startswith(begin)]
    if len(found) > 1:
        raise BailmentError(f"several holds begin with `{begin}`", hint="bailment hold list --json")
    return found[0] if found else begin


_ADMINS = "the recipient makes it with `bailment recipient key FOLDER` and sends you admin.jwk"


def read_jwk(path: Path, hint: str = _ADMINS) -> PublicKey:
    """A public key: that of an organisation's admin, unless `hint` says whose, and who makes it."""
    try:
        data = path.read_bytes()
        if data.lstrip().startswith(b"-----BEGIN"):
            raise FormatError("it is PEM, not JSON")
        return jwk.parse(canonical.parse_unique(data))
    except OSError as error:
        why = str(error.strerror).lower()
    except FormatError as error:
        why = str(error)
    raise ConfigurationError(f"cannot read a JWK from `{path}`: {why}", hint=hint)
