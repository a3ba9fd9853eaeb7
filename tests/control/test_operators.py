"""Operators in a browser: passkeys, sessions, what each role may do, and each attack by name."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from bailment.access import base64url
from bailment.auditor.findings import Kind
from bailment.auditor.view import verify_view
from bailment.control.pages import Browser, browser_app
from bailment.ledger.operator_records import (
    ActApproved,
    ActProposed,
    OperatorInvited,
    OperatorSignedIn,
)
from bailment.ledger.records import HoldAdded
from bailment.store.export import export_view
from bailment.store.people import People
from bailment.store.view import open_view

from ..authenticator import UP, Authenticator
from ..world import Recipient, World, world
from .people import Human, apply_spec, browser, invited, operator, proposed

pytestmark = pytest.mark.anyio

MINUTE = 60_000


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


class Lab:
    """An issuer without a spec, a recipient of two, and an operator of each role."""

    world: World
    acme: Recipient
    other: Recipient
    humans: dict[str, Human]

    @property
    def security(self) -> Human:
        return self.humans["issuer-security"]

    async def back(self) -> None:
        """Everybody signs in again."""
        for human in self.humans.values():
            assert (await human.sign_in()).status_code == 200


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        found = Lab()
        found.world = made
        found.acme, found.other = await made.recipient(), await made.recipient()
        await (await found.acme.person("Maria")).device()
        await (await found.other.person("Zoe")).device()
        found.humans = {
            role: await operator(made, role, f"The {role}", **more)
            for role, more in {
                "issuer-security": {},
                "issuer-approver": {},
                "recipient-admin": {"organisation": found.acme.id},
                "auditor": {},
            }.items()
        }
        yield found
        for human in found.humans.values():
            await human.http.aclose()


def reason(sent: httpx2.Response) -> tuple[int, str]:
    return sent.status_code, sent.json()["reason"]


# Registration


async def test_an_invitation_makes_one_passkey_and_the_log_knows_no_name(lab: Lab) -> None:
    since = lab.world.size
    human = await invited(lab.world, "auditor", "Grace Hopper")
    (told,) = lab.world.of(OperatorInvited, since)
    assert (await human.register()).status_code == 201
    state = lab.world.register.state.operators[human.id]
    assert (state.role, state.active) == ("auditor", True)
    assert "Grace" not in str(told) + str(state)
    again = await human.post("/console/register/options", {"code": human.code})
    assert reason(again) == (403, "link-unknown")
    await human.http.aclose()


async def test_an_invitation_ends_after_a_quarter_of_an_hour(lab: Lab) -> None:
    human = await invited(lab.world, "auditor")
    lab.world.clock.ahead += 15 * MINUTE
    sent = await human.post("/console/register/options", {"code": human.code})
    assert reason(sent) == (403, "link-unknown")
    await human.http.aclose()
    await lab.back()


async def test_a_passkey_for_another_origin_or_host_is_not_registered(lab: Lab) -> None:
    for origin, rp in (("https://evil.example", "127.0.0.1"), (lab.world.url, "evil.example")):
        human = await invited(lab.world, "auditor")
        human.passkey = Authenticator(origin, rp)
        assert reason(await human.register()) == (403, "passkey-refused")
        await human.http.aclose()


async def test_a_passkey_that_does_not_verify_its_user_is_not_registered(lab: Lab) -> None:
    human = await invited(lab.world, "auditor")
    human.passkey.flags = UP
    assert reason(await human.register()) == (403, "passkey-refused")
    await human.http.aclose()


async def test_a_registration_for_another_invitation_s_challenge_is_refused(lab: Lab) -> None:
    one, other = await invited(lab.world, "auditor"), await invited(lab.world, "auditor")
    options = (await one.post("/console/register/options", {"code": one.code})).json()
    made = other.passkey.create(options)
    value = {"code": other.code, "credential": made}
    assert reason(await other.post("/console/register", value)) == (403, "passkey-refused")
    for human in (one, other):
        await human.http.aclose()


@pytest.mark.parametrize("attestation", ["", "AAAA", "oWNmbXRkbm9uZQ", "_____w"])
async def test_bytes_that_are_no_registration_are_refused(lab: Lab, attestation: str) -> None:
    human = await invited(lab.world, "auditor")
    options = (await human.post("/console/register/options", {"code": human.code})).json()
    made = human.passkey.create(options)
    made["response"]["attestationObject"] = attestation
    sent = await human.post("/console/register", {"code": human.code, "credential": made})
    assert reason(sent) == (403, "passkey-refused")
    await human.http.aclose()


async def test_one_passkey_is_one_operator(lab: Lab) -> None:
    human = await invited(lab.world, "auditor")
    human.passkey.key, human.passkey.id = lab.security.passkey.key, lab.security.passkey.id
    assert reason(await human.register()) == (403, "chain-broken")
    await human.http.aclose()


# Signing in


async def test_a_sign_in_is_on_the_record_with_what_was_signed(lab: Lab) -> None:
    since = lab.world.size
    assert (await lab.security.sign_in()).status_code == 200
    (told,) = lab.world.of(OperatorSignedIn, since)
    assert told.operator == lab.security.id
    assert told.assertion.credential == base64url.encode(lab.security.passkey.id)


async def test_the_cookie_is_for_this_site_alone_and_not_for_scripts(lab: Lab) -> None:
    sent = await lab.security.sign_in()
    cookie = sent.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= set(re.split(r";\s*", cookie))
    assert "domain" not in cookie


@pytest.mark.parametrize(
    "client",
    [
        {"origin": "https://evil.example"},
        {"type": "webauthn.create"},
        {"crossOrigin": True},
        {"challenge": base64url.encode(b"x" * 32)},
    ],
)
async def test_a_passkey_that_signed_for_something_else_does_not_sign_in(
    lab: Lab, client: dict[str, Any]
) -> None:
    assert reason(await lab.security.sign_in(**client)) == (403, "passkey-refused")


async def test_a_passkey_of_another_relying_party_does_not_sign_in(lab: Lab) -> None:
    lab.security.passkey.rp = "evil.example"
    refused = await lab.security.sign_in()
    lab.security.passkey.rp = "127.0.0.1"
    assert reason(refused) == (403, "passkey-refused")


async def test_a_passkey_that_does_not_verify_its_user_does_not_sign_in(lab: Lab) -> None:
    lab.security.passkey.flags = UP
    refused = await lab.security.sign_in()
    lab.security.passkey.flags = Authenticator("", "").flags
    assert reason(refused) == (403, "passkey-refused")


async def test_an_answer_to_a_challenge_counts_once(lab: Lab) -> None:
    human = lab.security
    options = (await human.post("/console/sign-in/options")).json()
    shown = {"credential": human.passkey.get(options)}
    assert (await human.post("/console/sign-in", shown)).status_code == 200
    assert reason(await human.post("/console/sign-in", shown)) == (403, "passkey-refused")


async def test_a_challenge_that_is_old_is_refused(lab: Lab) -> None:
    human = lab.security
    options = (await human.post("/console/sign-in/options")).json()
    shown = {"credential": human.passkey.get(options)}
    lab.world.clock.ahead += 2 * MINUTE
    assert reason(await human.post("/console/sign-in", shown)) == (403, "passkey-refused")


async def test_a_counter_that_goes_back_betrays_a_copy(lab: Lab) -> None:
    assert (await lab.security.sign_in()).status_code == 200
    before = lab.security.passkey.counter
    lab.security.passkey.counter = before - 2
    refused = await lab.security.sign_in()
    lab.security.passkey.counter = before
    assert "counter went back" in refused.json()["detail"]
    assert (await lab.security.sign_in()).status_code == 200


async def test_somebody_else_s_key_under_a_known_id_does_not_sign_in(lab: Lab) -> None:
    thief = Authenticator(lab.world.url, "127.0.0.1", id=lab.security.passkey.id, counter=10**6)
    options = (await lab.security.post("/console/sign-in/options")).json()
    sent = await lab.security.post("/console/sign-in", {"credential": thief.get(options)})
    assert reason(sent) == (403, "passkey-refused")


async def test_a_cookie_from_before_signing_in_is_no_session_afterwards(lab: Lab) -> None:
    """Session fixation."""
    fixed = "A" * 43
    async with browser() as http:
        http.cookies.set("bailment", fixed, domain="127.0.0.1")
        victim = Human(lab.world, lab.security.id, "", lab.security.passkey, http)
        sent = await victim.sign_in()
        assert fixed not in sent.headers["set-cookie"]
    async with browser() as http:
        http.cookies.set("bailment", fixed, domain="127.0.0.1")
        assert (await http.get(lab.world.url + "/console/")).status_code == 303


async def test_a_session_ends_when_idle_when_old_and_when_signed_out(lab: Lab) -> None:
    human = lab.security
    for step in (14, 14):
        lab.world.clock.ahead += step * MINUTE
        assert (await human.get("/console/")).status_code == 200
    lab.world.clock.ahead += 15 * MINUTE
    assert (await human.get("/console/")).status_code == 303
    await human.sign_in()
    for _ in range(8 * 5):
        lab.world.clock.ahead += 12 * MINUTE
        last = (await human.get("/console/")).status_code
    assert last == 303
    await lab.back()
    before = dict(human.http.cookies)
    assert (await human.form("/console/sign-out")).status_code == 303
    human.http.cookies.update(before)
    assert (await human.get("/console/")).status_code == 303
    await human.sign_in()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_what_another_site_posts_does_nothing(lab: Lab, origin: str) -> None:
    """Cross-site request forgery: the cookie is there, the page was not ours."""
    since = lab.world.size
    headers = {"origin": origin} if origin else {}
    for path in ("/console/holds", "/console/sign-out", "/console/sign-in/options"):
        sent = await lab.security.http.post(
            lab.world.url + path, data={"subject": "everything", "reason": "x"}, headers=headers
        )
        assert sent.status_code == 404
    assert lab.world.size == since
    assert (await lab.security.get("/console/")).status_code == 200


@pytest.mark.parametrize(
    "onward",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/oauth", "javascript:x", ""],
)
async def test_signing_in_leads_nowhere_else(lab: Lab, onward: str) -> None:
    human = lab.security
    options = (await human.post("/console/sign-in/options")).json()
    value = {"credential": human.passkey.get(options), "next": onward}
    assert (await human.post("/console/sign-in", value)).json()["next"] == "/console/"


# Signing acts


async def test_a_hold_in_the_browser_is_signed_by_who_adds_it(lab: Lab) -> None:
    since = lab.world.size
    act = await lab.security.propose_hold(f"recipient:{lab.other.id}")
    assert not lab.world.of(HoldAdded, since)
    page = (await lab.security.get(f"/console/acts/{act}")).text
    assert lab.world.register.state.proposals[act].digest in page
    assert (await lab.security.sign(act)).json()["missing"] == 0
    (hold,) = lab.world.of(HoldAdded, since)
    (signed,) = lab.world.of(ActApproved, since)
    assert (hold.approval, signed.by) == (act, f"operator:{lab.security.id}")
    lifted = await lab.security.form(f"/console/holds/{hold.hold}/lift", reason="over")
    assert (await lab.security.sign(proposed(lifted))).json()["missing"] == 0
    assert not lab.world.register.holds_on[f"recipient:{lab.other.id}"]


async def test_what_was_signed_for_one_act_does_not_do_another(lab: Lab) -> None:
    human = lab.security
    one = await human.propose_hold(f"recipient:{lab.other.id}")
    other = await human.propose_hold("everything")
    shown = human.passkey.get((await human.post(f"/console/acts/{one}/challenge")).json())
    await human.post(f"/console/acts/{other}/challenge")
    sent = await human.post(f"/console/acts/{other}/sign", {"credential": shown})
    assert reason(sent) == (403, "passkey-refused")
    assert sent.json()["detail"] == "the passkey signed another challenge"


async def test_a_sign_in_does_not_sign_an_act(lab: Lab) -> None:
    human = lab.security
    act = await human.propose_hold("everything")
    await human.post(f"/console/acts/{act}/challenge")
    shown = human.passkey.get((await human.post("/console/sign-in/options")).json())
    sent = await human.post(f"/console/acts/{act}/sign", {"credential": shown})
    assert reason(sent) == (403, "passkey-refused")


async def test_an_act_that_was_not_just_shown_is_not_signed(lab: Lab) -> None:
    human = lab.security
    act = await human.propose_hold("everything")
    options = (await human.post(f"/console/acts/{act}/challenge")).json()
    shown = {"credential": human.passkey.get(options)}
    lab.world.clock.ahead += 5 * MINUTE
    refused = await human.post(f"/console/acts/{act}/sign", shown)
    assert refused.json()["detail"] == "the act was not just shown to you"
    assert reason(await human.post(f"/console/acts/{act}/sign", shown)) == (403, "passkey-refused")


async def test_another_operator_s_passkey_does_not_sign_in_one_s_session(lab: Lab) -> None:
    human, other = lab.security, lab.humans["issuer-approver"]
    act = await human.propose_hold("everything")
    options = (await human.post(f"/console/acts/{act}/challenge")).json()
    sent = await human.post(f"/console/acts/{act}/sign", {"credential": other.passkey.get(options)})
    assert reason(sent) == (403, "passkey-refused")


async def test_whom_a_hold_covers_must_still_be_who_was_shown(lab: Lab) -> None:
    subject = f"recipient:{lab.acme.id}"
    page = (await lab.security.get(f"/console/holds/new?subject={subject}&reason=x")).text
    assert "Maria" in page
    assert "Zoe" not in page
    selects = re.search(r'name="selects" value="([0-9a-f]{64})"', page)
    assert selects is not None
    await (await lab.acme.person("Nina")).device()
    form = {"subject": subject, "reason": "x", "selects": selects[1]}
    sent = await lab.security.form("/console/holds", **form)
    assert (sent.status_code, "has changed" in sent.text) == (400, True)


async def test_nobody_stops_everything_alone_under_the_name_of_the_kill_switch(lab: Lab) -> None:
    since = lab.world.size
    sent = await lab.security.form("/console/holds", subject=" kill-switch ", reason="x")
    assert (sent.status_code, "hold `everything`" in html.unescape(sent.text)) == (400, True)
    page = await lab.security.get("/console/holds/new?subject=kill-switch&reason=x")
    assert "hold `everything`" in html.unescape(page.text)
    assert not lab.world.of(ActProposed, since)


async def test_somebody_is_sought_by_name_beside_the_event_loop(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many people the reading takes seconds, in which nothing else would be served."""
    for name in ("Uma", "Vera"):
        await lab.acme.person(name)
    threads, read = set(), People._read

    def noted(self: People, *record: Any) -> Any:
        threads.add(threading.current_thread())
        return read(self, *record)

    monkeypatch.setattr(People, "_read", noted)
    page = await lab.security.get("/console/holds/new?subject=person:Vera&reason=x")
    assert "person Vera" in page.text
    assert threads
    assert threading.main_thread() not in threads


