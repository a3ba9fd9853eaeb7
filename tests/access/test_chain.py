"""Links: what one says, and that it narrows what stands above it."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from bailment import canonical
from bailment.access import base64url, jwk, jws
from bailment.access.chain import TYP, Link, narrows, networks_of, read_link, sign_link
from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.ledger.records import Budget

KEY = ec.derive_private_key(7, ec.SECP256R1())
PUBLIC = jwk.from_key(KEY.public_key())
RECIPIENT = Link(
    id="1" * 32,
    parent="",
    kind="recipient",
    subject="2" * 32,
    start=1_000,
    until=9_000,
    key=PUBLIC.jwk,
    models=("small", "large"),
    purposes=("red-team", "audit"),
    networks=("10.0.0.0/8", "2001:db8::/32"),
    budget=Budget(1000, 60),
    depth=2,
)
PERSON = Link("3" * 32, RECIPIENT.id, "person", "4" * 32, 1_000, 9_000)
SUB = Link("5" * 32, RECIPIENT.id, "subcontractor", "6" * 32, 1_000, 9_000, PUBLIC.jwk, depth=1)
DEVICE = Link("7" * 32, PERSON.id, "device", "8" * 32, 1_000, 9_000, PUBLIC.jwk)


def but(link: Link, **changes: Any) -> Link:
    return msgspec.structs.replace(link, **changes)


def signed(values: Any, typ: str = TYP) -> str:
    return jws.sign({"typ": typ}, canonical.encode(values), KEY)


@pytest.mark.parametrize("link", [RECIPIENT, PERSON, SUB, DEVICE], ids=lambda link: link.kind)
def test_a_link_is_read_as_it_was_signed(link: Link) -> None:
    compact = sign_link(link, KEY, PUBLIC.thumbprint)
    assert read_link(compact) == link
    assert jws.parse(compact).header == {"alg": "ES256", "kid": PUBLIC.thumbprint, "typ": TYP}
    assert jws.verify(jws.parse(compact), PUBLIC)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "1" * 31},
        {"id": "G" * 32},
        {"id": "1" * 32 + "\n"},
        {"parent": "x"},
        {"subject": ""},
        {"kind": "admin"},
        {"kind": None},
        {"start": 1.5},
        {"start": "1"},
        {"until": True},
        {"until": 1_000},
        {"models": "small"},
        {"models": [1]},
        {"key": "k"},
        {"networks": ["10.0.0.1/8"]},
        {"networks": ["10.0.0.0/33"]},
        {"networks": [""]},
        {"budget": {"tokens": 0, "seconds": 1}},
        {"budget": {"tokens": 1, "seconds": 0}},
        {"budget": {"tokens": 1}},
        {"extra": 1},
    ],
)
def test_what_is_no_link_is_refused(changes: dict[str, Any]) -> None:
    values = {**json.loads(canonical.encode(RECIPIENT)), **changes}
    with pytest.raises(FormatError):
        read_link(signed(values))


@pytest.mark.parametrize("missing", ["id", "parent", "kind", "subject", "start", "until"])
def test_a_link_without_what_it_needs_is_refused(missing: str) -> None:
    values = json.loads(canonical.encode(RECIPIENT))
    del values[missing]
    with pytest.raises(FormatError):
        read_link(signed(values))


def test_another_kind_of_token_is_no_link() -> None:
    with pytest.raises(FormatError, match="typ"):
        read_link(signed(json.loads(canonical.encode(RECIPIENT)), "at+jwt"))


def test_a_link_is_signed_by_es256_alone() -> None:
    header = base64url.encode(canonical.encode({"alg": "PS256", "typ": TYP}))
    _, payload, signature = signed(json.loads(canonical.encode(PERSON))).split(".")
    with pytest.raises(FormatError, match="ES256"):
        read_link(f"{header}.{payload}.{signature}")


def test_a_link_has_one_spelling() -> None:
    text = json.dumps(json.loads(canonical.encode(PERSON)), indent=1).encode()
    with pytest.raises(FormatError):
        read_link(jws.sign({"typ": TYP}, text, KEY))


@pytest.mark.parametrize(
    ("link", "parent"),
    [
        (RECIPIENT, None),
        (SUB, RECIPIENT),
        (PERSON, RECIPIENT),
        (PERSON, SUB),
        (DEVICE, PERSON),
        (but(SUB, depth=0), SUB),
    ],
)
def test_the_chain_runs_from_issuer_to_device(link: Link, parent: Link | None) -> None:
    assert narrows(link, parent) is None


@pytest.mark.parametrize(
    ("link", "parent"),
    [
        (RECIPIENT, RECIPIENT),
        (RECIPIENT, PERSON),
        (SUB, None),
        (SUB, PERSON),
        (SUB, DEVICE),
        (PERSON, None),
        (PERSON, PERSON),
        (PERSON, DEVICE),
        (DEVICE, None),
        (DEVICE, RECIPIENT),
        (DEVICE, SUB),
        (DEVICE, DEVICE),
    ],
)
def test_no_other_order_is_a_chain(link: Link, parent: Link | None) -> None:
    refused = narrows(link, parent)
    assert refused is not None
    assert refused.reason is Reason.CHAIN_BROKEN


NARROWER = but(PERSON, models=("small",), purposes=("audit",), networks=("10.1.0.0/16",))


@pytest.mark.parametrize(
    ("link", "parent", "reason"),
    [
        (but(PERSON, models=("small", "huge")), RECIPIENT, Reason.MODEL_OUTSIDE_CHAIN),
        (but(PERSON, purposes=("profit",)), RECIPIENT, Reason.PURPOSE_OUTSIDE_CHAIN),
        (but(PERSON, networks=("11.0.0.0/8",)), RECIPIENT, Reason.NETWORK_OUTSIDE_CHAIN),
        (but(PERSON, networks=("0.0.0.0/0",)), RECIPIENT, Reason.NETWORK_OUTSIDE_CHAIN),
        (but(PERSON, networks=("::/0",)), RECIPIENT, Reason.NETWORK_OUTSIDE_CHAIN),
        (but(PERSON, until=9_001), RECIPIENT, Reason.CHAIN_BROKEN),
        (but(PERSON, start=999), RECIPIENT, Reason.CHAIN_BROKEN),
        (but(SUB, depth=2), RECIPIENT, Reason.CHAIN_BROKEN),
        (SUB, but(SUB, depth=0), Reason.CHAIN_BROKEN),
        (but(DEVICE, models=("large",)), NARROWER, Reason.MODEL_OUTSIDE_CHAIN),
        (but(PERSON, key=PUBLIC.jwk), RECIPIENT, Reason.CHAIN_BROKEN),
        (but(SUB, key=None), RECIPIENT, Reason.CHAIN_BROKEN),
        (but(DEVICE, key=None), PERSON, Reason.CHAIN_BROKEN),
        (but(RECIPIENT, key=None), None, Reason.CHAIN_BROKEN),
        (but(RECIPIENT, models=()), None, Reason.CHAIN_BROKEN),
        (but(RECIPIENT, purposes=()), None, Reason.CHAIN_BROKEN),
    ],
)
def test_a_link_that_does_not_narrow_is_refused(
    link: Link, parent: Link | None, reason: Reason
) -> None:
    refused = narrows(link, parent)
    assert isinstance(refused, Refused)
    assert refused.reason is reason


NAMES = st.frozensets(st.sampled_from(["a", "b", "c"])).map(lambda names: tuple(sorted(names)))
BLOCKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "11.0.0.0/8", "2001:db8::/32"]),
    unique=True,
    max_size=3,
).map(tuple)
PERSONS = st.builds(
    lambda models, purposes, networks, start, until: but(
        PERSON, models=models, purposes=purposes, networks=networks, start=start, until=until
    ),
    NAMES,
    NAMES,
    BLOCKS,
    st.integers(1_000, 2_000),
    st.integers(8_000, 9_000),
)


@given(PERSONS, PERSONS)
def test_a_link_that_narrows_adds_nothing_in_any_respect(above: Link, below: Link) -> None:
    """A device under a person: whatever it says lies within what the person's says."""
    link = but(
        DEVICE,
        models=below.models,
        purposes=below.purposes,
        networks=below.networks,
        start=below.start,
        until=below.until,
    )
    within = (
        (not above.models or set(link.models) <= set(above.models))
        and (not above.purposes or set(link.purposes) <= set(above.purposes))
        and (
            not above.networks
            or all(
                any(ipaddress_within(block, outer) for outer in above.networks)
                for block in link.networks
            )
        )
        and above.start <= link.start
        and link.until <= above.until
    )
    assert (narrows(link, above) is None) == within


def ipaddress_within(block: str, outer: str) -> bool:
    """Every address of `block` lies in `outer`: true of a block if true of its ends."""
    inner, around = ipaddress.ip_network(block), ipaddress.ip_network(outer)
    return inner[0] in around and inner[-1] in around


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.1.2.3", ("10.0.0.0/8", "10.1.0.0/16")),
        ("10.2.0.1", ("10.0.0.0/8",)),
        ("11.0.0.1", ()),
        ("2001:db8::1", ("2001:db8::/32",)),
        ("::ffff:10.1.2.3", ("10.0.0.0/8", "10.1.0.0/16")),
        ("fe80::1%eth0", ()),
        ("", ()),
        ("10.1.2.3:80", ()),
        ("nonsense", ()),
        ("/run/gateway.sock", ()),
    ],
)
def test_an_address_lies_in_the_blocks_that_hold_it(address: str, found: tuple[str, ...]) -> None:
    assert networks_of(address, ("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")) == found
