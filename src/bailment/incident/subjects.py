"""What an incident, or a place of the custody map, may be about: a subject of the register, or what
people name that is in none."""

from __future__ import annotations

import re

from bailment.access.holds import subject_exists
from bailment.access.state import Indexed

#: Firms and systems outside; what they are called is a handle, before which stands that of the
#: organisation which declared it (`system:acme/ci-vault`), and never a path.
OUTSIDE = ("vendor", "system")
#: What the register has, and cannot be named without being there.
_REGISTERED = ("recipient", "subcontractor", "person", "device", "workload", "link", "key")
#: What accesses tell, of which the register knows some.
_TOLD = ("network", "model", "purpose")
_HANDLE = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def unfit(register: Indexed, subject: str) -> str:
    """Why nothing can be about this subject, in words; empty if something can."""
    kind, _, name = subject.partition(":")
    if kind in OUTSIDE:
        of, slash, last = name.rpartition("/")
        theirs = not slash or any(one.handle == of for one in register.organisations.values())
        fits = is_handle(last) and (theirs if kind == "system" else not slash)
        return "" if fits else f"`{subject}` is no subject: {_WRITTEN}"
    if kind == "source":
        return "" if name in register.state.sources else _MISSING.format(subject)
    if kind in _REGISTERED:
        return "" if subject_exists(register, subject) else _MISSING.format(subject)
    if kind in _TOLD and name:
        return ""
    return f"`{subject}` is no subject: it is written kind:id, and a kind is {_KINDS}"


def is_handle(name: str) -> bool:
    """Whether a firm or system outside may be called this."""
    return _HANDLE.fullmatch(name) is not None


_KINDS = ", ".join((*_REGISTERED, "source", *_TOLD, *OUTSIDE))
_WRITTEN = "a firm or system outside has a name of letters, digits, `.`, `_` and `-`"
_MISSING = "there is no `{}`; a firm outside is written vendor:NAME"