async def test_names_are_shown_and_never_run(lab: Lab) -> None:
    await (await lab.acme.person("<script>alert(1)</script>")).device()
    page = await lab.security.get("/console/people")
    assert "&lt;script&gt;" in page.text
    assert "<script>alert" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy


def _of(url: str) -> Browser:
    return Browser(None, SimpleNamespace(url=url))  # type: ignore[arg-type]


def test_over_tls_the_cookie_is_bound_to_the_host() -> None:
    response = Response()
    _of("https://lab.example").sign_in(response, "0" * 32)
    name, _, rest = response.headers["set-cookie"].partition("=")
    told = {part.lower() for part in re.split(r";\s*", rest)}
    assert name == "__Host-bailment"
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= told
    assert not any(part.startswith("domain") for part in told)


@pytest.mark.parametrize(
    ("url", "status", "strict"),
    [
        ("https://lab.example", 200, True),
        ("http://localhost:8443", 200, False),
        ("http://lab.example", 404, False),
    ],
)
async def test_pages_are_for_tls_or_this_machine(url: str, status: int, strict: bool) -> None:
    app = browser_app(_of(url), [], [])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as http:
        sent = await http.get(url + "/console/static/console.css")
    assert sent.status_code == status
    assert ("strict-transport-security" in sent.headers) == strict
    assert sent.headers["content-security-policy"].startswith("default-src 'none'")


