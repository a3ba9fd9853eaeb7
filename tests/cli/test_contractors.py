"""A contractor exists only as a declared, narrowed link, from its declaration to its end.

One story, told in order as those concerned type it: acme declares a subcontractor, which names its
own person, proves what it must, is used, and is cut off; then acme's own people and jobs.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import jwk, jws
from bailment.access.proof import make_proof

from ..access.small_spec import SPEC
from ..assurance.reports import TENANT, data, roster, user
from .lab import CONTACT, MARIA, MODEL, OTHER, PURPOSE, Lab, ModelServer, Quick, ask, line_of, wait

pytestmark = pytest.mark.journey

#: What a scanner cannot say left out; and a share of all recipients that one of two is within.
_SHARED = b"    contradicted_by: [{kind: scan, claim: shared, min: 1, within: P7D}]\n"
TEXT = SPEC.replace(_SHARED, b"").replace(b"hold: 20%", b"hold: 100%")
ELSEWHERE = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
#: Whom the spec says to ask.
ACCESS = "access@lab.example"
VERA, DIRK = "vera@vendor.example", "dirk@acme.example"
JOB = "repo:acme/tests:ref:refs/heads/main"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def accounts(path: Path, tenant: str, *names: str) -> Path:
    users = [user(str(number), name) for number, name in enumerate(names)]
    told = roster(*users, id=path.name, collected=int(time.time() * 1000), scope=tenant)
    path.write_bytes(data(told))
    return path


@dataclass
class Platform:
    """What runs jobs: an OpenID Connect provider that signs for them, on this machine."""

    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __enter__(self) -> Platform:
        public = jwk.from_key(self.private.public_key())
        keys = {"keys": [{**public.jwk, "kid": public.thumbprint, "use": "sig", "alg": "ES256"}]}

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = "http://" + self.headers["host"]
                found = {"issuer": host, "jwks_uri": host + "/keys"}
                body = json.dumps(keys if self.path == "/keys" else found).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *values: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, audience: str) -> str:
        now = int(time.time())
        claims = {"iss": self.url, "aud": audience, "sub": JOB, "iat": now, "exp": now + 300}
        kid = jwk.from_key(self.private.public_key()).thumbprint
        told = canonical.encode({**claims, "jti": os.urandom(16).hex()})
        return jws.sign({"typ": "JWT", "kid": kid}, told, self.private)


@dataclass
class Work:
    """A job: it has what its platform gave it, and a key that it made itself."""

    url: str
    token: str = ""
    nonce: str | None = None
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def send(self, path: str, body: bytes, kind: str) -> httpx2.Response:
        for _ in range(2):  # RFC 9449 §8: the first answer brings the nonce
            proof = make_proof(
                self.private,
                jwk.from_key(self.private.public_key()),
                method="POST",
                target=self.url + path,
                body_sha256=sha256(body).digest(),
                token=self.token or None,
                nonce=self.nonce,
                jti=os.urandom(16).hex(),
                now_s=int(time.time()),
            )
            headers = {"content-type": kind, "dpop": proof}
            if self.token:
                headers["authorization"] = f"DPoP {self.token}"
            answered = httpx2.post(
                self.url + path, content=body, headers=headers, trust_env=False, timeout=60
            )
            self.nonce = answered.headers.get("dpop-nonce", self.nonce)
            if "use_dpop_nonce" not in answered.text + answered.headers.get("www-authenticate", ""):
                break
        return answered

    def exchange(self, assertion: str) -> httpx2.Response:
        detail = json.dumps([{"type": "bailment_access", "purpose": PURPOSE}])
        form = {"grant_type": GRANT, "assertion": assertion, "authorization_details": detail}
        answered = self.send(
            "/oauth/token", urlencode(form).encode(), "application/x-www-form-urlencoded"
        )
        if answered.status_code == 200:
            self.token = answered.json()["access_token"]
        return answered

    def ask(self) -> httpx2.Response:
        told = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        return self.send("/v1/chat/completions", json.dumps(told).encode(), "application/json")


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture(scope="module")
def lab(root: Path, model: ModelServer, quick: Quick, platform: Platform) -> Iterator[Lab]:
    """A lab whose model is of T1, which acme has earned; its Maria and Dirk have a device each."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), model, quick)
    lab.init()
    with (lab.folder / "bailment.toml").open("a") as settings:
        settings.write(f'\n[outbound]\nhosts = ["{platform.url.removeprefix("http://")}"]\n')
    team, admin, plan = lab.team, lab.admin, lab.root / "plan.json"
    with lab.serving():
        admin.ok("recipient", "key", lab.acme)
        team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk", "--contact", CONTACT),
            *("--model", MODEL, "--model", OTHER, "--purpose", PURPOSE, "--purpose", "triage"),
            *("--network", "127.0.0.0/8", "--network", "10.0.0.0/8", "--depth", "1"),
        )
        for name, email, place in (("Maria Silva", MARIA, "FR"), ("Dirk Hahn", DIRK, "DE")):
            told = ("--until", "20d", "--attribute", f"jurisdiction={place}", "--purpose", PURPOSE)
            lab.enrol(lab.invite(name, email, *told), name.split()[0].lower())
        (lab.root / "spec.yaml").write_bytes(TEXT)
        assert team("spec", "plan", lab.root / "spec.yaml", "-o", plan).status == 10
        team.ok("spec", "apply", plan)
        team.ok("approver", "key", lab.root / "ada")
        team.ok("approver", "add", "ada", "--key", lab.root / "ada" / "approver.jwk")
        team.ok("model", "tier", MODEL, "T1", "--reason", "a test", "--key", lab.root / "ada")
        team.ok("recipient", "enclave", "acme", "--tenant", TENANT)
        paper = accounts(lab.root / "acme.json", TENANT, MARIA, DIRK)
        admin.ok("evidence", "submit", "--admin", lab.acme, "roster", paper)
        yield lab


