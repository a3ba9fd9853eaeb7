"""Delegation links: what one says, and whether its grantor may say it.

A link is a compact JWS (typ `bailment-link+jwt`, ES256) signed by the delegating party, so that
neither the issuer nor anybody above can invent one. The chain runs issuer → recipient →
(subcontractor →) person → device; every link names its parent and may only narrow it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Annotated, Any, Literal

import msgspec

from bailment import canonical
from bailment.access import jws
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.ledger.records import Budget

TYP = "bailment-link+jwt"
_PERSON = b"bailment.person.v1\0"

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Kind = Literal["recipient", "subcontractor", "person", "device", "workload"]
#: Which kinds of party a link of each kind may stand under; None is the issuer itself.
_PARENTS: dict[str, tuple[str | None, ...]] = {
    "recipient": (None,),
    "subcontractor": ("recipient", "subcontractor"),
    "person": ("recipient", "subcontractor"),
    "device": ("person",),
    "workload": ("recipient", "subcontractor"),
}
#: Parties whose own link names no key: a person has devices, and a workload's keys last a job.
_KEYLESS = ("person", "workload")
#: Parties that hold a key to sign further links with.
GRANTORS = ("recipient", "subcontractor")


#: A person's attribute: a short name, and a value without spaces or control characters.
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
_Value = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}\Z")]
_Claim = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_MOST_ATTRIBUTES = 16


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By which claims of its tokens a workload is known (RFC 7519): all are compared exactly."""

    iss: _Claim
    aud: _Claim
    sub: _Claim


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The payload of a link.

    id, parent   link ids; parent is empty for a recipient's link, which the issuer signs
    kind         what the subject is; `subject` is its id (a recipient's pseudonym)
    key          the subject's public JWK: admin key of an organisation, key of a device
    models       what may be called; empty means no narrowing (never so for a recipient)
    purposes     likewise
    networks     CIDR blocks that requests must come from; empty means no narrowing
    budget       tokens in each window, shared by everybody below
    depth        how many more subcontractors may follow below
    start, until when it holds, ms
    personal     of a person: the commitment to who it is (`commit_person`), hex; links from before
                 there was one have none. Of a device: to who confirmed it
    attributes   of a person: what the employer vouches for, such as `jurisdiction`, by name
    handle       of a subcontractor: what who delegates to it calls it, and `contact` whom to tell
    owner        of a workload: the id of the person who answers for it
    workload     of a workload: the `iss`, `aud` and `sub` of its job tokens, exactly
    """

    id: Id
    parent: Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{32})?\Z")]
    kind: Kind
    subject: Id
    start: int
    until: int
    key: dict[str, str] | None = None
    models: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    budget: Budget | None = None
    depth: int = 0
    personal: Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{64})?\Z")] = ""
    attributes: dict[_Name, _Value] = {}
    handle: Annotated[
        str, msgspec.Meta(pattern=r"^(?:[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)?\Z")
    ] = ""
    contact: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}\Z")] = ""
    owner: Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{32})?\Z")] = ""
    workload: Job | None = None


def commit_person(personal: dict[str, str]) -> str:
    """What a person's link says of who the person is: a hash of the personal part beside it.

    The part has a random `salt` among its members, so that nobody can try names against the link,
    and nothing is left of the name once the part was erased.
    """
    return hashlib.sha256(_PERSON + canonical.encode(personal)).hexdigest()


def sign_link(link: Link, private_key: Any, thumbprint: str) -> str:
    """The link as the grantor, whose key has this RFC 7638 thumbprint, signs it."""
    return jws.sign({"kid": thumbprint, "typ": TYP}, canonical.encode(link), private_key)


def read_link(compact: str) -> Link:
    """What a link says; its signature is not looked at. FormatError if it is not a link."""
    signed = jws.parse(compact)
    if signed.header.get("typ") != TYP:
        raise FormatError("the link's `typ` is not `bailment-link+jwt`")
    if signed.alg != "ES256":
        raise FormatError("the link's `alg` is not `ES256`")
    try:
        link = msgspec.convert(canonical.decode(signed.payload), Link)
    except msgspec.ValidationError as error:
        raise FormatError(f"the link is wrong: {error}") from None
    for block in link.networks:
        try:
            ipaddress.ip_network(block)
        except ValueError:
            raise FormatError(
                f"`{block}` is not a network; write one like `192.0.2.0/24`"
            ) from None
    if link.budget is not None and (link.budget.tokens < 1 or link.budget.seconds < 1):
        raise FormatError("a budget needs at least one token and one second")
    if len(link.attributes) > _MOST_ATTRIBUTES:
        raise FormatError(f"a person has at most {_MOST_ATTRIBUTES} attributes")
    if link.start >= link.until:
        raise FormatError("the link ends before it starts")
    return link


def narrows(link: Link, parent: Link | None) -> Refused | None:
    """Whether the link stands under its parent and gives nothing that the parent lacks."""
    if (parent.kind if parent else None) not in _PARENTS[link.kind]:
        above = parent.kind if parent else "issuer"
        return Refused(Reason.CHAIN_BROKEN, f"a {link.kind} cannot stand under a {above}")
    if link.personal and link.kind not in ("person", "device"):
        return Refused(Reason.CHAIN_BROKEN, f"a {link.kind}'s link commits to no name")
    if link.attributes and link.kind != "person":
        return Refused(Reason.CHAIN_BROKEN, f"a {link.kind}'s link has no attributes")
    if (link.handle or link.contact) and link.kind != "subcontractor":
        return Refused(Reason.CHAIN_BROKEN, f"a {link.kind}'s link has no handle and no contact")
    works = link.kind == "workload"
    if works != bool(link.owner) or works != (link.workload is not None):
        return Refused(Reason.CHAIN_BROKEN, "a workload, and nothing else, has an owner and a job")
    if (link.key is None) != (link.kind in _KEYLESS):
        return Refused(Reason.CHAIN_BROKEN, f"a {link.kind}'s link names the wrong key")
    if parent is None:
        if not link.models or not link.purposes:
            return Refused(Reason.CHAIN_BROKEN, "a recipient's link must name models and purposes")
        return None
    if link.kind == "subcontractor" and link.depth >= parent.depth:
        return Refused(Reason.CHAIN_BROKEN, "the parent allows no further subcontractor")
    if link.until > parent.until or link.start < parent.start:
        return Refused(Reason.CHAIN_BROKEN, "the link lasts longer than its parent")
    if parent.models and not set(link.models) <= set(parent.models):
        return Refused(Reason.MODEL_OUTSIDE_CHAIN, "a model is outside the parent's")
    if parent.purposes and not set(link.purposes) <= set(parent.purposes):
        return Refused(Reason.PURPOSE_OUTSIDE_CHAIN, "a purpose is outside the parent's")
    if parent.networks and not all(inside(block, parent.networks) for block in link.networks):
        return Refused(Reason.NETWORK_OUTSIDE_CHAIN, "a network is outside the parent's")
    return None


def inside(block: str, blocks: tuple[str, ...]) -> bool:
    """Whether a network lies in one of these."""
    inner = ipaddress.ip_network(block)
    return any(
        inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
        for outer in map(ipaddress.ip_network, blocks)
    )


def networks_of(address: str, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the declared blocks the address lies in; none for one that does not parse."""
    if not blocks:
        return ()
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return ()
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped:
        place = place.ipv4_mapped
    return tuple(block for block in blocks if place in ipaddress.ip_network(block))