# Who may ask for what

_ALL = {"issuer-security", "issuer-approver", "recipient-admin", "auditor"}
_ISSUER = _ALL - {"recipient-admin"}
_SECURITY = {"issuer-security"}
_SIGNERS = _ALL - {"auditor"}
TABLE = {
    ("GET", "/console/"): _ALL,
    ("GET", "/console/people"): _ALL,
    ("GET", "/console/devices"): _ALL,
    ("GET", "/console/holds"): _ALL,
    ("GET", "/console/holds/new"): _SECURITY,
    ("POST", "/console/holds"): _SECURITY,
    ("POST", "/console/holds/{hold}/lift"): _SECURITY,
    ("GET", "/console/acts"): _ALL,
    ("GET", "/console/acts/{act}"): _ALL,
    ("POST", "/console/acts/{act}/challenge"): _SIGNERS,
    ("POST", "/console/acts/{act}/sign"): _SIGNERS,
    ("POST", "/console/acts/{act}/withdraw"): _SIGNERS,
    ("GET", "/console/operators"): _ISSUER,
    ("POST", "/console/operators/{operator}/end"): _SECURITY,
    ("GET", "/console/findings"): _ISSUER,
    ("GET", "/console/log"): _ALL,
    ("POST", "/console/sign-out"): _ALL,
}