def vendor(lab: Lab) -> Path:
    """The folder of its admin's key."""
    return lab.root / "vendor"


def code_of(answered: httpx2.Response) -> tuple[int, str]:
    return answered.status_code, answered.json()["error"]["code"]


def test_a_contractor_that_nobody_declared_is_nobody(lab: Lab) -> None:
    lab.admin.ok("recipient", "key", vendor(lab))
    done = lab.admin("delegate", "person", "Vera", "--email", VERA, "--admin", vendor(lab))
    assert (done.status, "`proof-key`" in done.err) == (1, True)
    assert "declare this key: `bailment delegate subcontractor`" in done.err


def test_a_recipient_declares_it_and_cannot_give_what_it_has_not(lab: Lab) -> None:
    words = (
        *("delegate", "subcontractor", "vendor", "--key", vendor(lab) / "admin.jwk"),
        *("--contact", "soc@vendor.example", "--admin", lab.acme, "--until", "20d"),
    )
    for more, said in (
        (("--model", "theirs"), "a model is outside the parent's"),
        (("--purpose", "sales"), "a purpose is outside the parent's"),
        (("--network", "0.0.0.0/0"), "a network is outside the parent's"),
        (("--until", "3000d"), "the link lasts longer than its parent"),
        (("--depth", "1"), "the parent allows no further subcontractor"),
    ):
        done = lab.admin(*words, *more)
        assert (done.status, said in done.err) == (1, True), done.err
    done = lab.admin.json(
        *words,
        *("--model", MODEL, "--purpose", PURPOSE, "--network", "127.0.0.0/8"),
        *("--tokens-per-day", "100000"),
    )
    again = lab.admin(*words, "--model", MODEL)
    assert (again.status, "already" in again.err) == (1, True), again.err
    rows = {row["link"]: row for row in lab.team.json("link", "list")}
    row = rows[done["link"]]
    assert (row["kind"], row["name"], row["subject"], row["depth"]) == (
        "subcontractor", "acme/vendor", done["organisation"], 1,
    )  # fmt: skip


