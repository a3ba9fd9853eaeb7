"""Security events: what they do, and what no forged, repeated or misdirected one does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey

from bailment.access import base64url
from bailment.ledger.identity_records import SignalReceived, SignInsEnded

from ..transmitter import AUDIENCE, SSF, TOKEN, Transmitter, stream, transmitter
from ..world import Device, Person, Recipient, World, refused, world
from .test_enrolment import problem

pytestmark = pytest.mark.anyio

RISC = "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
DISABLED, PURGED, ENABLED = (RISC + f"account-{what}" for what in ("disabled", "purged", "enabled"))
REVOKED, CHANGED = CAEP + "session-revoked", CAEP + "credential-change"
COMPLIANCE = CAEP + "device-compliance-change"
MAIL = {"format": "email", "email": "maria@acme.example"}
HOSTS = '\n[outbound]\nhosts = ["127.0.0.1"]\n'


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab"), more=HOSTS) as made:
        yield made


@pytest.fixture(scope="module")
async def served(lab: World) -> AsyncIterator[Transmitter]:
    async with transmitter(lambda: lab.clock.now() / 1000) as made:
        yield made


@pytest.fixture
async def acme(lab: World) -> Recipient:
    return await lab.recipient()


@pytest.fixture
async def idp(served: Transmitter, acme: Recipient) -> Transmitter:
    """A transmitter whose newest stream is acme's."""
    served.config = {}
    sent = await stream(acme, served.url)
    assert sent.status_code == 201, sent.text
    assert sent.json()["audience"] == AUDIENCE
    return served


@pytest.fixture
async def maria(acme: Recipient) -> Person:
    return await acme.person()


def held(lab: World, subject: str) -> bool:
    return bool(lab.register.holds_on.get(subject))


def source(lab: World) -> str:
    return str(list(lab.register.state.sources)[-1])


# What events do


@pytest.mark.parametrize("event", [DISABLED, PURGED])
@pytest.mark.parametrize("alg", ["ES256", "RS256", "PS256"])
async def test_a_disabled_account_holds_its_person(
    lab: World, idp: Transmitter, maria: Person, event: str, alg: str
) -> None:
    device = await maria.device()
    assert (await device.ask()).status_code == 200
    since = lab.size
    sent = await idp.say(event, MAIL, alg=alg)
    assert (sent.status_code, sent.content) == (202, b"")
    assert refused(await device.ask()) == (403, "held")
    (said,) = [one for one in lab.of(SignalReceived, since) if one.subject]
    assert (said.event, said.subject) == (event, f"person:{maria.id}")
    assert (said.effect, said.source) == ("hold.added", source(lab))