async def test_every_route_is_for_its_roles_and_for_nobody_who_is_not_signed_in(lab: Lab) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for method, path in TABLE:
        asked = lab.world.url + re.sub(r"\{\w+\}", "0" * 32, path)
        for role, human in lab.humans.items():
            headers = {"origin": lab.world.url}
            sent = await human.http.request(method, asked, headers=headers)
            denied = sent.status_code == 403 and "you cannot do this" in sent.text
            if not denied:
                found.setdefault((method, path), set()).add(role)
        async with browser() as http:
            sent = await http.request(method, asked, headers={"origin": lab.world.url})
            assert sent.headers["location"].startswith("/console/sign-in"), (method, path)
        if path == "/console/sign-out":
            await lab.back()
    assert found == TABLE


async def test_the_table_has_every_route(lab: Lab) -> None:
    from bailment.control.page_routes import Pages

    operators = lab.world.issuer.actions
    pages = Pages(operators, _Nobody(), None, dict)  # type: ignore[arg-type]
    assert {(page.method, page.path): set(page.roles) for page in pages.table} == TABLE


class _Nobody:
    def name(self, operator: str) -> str:
        return operator


async def test_a_recipient_s_admin_sees_their_own_organisation_and_no_other(lab: Lab) -> None:
    act = await lab.security.propose_hold(f"recipient:{lab.other.id}")
    admin = lab.humans["recipient-admin"]
    ours, theirs = (
        lab.world.register.state.recipients[one.id].handle for one in (lab.acme, lab.other)
    )
    for path in ("/console/", "/console/people", "/console/devices", "/console/holds"):
        page = (await admin.get(path)).text
        assert theirs not in page
        assert "Zoe" not in page
    assert ours in (await admin.get("/console/")).text
    assert "Maria" in (await admin.get("/console/people")).text
    assert (await admin.get(f"/console/acts/{act}")).status_code == 404
    assert reason(await admin.post(f"/console/acts/{act}/challenge"))[0] == 403
    sent = await admin.form(f"/console/acts/{act}/withdraw", reason="mine")
    assert sent.status_code == 404
    assert act in lab.world.register.state.proposals