def test_its_own_admin_names_people_and_confirms_their_devices(lab: Lab) -> None:
    own = ("--admin", vendor(lab))
    told = lab.admin.json("delegate", "person", "Vera Roth", "--email", VERA, *own)
    enrol = ("enrol", "-", "--profile", "vera")
    with lab.engineer.start(*enrol, typed=told["invitation"]["url"]) as enrolling:
        code = line_of(enrolling, r"^code: (\S+)$")
        other = lab.admin("delegate", "device", code, "--admin", lab.acme, "--yes")
        assert other.status == 1, "the recipient's own admin is another organisation's"
        lab.admin.ok("delegate", "device", code, *own, "--yes")
        assert wait(enrolling).out == f"enrolled for {PURPOSE}\n"
    tree = lab.team.ok("link", "list").splitlines()[1:]
    names = [line[: len(line) - len(line.lstrip())] + line.split("  ")[0] for line in tree]
    assert [line for line in tree if line.startswith("  acme/vendor")]
    assert [line for line in tree if line.startswith("    Vera Roth")], names
    (row,) = [row for row in lab.team.json("person", "list") if row["email"] == VERA]
    assert row["name"] == "Vera Roth"


def test_a_subcontractor_that_has_proven_nothing_is_refused_by_its_name(lab: Lab) -> None:
    with lab.agent("maria") as variables:
        assert ask(variables).status_code == 200
    with lab.agent("vera") as variables:
        answered = ask(variables)
        assert code_of(answered) == (403, "standing-too-low")
        said = answered.json()["error"]["message"]
        for part in ("the subcontractor acme/vendor's standing is none", "ID-1", ACCESS):
            assert part in said, said
        assert code_of(ask(variables, model=OTHER)) == (403, "model-outside-chain")
    page = lab.team.ok("why", "acme/vendor", "T1")
    assert page.startswith("acme/vendor")
    assert "NOT HELD, 1 of 1 block" in page
    refused = lab.team.json("access", "list", "--since", "1h", "--person", VERA)
    assert refused[0]["reason"] == "standing-too-low"
    assert refused[0]["recipient"] == "acme"


def test_it_hands_in_evidence_under_its_own_handle_and_earns_the_tier(lab: Lab) -> None:
    team, own = lab.team, ("--admin", vendor(lab))
    taken = team("recipient", "enclave", "acme/vendor", "--tenant", TENANT)
    assert (taken.status, "another recipient's" in taken.err) == (1, True), taken.err
    team.ok("recipient", "enclave", "acme/vendor", "--tenant", ELSEWHERE)
    acmes = accounts(lab.root / "again.json", TENANT, MARIA, DIRK)
    done = lab.admin("evidence", "submit", *own, "roster", acmes)
    assert done.status == 1, "what is about acme proves nothing of its subcontractor"
    paper = accounts(lab.root / "vendor.json", ELSEWHERE, VERA)
    assert "in force: T1" in lab.admin.ok("evidence", "submit", *own, "roster", paper)
    with lab.agent("vera") as variables:
        assert ask(variables).status_code == 200
    rows = {row["recipient"]: row for row in team.json("standing", "list")}
    assert (rows["acme"]["tier"], rows["acme/vendor"]["tier"]) == ("T1", "T1")
    assert lab.admin.json("standing", "show", *own)["recipient"] == "acme/vendor"
    assert json.loads(team.ok("why", "acme/vendor", "T1", "--json"))["held"] is True
    assert "acme/vendor: T1 lapses" in team.ok("standing", "calendar", "acme/vendor")
    (item,) = team.json("evidence", "list", "acme/vendor")
    assert item["scope"] == ELSEWHERE


def test_a_hold_on_a_subcontractor_is_by_its_handle(lab: Lab) -> None:
    shown = lab.team.ok("hold", "add", "subcontractor:acme/vendor", "--dry-run")
    assert re.search(r"Vera Roth +acme +1 +of this subcontractor, or below it", shown)
    assert "Maria" not in shown
    for subject in ("subcontractor:acme/vendor", "recipient:acme/vendor"):
        lab.team.ok("hold", "add", subject, "--reason", "r")
        with lab.agent("maria") as variables:
            assert ask(variables).status_code == 200
        (row,) = lab.team.json("hold", "list")
        assert (row["subject"][:14], row["name"]) == ("subcontractor:", "acme/vendor")
        lab.team.ok("hold", "lift", subject, "--reason", "r")