async def test_an_enabled_account_lifts_only_the_streams_own_hold(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    subject = f"person:{maria.id}"
    hold = await lab.hold(subject)
    await idp.say(DISABLED, MAIL)
    await idp.say(ENABLED, MAIL)
    assert [one.hold for one in lab.register.holds_on[subject]] == [hold]
    await lab.lift(hold)


async def test_an_older_event_that_comes_late_lifts_no_newer_hold(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    subject, at = f"person:{maria.id}", int(idp.clock())
    await idp.say(DISABLED, MAIL, iat=at)
    assert (await idp.say(ENABLED, MAIL, iat=at - 1)).status_code == 202
    assert held(lab, subject)
    assert lab.of(SignalReceived, 0)[-1].effect == "older"
    await idp.say(ENABLED, MAIL, iat=at)
    assert not held(lab, subject)


@pytest.mark.parametrize("event", [REVOKED, CHANGED])
async def test_a_revoked_session_ends_the_tokens_there_are(
    lab: World, idp: Transmitter, maria: Person, event: str
) -> None:
    device = await maria.device()
    assert (await device.ask()).status_code == 200
    since = lab.size
    assert (await idp.say(event, MAIL)).status_code == 202
    assert refused(await device.ask()) == (401, "token-revoked")
    (ended,) = lab.of(SignInsEnded, since)
    assert (ended.person, ended.source) == (maria.id, source(lab))
    await device.renew()  # nobody signs in at this organisation, so that a new token will do
    assert (await device.ask()).status_code == 200


async def test_a_device_that_is_not_compliant_is_held_until_it_is(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    device = await maria.device()
    about = {
        "format": "complex",
        "user": MAIL,
        "device": {"format": "opaque", "id": device.id},
    }
    await idp.say(COMPLIANCE, about, members={"current_status": "not-compliant"})
    assert refused(await device.ask()) == (403, "held")
    assert not held(lab, f"person:{maria.id}")
    await idp.say(COMPLIANCE, about, members={"current_status": "compliant"})
    assert (await device.ask()).status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        MAIL,
        {"format": "account", "uri": "acct:maria@acme.example"},
        {"format": "complex", "user": MAIL},
        "opaque",
    ],
)
async def test_a_person_is_named_in_every_format(
    lab: World, idp: Transmitter, maria: Person, name: Any
) -> None:
    subject = {"format": "opaque", "id": maria.id} if name == "opaque" else name
    await idp.say(DISABLED, subject)
    assert held(lab, f"person:{maria.id}")


async def test_a_person_is_named_by_the_subject_at_the_provider(
    lab: World, acme: Recipient, idp: Transmitter
) -> None:
    from ..employer import name

    person = await name(acme, email="", account="7f31")
    await idp.say(DISABLED, {"format": "iss_sub", "iss": "https://other.example", "sub": "7f31"})
    assert not held(lab, f"person:{person.id}")
    await idp.say(DISABLED, {"format": "iss_sub", "iss": idp.url, "sub": "7f31"})
    assert held(lab, f"person:{person.id}")


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {"format": "email", "email": "nobody@acme.example"},
        {"format": "phone_number", "phone_number": "+4912345"},
        {"format": "email", "email": "acme/../maria@acme.example"},
        {"format": "email", "email": "m\u0430ria@acme.example"},
    ],
)
async def test_an_event_about_nobody_is_taken_and_does_nothing(
    lab: World, idp: Transmitter, maria: Person, subject: Any
) -> None:
    since = lab.size
    assert (await idp.say(DISABLED, subject)).status_code == 202
    (said,) = [one for one in lab.of(SignalReceived, since) if one.event == DISABLED]
    assert (said.subject, said.effect) == ("", "nobody")


async def test_names_are_in_no_fact(lab: World, idp: Transmitter, maria: Person) -> None:
    since = lab.size
    await idp.say(DISABLED, MAIL)
    for record in lab.issuer.log.reader.records(since):
        assert b"maria@" not in record.body + record.entry


# What no event does


async def test_another_organisations_person_cannot_be_touched(
    lab: World, maria: Person, served: Transmitter
) -> None:
    other = await lab.recipient()
    assert (await stream(other, served.url)).status_code == 201
    device = await maria.device()
    for subject in (MAIL, {"format": "opaque", "id": maria.id}):
        for event in (DISABLED, REVOKED):
            assert (await served.say(event, subject)).status_code == 202
    about = {"format": "opaque", "id": device.id}
    await served.say(COMPLIANCE, about, members={"current_status": "not-compliant"})
    assert (await device.ask()).status_code == 200


