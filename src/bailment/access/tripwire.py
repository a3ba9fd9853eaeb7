"""Tripwires: secrets that open nothing, and whose appearance tells where they leaked.

capability   what an agent's clients show it in place of an API key; it means nothing to a gateway
slug         the path under which an organisation's clients reach the gateway, `/r/<slug>/v1/…`;
             it is part of a URL and authenticates nobody
honey        looks like a capability, belongs to no device, and was put where only a thief looks
model        the name of a model that no chain contains and nobody is told of

The log has the SHA-256 of each, and whose it is; of the last two, in which system it was put.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import unquote_to_bytes

from bailment import canonical
from bailment.access.certificate import asked
from bailment.access.reasons import Reason, Refused
from bailment.access.state import Indexed
from bailment.ledger.identity_records import TripwireSet

#: Where a device registers the hash of its agent's capability.
PATH = "/enrol/tripwires"
CAPABILITY, SLUG = "bailment-local-", "bailment-slug-"
#: What the issuer lays out itself.
LAID = ("honey", "model")
#: One device, or one organisation, has at most so many in the log.
MOST = 100

_SECRET = re.compile(rb"bailment-(?:local-[A-Za-z0-9_-]{43}|slug-[A-Za-z0-9_-]{22})")
_BELOW = re.compile(rf"/r/({SLUG}[A-Za-z0-9_-]{{22}})(?=/)")
_HASH = re.compile("[0-9a-f]{64}")
#: Where a secret is laid: `system:` and what people call it.
_SYSTEM = re.compile("system:[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def digest(secret: bytes) -> str:
    """What is registered of a secret: its SHA-256, hex."""
    return sha256(secret).hexdigest()


def is_decoy(register: Indexed, model: str) -> bool:
    """Whether the issuer laid out this model's name for whoever should not have it."""
    tripwires = register.state.tripwires
    if not tripwires or not model or model in register.state.models:
        return False
    found = tripwires.get(digest(model.encode()))
    return found is not None and found.kind == "model"


def registration_body(device: str, secret: str) -> bytes:
    """The one body that registers a hash for a device, which its proof is made over."""
    return canonical.encode({"device": device, "secret": secret})


def split(path: str) -> tuple[str, str]:
    """The slug that a request's path begins with, empty if none, and the path without it."""
    found = _BELOW.match(path)
    return (found[1], path[found.end() :]) if found else ("", path)


def without_slug(url: str) -> str:
    """The URL that a proof is made for: the issuer knows no other than its own."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host}{split(slash + path)[1]}"


def shown(path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> set[str]:
    """The hashes of all that looks like a tripwire's secret in a request, wherever it is.

    `path` is without the slug that it may begin with, which is in its place there.
    """
    places = [path, query]
    places += (unquote_to_bytes(place) for place in (path, query) if b"%" in place)
    for name, value in headers:
        places.append(value)
        if name == b"authorization" and value[:6].lower() == b"basic ":
            places.append(_decoded(value[6:]))
    return {digest(found) for found in _SECRET.findall(b"\n".join(places))}


def tripwire_set(register: Indexed, facts: TripwireSet, now: int) -> Refused | None:
    """Why a tripwire may not be set: an agent's is asked for by its device's key."""
    known = register.state.tripwires
    if facts.secret in known:
        return _wrong("the secret is known")
    if not _HASH.fullmatch(facts.secret):
        return _wrong("a secret is registered by its SHA-256 in hex")
    if sum(one.subject == facts.subject for one in known.values()) >= MOST:
        return Refused(Reason.TOO_OFTEN, f"there are {MOST} tripwires of `{facts.subject}`")
    if facts.kind in LAID:
        return None if _SYSTEM.fullmatch(facts.subject) else _wrong("it is laid in a `system:NAME`")
    kind, _, name = facts.subject.partition(":")
    if (facts.kind, kind) == ("slug", "recipient"):
        return None if name in register.state.recipients else _wrong("there is no such recipient")
    if (facts.kind, kind) != ("capability", "device"):
        return _wrong("a tripwire is an organisation's `slug` or a device's `capability`")
    path = register.path(register.link_of.get(name, ""))
    if not path or path[-1].kind != "device":
        return Refused(Reason.LINK_UNKNOWN, "there is no such device")
    body = registration_body(name, facts.secret)
    return asked(register, name, facts.proof or "", PATH, body, now)


def _decoded(value: bytes) -> bytes:
    try:
        return b64decode(value)
    except ValueError:
        return b""


def _wrong(detail: str) -> Refused:
    return Refused(Reason.CHAIN_BROKEN, detail)
