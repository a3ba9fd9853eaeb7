"""Enrolment and tokens, against a gateway that checks what it gets."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import msgspec
import pytest

from bailment.access import jwk
from bailment.access.chain import Link
from bailment.access.enrolment import code_of
from bailment.access.reasons import Reason, Refused
from bailment.access.token import Claims, verify_token
from bailment.agent import profile
from bailment.agent.answers import GatewayRefused, GatewayUnreachable
from bailment.agent.client import enrol, fetch_token, wait_until_active
from bailment.agent.profile import Device
from bailment.errors import BailmentError, ConfigurationError, FormatError, VerificationError

from .conftest import PURPOSE
from .gateway import Gateway

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


@pytest.fixture
def invitation(gateway: Gateway) -> str:
    """An invitation for a person whom the gateway knows."""
    now = gateway.now_ms()
    ids = [secrets.token_hex(16) for _ in range(3)]
    link = Link(ids[0], ids[1], "person", ids[2], now - HOUR_MS, now + HOUR_MS)
    gateway.links[link.id] = link
    gateway.invitations["c0de"] = link.id
    return f"{gateway.url}/enrol#c0de"


async def test_enrolling_leaves_a_pending_profile_and_a_code_that_both_sides_know(
    invitation: str, gateway: Gateway, tmp_path: Path
) -> None:
    pending = await enrol(invitation, tmp_path / "d", "laptop")
    device = profile.load(tmp_path / "d")
    known = gateway.devices[pending.device]
    assert pending.code == code_of(known.key.thumbprint) == code_of(device.public.thumbprint)
    assert known.name == "laptop"
    assert device.profile.status == "pending"
    assert device.profile.gateway == gateway.url
    assert (device.profile.device, device.profile.person) == (known.device, known.person)


async def test_the_private_key_is_not_in_anything_that_is_sent(
    invitation: str, gateway: Gateway, tmp_path: Path
) -> None:
    await enrol(invitation, tmp_path / "d", "laptop")
    device = profile.load(tmp_path / "d")
    secret = device.key.private_numbers().private_value.to_bytes(32, "big")
    for seen in gateway.seen:
        assert secret not in seen.body
        assert "PRIVATE" not in str(seen)


async def test_a_gateway_that_shows_another_code_is_not_believed(
    invitation: str, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.show_code = "AAAA-AAAA"
    with pytest.raises(VerificationError, match="AAAA-AAAA"):
        await enrol(invitation, tmp_path / "d", "laptop")
    assert not (tmp_path / "d" / "profile.json").exists()


async def test_an_invitation_works_once(invitation: str, gateway: Gateway, tmp_path: Path) -> None:
    await enrol(invitation, tmp_path / "d", "laptop")
    with pytest.raises(GatewayRefused, match="used or unknown"):
        await enrol(invitation, tmp_path / "e", "laptop")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "c0de",
        "https://gateway.example/enrol",
        "https://gateway.example/enrol#",
        "https://gateway.example/other#c0de",
        "http://gateway.example/enrol#c0de",
        "https://gateway.example/enrol#c\n0de",
        "https://gateway.example/a/enrol#c0de",
    ],
)
async def test_what_is_no_invitation_makes_no_key(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await enrol(url, tmp_path / "d", "laptop")
    assert not (tmp_path / "d").exists()


async def test_waiting_ends_when_the_device_is_confirmed_and_notes_what_it_may(
    invitation: str, gateway: Gateway, tmp_path: Path
) -> None:
    pending = await enrol(invitation, tmp_path / "d", "laptop")
    waiting = asyncio.create_task(wait_until_active(tmp_path / "d", poll=0))
    await gateway.polled.wait()
    assert not waiting.done()
    known = gateway.devices[pending.device]
    link = gateway.links[known.link]
    known.link = "f" * 32
    gateway.links[known.link] = msgspec.structs.replace(link, kind="device")
    device = await waiting
    assert profile.load(tmp_path / "d").profile == device.profile
    assert device.profile.status == "active"
    assert (device.profile.purposes, device.profile.models) == (("evaluation",), ("m-1",))


async def test_waiting_for_an_enrolment_that_lapsed_ends_with_what_to_do(
    invitation: str, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.polls_until_expired = 2
    gateway.invitations[another := "c0de-2"] = gateway.invitations["c0de"]
    pending = await enrol(invitation, tmp_path / "d", "laptop")
    with pytest.raises(GatewayRefused, match="not confirmed in time") as caught:
        await wait_until_active(tmp_path / "d", poll=0)
    assert "new invitation" in caught.value.hint
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["device.pem"]
    again = await enrol(f"{gateway.url}/enrol#{another}", tmp_path / "d", "laptop")
    assert again.device != pending.device


async def test_a_token_is_bound_to_the_devices_key_and_to_what_was_asked(
    device: Device, gateway: Gateway
) -> None:
    token = await fetch_token(device, PURPOSE, ("m-1",))
    claims = verify_token(
        token,
        jwk.from_key(gateway.issuer.public_key()),
        iss=gateway.url,
        aud=gateway.url,
        now_ms=gateway.now_ms(),
        skew_ms=0,
    )
    assert isinstance(claims, Claims)
    assert claims.cnf.jkt == device.public.thumbprint
    (detail,) = claims.authorization_details
    assert (detail.purpose, detail.models) == (PURPOSE, ("m-1",))


async def test_first_contact_costs_one_refused_nonce_and_each_proof_is_new(
    device: Device, gateway: Gateway
) -> None:
    await fetch_token(device, PURPOSE)
    assert gateway.refused == [Reason.PROOF_NONCE]
    first, second = (seen.headers["dpop"] for seen in gateway.seen)
    assert first != second


async def test_a_gateway_that_never_has_enough_of_nonces_is_asked_twice_and_no_more(
    device: Device, gateway: Gateway
) -> None:
    gateway.always_nonce = True
    with pytest.raises(GatewayRefused) as caught:
        await fetch_token(device, PURPOSE)
    assert caught.value.reason == "proof-nonce"
    assert len(gateway.seen) == 2


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS, 90_000, -90_000, 6_000, -6_000])
async def test_a_clock_that_is_wrong_by_any_amount_does_not_keep_a_device_out(
    ahead_ms: int, device: Device, gateway: Gateway
) -> None:
    gateway.ahead_ms = ahead_ms
    await fetch_token(device, PURPOSE)
    assert gateway.refused == [Reason.PROOF_NONCE]
    proof = gateway.seen[-1].proof
    assert proof is not None
    assert abs(proof.claims.iat * 1000 - gateway.now_ms()) < 5_000


async def test_our_own_clock_is_believed_where_it_agrees(device: Device, gateway: Gateway) -> None:
    gateway.ahead_ms = 1_000
    before = int(time.time())
    await fetch_token(device, PURPOSE)
    proof = gateway.seen[-1].proof
    assert proof is not None
    assert before <= proof.claims.iat <= int(time.time())


async def test_a_refusal_says_reason_and_detail_and_how_to_mend_it(
    device: Device, gateway: Gateway
) -> None:
    gateway.refuse = Refused(Reason.LINK_EXPIRED, "the person's link ended yesterday")
    with pytest.raises(GatewayRefused) as caught:
        await fetch_token(device, PURPOSE)
    assert caught.value.reason == "link-expired"
    assert caught.value.status == 400
    assert "`link-expired`" in str(caught.value)
    assert "the person's link ended yesterday" in str(caught.value)
    assert "new invitation" in caught.value.hint


async def test_a_gateway_out_of_reach_is_named(device: Device, gateway: Gateway) -> None:
    await gateway.stop()
    with pytest.raises(GatewayUnreachable, match=gateway.url) as caught:
        await fetch_token(device, PURPOSE)
    assert caught.value.hint


async def test_something_that_is_no_gateway_is_not_understood(
    device: Device, gateway: Gateway
) -> None:
    gateway.token_seconds = 0
    with pytest.raises(FormatError, match="/oauth/token"):
        await fetch_token(device, PURPOSE)


async def test_another_devices_key_gets_no_token(
    device: Device, gateway: Gateway, tmp_path: Path
) -> None:
    thief = Device(tmp_path, device.profile, profile.device_key(tmp_path / "thief"))
    with pytest.raises(BailmentError, match="client-assertion"):
        await fetch_token(thief, PURPOSE)