async def test_an_event_that_comes_again_does_nothing_and_is_taken(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    """The transmitter may not have heard our answer; and a thief gets nothing by it."""
    enabled, jti = idp.token(ENABLED, MAIL), "an-id-of-its-own"
    assert (await idp.push(enabled)).status_code == 202
    await idp.say(DISABLED, MAIL, jti=jti)
    since = lab.size
    assert (await idp.push(enabled)).status_code == 202
    assert (await idp.say(ENABLED, MAIL, jti=jti)).status_code == 202  # another body, the same id
    assert held(lab, f"person:{maria.id}")
    assert [one for one in lab.of(SignalReceived, since) if one.event == ENABLED] == []


async def test_an_event_that_comes_again_after_a_restart_does_nothing(
    lab: World, idp: Transmitter, maria: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled = idp.token(ENABLED, MAIL)
    await idp.push(enabled)
    await idp.say(DISABLED, MAIL)
    monkeypatch.setattr(idp, "mute", True)  # or it pushes to nobody while we are away
    await idp.settle()
    await lab.restart()
    assert (await idp.push(enabled)).status_code == 202
    assert held(lab, f"person:{maria.id}")


STRANGER = ECKey.generate_key("P-256", {"kid": "ec"})
FORGED: list[Any] = [
    pytest.param({"iss": "https://evil.example"}, "invalid_issuer", id="another issuer's"),
    pytest.param({"aud": "https://other.example"}, "invalid_audience", id="for somebody else"),
    pytest.param({"aud": None}, "invalid_request", id="for nobody"),
    pytest.param({"key": STRANGER}, "invalid_key", id="by another key of the same kid"),
    pytest.param({"header": {"kid": "unknown"}}, "invalid_key", id="an unknown kid"),
    pytest.param({"header": {"kid": None}}, "invalid_key", id="without a kid"),
    pytest.param({"header": {"typ": "JWT"}}, "invalid_request", id="an ID token"),
    pytest.param({"header": {"typ": None}}, "invalid_request", id="without a typ"),
    pytest.param({"sub": "7f31"}, "invalid_request", id="with a sub"),
    pytest.param({"exp": 2**33}, "invalid_request", id="with an exp"),
    pytest.param({"jti": None}, "invalid_request", id="without an id"),
    pytest.param({"iat": None}, "invalid_request", id="without a time"),
    pytest.param({"iat": True}, "invalid_request", id="a time that is none"),
    pytest.param({"iat": 2**33}, "invalid_request", id="from the future"),
    pytest.param({"iat": 1_700_000_000}, "invalid_request", id="older than a week"),
    pytest.param({"events": {}}, "invalid_request", id="no event"),
    pytest.param({"events": {DISABLED: {}, PURGED: {}}}, "invalid_request", id="two events"),
    pytest.param({"events": {DISABLED: 1}}, "invalid_request", id="no object"),
    pytest.param({"sub_id": {"format": "email"}}, "invalid_request", id="no address"),
]


@pytest.mark.parametrize(("changes", "err"), FORGED)
async def test_a_forged_or_misdirected_event_does_nothing(
    lab: World, idp: Transmitter, maria: Person, changes: dict[str, Any], err: str
) -> None:
    sent = await idp.say(DISABLED, MAIL, **changes)
    assert (sent.status_code, sent.json()["err"]) == (400, err), sent.text
    assert not held(lab, f"person:{maria.id}")


async def test_alg_none_and_hs256_by_the_public_key_are_refused(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    public = json.dumps(idp.keys["RS256"].as_dict(private=False))
    shared = OctKey.import_key(public.encode(), {"kid": "rsa"})
    hs256 = idp.token(DISABLED, MAIL, alg="HS256", key=shared)
    body = hs256.split(".")[1]
    none = (
        f"{base64url.encode(json.dumps({'alg': 'none', 'typ': 'secevent+jwt'}).encode())}.{body}."
    )
    for token in (hs256, none):
        sent = await idp.push(token)
        assert (sent.status_code, sent.json()["err"]) == (400, "invalid_request")
    assert not held(lab, f"person:{maria.id}")


async def test_a_key_that_comes_in_the_header_is_not_used(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    header = {"jwk": STRANGER.as_dict(private=False), "jku": "https://evil.example/keys"}
    sent = await idp.say(DISABLED, MAIL, key=STRANGER, header=header)
    assert sent.json()["err"] == "invalid_key"


async def test_keys_that_cannot_be_had_any_more_are_not_trusted_and_the_event_comes_again(
    lab: World, idp: Transmitter, maria: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [10**12]
    monkeypatch.setattr("bailment.control.key_sets.steady_ms", lambda: at[0])
    subject = f"person:{maria.id}"
    assert (await idp.say(DISABLED, MAIL)).status_code == 202
    assert held(lab, subject)
    idp.config = {"issuer": "https://another.example"}
    at[0] += 299_999
    assert (await idp.say(REVOKED, MAIL)).status_code == 202
    at[0] += 1
    lifting = idp.token(ENABLED, MAIL)
    # The first one has them fetched; whoever comes soon after has not.
    assert [(await idp.push(lifting)).status_code for _ in range(2)] == [503, 503]
    assert held(lab, subject)
    idp.config = {}
    at[0] += 10_000
    assert (await idp.push(lifting)).status_code == 202
    assert not held(lab, subject)


@pytest.mark.parametrize("body", [b"", b"a.b.c", b"\xff", b"{}", b"x" * 17_000, b"x" * 10_000_000])
async def test_what_is_no_event_is_refused(idp: Transmitter, body: bytes) -> None:
    sent = await idp.push(body)
    assert sent.status_code in (400, 413), sent.text


async def test_a_stream_is_pushed_to_by_its_own_credential_alone(
    lab: World, idp: Transmitter, maria: Person
) -> None:
    token = idp.token(DISABLED, MAIL)
    other = await lab.recipient()
    await stream(other, idp.url)
    mine, theirs = list(idp.streams)[-2:]
    wrong = idp.streams[theirs]["authorization_header"]
    for header in (wrong, "Bearer x", "Bearer"):
        sent = await idp.push(token, mine, authorization=header)
        assert (sent.status_code, sent.json()["err"]) == (401, "authentication_failed")
    plain = await idp.push(token, mine, **{"content-type": "application/json"})
    assert plain.json()["err"] == "invalid_request"
    assert not held(lab, f"person:{maria.id}")


async def test_a_verification_that_nobody_asked_for_is_no_sign_of_life(
    lab: World, idp: Transmitter
) -> None:
    await idp.settle()
    mine, since = list(idp.streams)[-1], lab.size
    sent = await idp.verification(mine, "made-up")
    assert (sent.status_code, sent.json()["err"]) == (400, "invalid_state")
    assert (await idp.verification(mine, None)).status_code == 202
    assert [s for s in lab.of(SignalReceived, since) if s.source == source(lab)] == []


# Setting up


async def test_the_streams_token_is_in_a_private_file_and_in_no_record(
    lab: World, idp: Transmitter
) -> None:
    path = lab.folder.secrets / f"stream-{source(lab)}"
    assert (TOKEN in path.read_text(), path.stat().st_mode & 0o777) == (True, 0o600)
    for record in lab.issuer.log.reader.records(0):
        assert TOKEN.encode() not in record.body + record.entry


@pytest.mark.parametrize(
    "url",
    [
        *("https://169.254.169.254", "https://localhost", "https://10.0.0.1:8443", "file:///etc"),
        *("http://example.com", "https://user@example.com", "gopher://127.0.0.1", "https://[::1]"),
    ],
)
async def test_a_transmitter_inside_our_network_is_not_called(
    acme: Recipient, lab: World, url: str
) -> None:
    sent = await stream(acme, url)
    assert problem(sent) == (403, "signals-failed")


@pytest.mark.parametrize("name", ["jwks_uri", "configuration_endpoint", "verification_endpoint"])
@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "file:///etc/passwd", ""])
async def test_a_description_that_names_our_network_is_not_followed(
    acme: Recipient, served: Transmitter, name: str, url: str
) -> None:
    served.config = {name: url}
    try:
        assert problem(await stream(acme, served.url)) == (403, "signals-failed")
    finally:
        served.config = {}


async def test_a_transmitter_that_calls_itself_otherwise_is_not_taken(
    acme: Recipient, served: Transmitter
) -> None:
    served.config = {"issuer": "https://other.example"}
    try:
        assert problem(await stream(acme, served.url)) == (403, "signals-failed")
    finally:
        served.config = {}


async def test_a_wrong_token_makes_no_stream(acme: Recipient, served: Transmitter) -> None:
    assert problem(await stream(acme, served.url, "wrong")) == (403, "signals-failed")


async def test_what_a_transmitter_is_asked_for(lab: World, idp: Transmitter) -> None:
    delivery = list(idp.streams.values())[-1]
    assert delivery["method"] == "urn:ietf:rfc:8935"
    assert delivery["endpoint_url"] == f"{lab.url}/signals/events/{source(lab)}"
    credential = delivery["authorization_header"].removeprefix("Bearer ")
    known = lab.register.state.sources[source(lab)].credential
    assert known == hashlib.sha256(credential.encode()).hexdigest()


async def test_a_stream_that_has_ended_is_not_heard(
    lab: World, acme: Recipient, idp: Transmitter
) -> None:
    name = source(lab)
    token = idp.token(DISABLED, MAIL)
    assert (await acme.admin.post(f"/signals/sources/{name}", {"act": "end"})).status_code == 200
    assert (await idp.push(token)).status_code == 401
    assert not (lab.folder.secrets / f"stream-{name}").exists()


async def test_a_stranger_adds_no_stream(lab: World, served: Transmitter) -> None:
    body = {"kind": "ssf", "issuer": served.url, "token": TOKEN}
    assert problem(await Device(lab).post("/signals/sources", body))[1] == "proof-key"


async def test_stream_updates_and_unknown_events_are_taken(lab: World, idp: Transmitter) -> None:
    since = lab.size
    for event, members in (
        (SSF + "stream-updated", {"status": "paused"}),
        (CAEP + "assurance-level-change", {}),
    ):
        assert (await idp.say(event, None, members=members)).status_code == 202
    mine = [one.effect for one in lab.of(SignalReceived, since) if one.source == source(lab)]
    assert [one for one in mine if one != "heard"] == ["stream-paused", "unknown-event"]