async def test_a_recipient_s_admin_confirms_a_person_with_a_passkey(lab: Lab) -> None:
    await apply_spec(lab.world, "person-name", "device-confirm")
    admin = lab.humans["recipient-admin"]
    link = lab.acme.below("person")
    sent = await lab.acme.grant(link, {"name": "Olga", "email": "olga@acme.example"})
    assert (sent.status_code, sent.json()["act"], sent.json()["people"]) == (202, "person-name", 1)
    act = sent.json()["proposed"]
    assert link.id not in lab.world.register.links
    assert "Olga" in (await admin.get(f"/console/acts/{act}")).text
    refused = await lab.security.post(f"/console/acts/{act}/challenge")
    assert reason(refused) == (403, "approval-missing")
    assert (await admin.sign(act)).json()["missing"] == 0
    assert lab.world.issuer.actions.people.name(link.subject) == "Olga"
    page = (await admin.get(f"/console/acts/{act}")).text
    assert f"{lab.world.url}/enrol#" in page
    assert "/enrol#" not in (await lab.humans["auditor"].get(f"/console/acts/{act}")).text


async def test_nobody_confirms_their_own_device_with_a_passkey(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    async with world(tmp_path / "lab") as made:
        acme = await made.recipient()
        maria = await acme.person("Maria")
        own = {"organisation": acme.id}
        herself = await operator(made, "recipient-admin", "Maria", person=maria.id, **own)
        other = await operator(made, "recipient-admin", "Nina", **own)
        await apply_spec(made, "device-confirm")
        device = await maria.enrol()
        found = await acme.admin.send("GET", "/enrol/pending", query=f"?code={device.code}")
        link = acme.below("device", maria.link, subject=device.id, key=found.json()["key"])
        sent = await acme.grant(link)
        act = sent.json()["proposed"]
        assert sent.status_code == 202
        refused = await herself.sign(act)
        assert refused.json()["detail"] == "nobody confirms their own device"
        assert device.id not in made.register.link_of
        assert (await other.sign(act)).json()["missing"] == 0
        assert device.id in made.register.link_of
        assert (await device.fetch()).status_code == 200
        for human in (herself, other):
            await human.http.aclose()
        folder = made.folder
    view = open_view(folder)
    export_view(folder, view.reader, view.verifier, acme.id, tmp_path / "view")
    shown = verify_view(tmp_path / "view", view.verifier, recipient=acme.id)
    assert set(shown.counts) <= {Kind.UNPROVEN_COMPLETE}, shown.findings