def test_the_end_of_its_link_kills_it_at_once_and_nobody_else(lab: Lab) -> None:
    (link,) = [row for row in lab.team.json("link", "list") if row["kind"] == "subcontractor"]
    with lab.agent("vera") as vera, lab.agent("maria") as maria:
        assert ask(vera).status_code == ask(maria).status_code == 200
        told = lab.team.json("link", "end", link["link"], "--reason", "the contract is over")
        assert told["effective"] is True
        answered = ask(vera)
        assert code_of(answered) == (403, "link-ended")
        assert ACCESS in answered.json()["error"]["message"]
        assert ask(maria).status_code == 200
    rows = [row for row in lab.team.json("link", "list") if row["state"] == "ended"]
    assert {row["kind"] for row in rows} == {"subcontractor", "person", "device"}
    done = lab.admin("delegate", "person", "Vic", "--email", "v@v.example", "--admin", vendor(lab))
    assert done.status == 1, "who was cut off names nobody any more"


def test_an_order_to_cut_one_group_cuts_that_group_and_lists_whom_and_why(lab: Lab) -> None:
    subject, team = "attribute:jurisdiction=DE", lab.team
    told = team.json("hold", "add", subject, "--dry-run")
    assert [(row["name"], row["why"]) for row in told["covers"]] == [
        ("Dirk Hahn", "jurisdiction=DE, as the employer signed")
    ]
    with lab.agent("dirk") as dirk, lab.agent("maria") as maria:
        assert ask(dirk).status_code == 200, "a dry run cuts nobody"
        said = team.ok("hold", "add", subject, "--reason", "order 7")
        assert re.search(r"Dirk Hahn +acme +1 +jurisdiction=DE, as the employer signed", said)
        assert "Maria" not in said
        assert code_of(ask(dirk)) == (403, "held")
        assert ask(maria).status_code == 200
        (row,) = team.json("hold", "list")
        assert row["subject"] == subject
        team.ok("hold", "lift", subject, "--reason", "the order is over")
        assert ask(dirk).status_code == 200
    done = team("hold", "add", "attribute:jurisdiction=ED", "--reason", "r")
    assert (done.status, "jurisdiction=DE" in done.err) == (1, True)


def test_a_job_uses_the_model_while_somebody_answers_for_it(lab: Lab, platform: Platform) -> None:
    (dirk,) = [row for row in lab.team.json("person", "list") if row["email"] == DIRK]
    audience = "https://bailment.example"
    made = lab.admin.json(
        *("delegate", "workload", dirk["person"], "--issuer", platform.url),
        *("--audience", audience, "--subject", JOB, "--admin", lab.acme, "--purpose", PURPOSE),
    )
    job = Work(lab.url)
    assert job.exchange(platform.token(audience)).status_code == 200
    assert job.ask().status_code == 200
    thief = Work(lab.url, token=job.token)
    assert code_of(thief.ask()) == (401, "proof-key"), "the token is bound to the job's own key"

    covers = lab.team.json("hold", "add", "attribute:jurisdiction=DE", "--dry-run")["covers"]
    assert {(row["subject"], row["why"]) for row in covers} == {
        (f"person:{dirk['person']}", "jurisdiction=DE, as the employer signed"),
        (f"workload:{made['workload']}", "only who is covered answers for it"),
    }
    lab.team.ok("link", "end", dirk["link"], "--reason", "left")
    assert code_of(job.ask()) == (403, "owner-gone")
    again = Work(lab.url).exchange(platform.token(audience))
    assert (again.status_code, again.json()["reason"]) == (400, "owner-gone")
    (row,) = [row for row in lab.team.json("link", "list") if row["kind"] == "workload"]
    assert (row["subject"], row["state"]) == (made["workload"], "active")
