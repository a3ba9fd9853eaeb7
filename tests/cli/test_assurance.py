"""From the built-in spec to a verdict, as a lab and a recipient type it."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bailment.access.approval import sign_approval
from bailment.cli.approver import load as load_key
from bailment.spec.document import digest
from bailment.spec.validation import load

from ..access.small_spec import SPEC
from ..assurance.reports import TENANT, data, roster, scubagear, user
from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ModelServer, Quick, ask

pytestmark = pytest.mark.journey

#: The check that the scanner really has, without the claim that it has not; and a share that one
#: recipient can live with.
TEXT = SPEC.replace(b"check: MFA", b"check: MS.AAD.3.1v1").replace(b"hold: 20%", b"hold: 100%")
_SHARED = b"    contradicted_by: [{kind: scan, claim: shared, min: 1, within: P7D}]\n"
TEXT = TEXT.replace(_SHARED, b"")


@pytest.fixture(scope="module")
def lab(root: Path, model: ModelServer, quick: Quick) -> Iterator[Lab]:
    """A lab that serves acme, whose engineer Maria is enrolled; no spec is in force."""
    lab = Lab(Path(tempfile.mkdtemp(dir=root)), model, quick)
    lab.init()
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk", "--contact", CONTACT),
            *("--model", MODEL, "--purpose", PURPOSE, "--until", "90d"),
        )
        lab.enrol(lab.invite("Maria Silva", MARIA, "--until", "30d"))
        (lab.root / "spec.yaml").write_bytes(TEXT)
        yield lab


def zulu() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def scan(path: Path, result: str = "Pass") -> Path:
    told = scubagear(Result=result, OriginalResult=result)
    del told["Raw"]
    told["MetaData"] |= {"TimestampZulu": zulu(), "ReportUUID": f"scan-{path.name}"}
    path.write_bytes(data(told))
    return path


def accounts(path: Path, *names: str) -> Path:
    users = [user(str(number), name) for number, name in enumerate(names)]
    told = roster(*users, id=f"roster-{path.name}", collected=int(time.time() * 1000))
    path.write_bytes(data(told))
    return path


def test_a_recipient_earns_its_tier_and_nobody_gives_it(lab: Lab) -> None:
    team, admin, home = lab.team, lab.admin, lab.root
    with lab.agent() as variables:
        assert ask(variables).status_code == 200, "without a spec nothing has to be proven"
        assert "NO SPEC IS IN FORCE" in team.ok("doctor")
        _apply(lab)
        assert ask(variables).json()["error"]["code"] == "model-untiered"
        _decide(lab)
        assert ask(variables).json()["error"]["code"] == "standing-too-low"

        done = team("evidence", "submit", "acme", "scan", scan(home / "early.json"))
        assert (done.status, "no tenant is declared" in done.err) == (1, True)
        team.ok("recipient", "enclave", "acme", "--tenant", TENANT.upper())
        assert team.json("recipient", "enclave", "acme")["tenant"] == [TENANT]

        own = ("--admin", lab.acme)
        said = admin.ok("evidence", "submit", *own, "scan", scan(home / "scan.json"))
        assert "counts as self-tool: 1 checks\nin force: no tier\n" in said
        done = admin("evidence", "submit", *own, "scan", home / "scan.json")
        assert (done.status, "`evidence-reused`" in done.err) == (1, True)

        issuers = ("--by", "issuer", "--collector", "scim-pull")
        strangers = accounts(home / "one.json", MARIA, "ghost@vendor.example")
        team.ok("evidence", "submit", "acme", "roster", strangers, *issuers)
        page = team.ok("why", "acme", "T2")
        assert "NOT HELD, 1 of 2 block" in page
        assert "next: ID-1: mend roster unmatched_accounts <= 0" in page
        lines = page.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80
        assert ask(variables).json()["error"]["code"] == "standing-too-low"

        ours = accounts(home / "two.json", MARIA)
        done = team.json("evidence", "submit", "acme", "roster", ours, *issuers)
        assert done["tier"] == "T2"
        assert ask(variables).status_code == 200
    _look(lab)


def _apply(lab: Lab) -> None:
    team, plan = lab.team, lab.root / "plan.json"
    done = team("spec", "plan", lab.root / "spec.yaml", "-o", plan)
    assert (done.status, done.out.splitlines()[0]) == (10, "from no spec to small 1.0.0")
    assert f"nobody may use `{MODEL}`" in done.err
    spec, drawn = (line.removeprefix(f"{what} sha256 ") for what, line in _digests(done.out))
    assert spec == digest(load(TEXT))
    _edited(lab, plan)
    found = team.json("spec", "apply", plan)
    assert found == {"spec": spec, "plan": drawn}
    again = team("spec", "plan", lab.root / "spec.yaml")
    assert (again.status, again.out) == (0, "this spec is in force already: nothing to apply\n")
    done = team("spec", "apply", plan)
    assert (done.status, "in force already" in done.err) == (1, True), done.err


def _digests(said: str) -> list[tuple[str, str]]:
    return list(zip(("spec", "plan"), said.splitlines()[1:3], strict=True))


def _edited(lab: Lab, plan: Path) -> None:
    """What is no longer what was drawn is not applied, though it is still a plan."""
    value = json.loads(plan.read_bytes())
    value["document"]["metadata"]["version"] = "9.9.9"
    edited = lab.root / "edited.json"
    edited.write_text(json.dumps(value))
    done = lab.team("spec", "apply", edited)
    assert (done.status, "the plan was edited; draw it anew" in done.err) == (1, True)


def test_a_plan_says_what_changes_in_the_spec_even_if_nobody_stands_otherwise(lab: Lab) -> None:
    file = lab.root / "next.yaml"
    file.write_bytes(TEXT.replace(b"version: 1.0.0", b"version: 1.0.1"))
    done = lab.team("spec", "plan", file)
    assert "  ~ /metadata/version 1.0.0 → 1.0.1\n" in done.out
    assert "0 of 1 recipients" in done.out


def test_a_plan_is_not_saved_over_a_file_that_is_none(lab: Lab) -> None:
    team, spec = lab.team, lab.root / "next.yaml"
    spec.write_bytes(TEXT.replace(b"version: 1.0.0", b"version: 1.0.2"))
    before, out = spec.read_bytes(), lab.root / "again.json"
    done = team("spec", "plan", spec, "-o", spec)
    assert (done.status, "exists, and is no plan" in done.err) == (1, True)
    assert "--force" in done.err
    assert spec.read_bytes() == before
    for _ in range(2):
        assert team("spec", "plan", spec, "-o", out).status == 10
    out.write_text("a diary")
    assert team("spec", "plan", spec, "-o", out, "--force").status == 10
    assert json.loads(out.read_bytes())["format"] == "bailment-plan/v1"


def _decide(lab: Lab) -> None:
    team = lab.team
    for name in ("ada", "bo"):
        team.ok("approver", "key", lab.root / name)
    words = ("model", "tier", MODEL, "T2", "--reason", "a test", "--key", lab.root / "ada")
    assert "approver" in team(*words).err, "who is not registered decides nothing"
    for name in ("ada", "bo"):
        team.ok("approver", "add", name, "--key", lab.root / name / "approver.jwk")
    team.ok(*words)
    rows = {row["model"]: row["tier"] for row in team.json("model", "list")}
    assert rows == {MODEL: "T2", "other": None}
    page = team.ok("doctor")
    assert "nobody has decided the tier of `other`" in page
    assert "bailment model tier other TIER --reason WHY --key FOLDER" in page.replace("\n", " ")


def _look(lab: Lab) -> None:
    """What is shown of a recipient in good standing, on both sides."""
    team, admin = lab.team, lab.admin
    (row,) = team.json("standing", "list")
    assert (row["recipient"], row["tier"], row["phase"]) == ("acme", "T2", "earned")
    assert row["next"].startswith("T2 (grace) at ")
    told = admin.json("standing", "show", "--admin", lab.acme)
    assert (told["recipient"], told["tier"], told["spec"]) == ("acme", "T2", "small 1.0.0")
    _show(admin.ok("standing", "show", "--admin", lab.acme))
    items = team.json("evidence", "list", "acme")
    assert [item["independence"] for item in items] == ["self-tool", "pulled"]
    page = team.ok("standing", "calendar", "acme")
    assert page.startswith("BEGIN:VCALENDAR")
    assert "acme: T2 lapses" in page
    assert json.loads(team.ok("why", "acme", "T2", "--json"))["held"] is True


def _show(page: str) -> None:
    """Each tier and each verdict with its end, in UTC and in how long."""
    assert page.startswith("acme: T2 (earned), by small 1.0.0\n")
    time = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    for row in (
        "tier +phase +from +ends +for",
        rf"T2 +earned +{time} +{time}, in (1 h|59 min)",
        rf"T2 +grace +{time} +{time}, in (2|1) h +ID-2",
        rf"no tier +none +{time} +never +ID-2",
        "requirement +status +ends +title",
        rf"ID-2 +satisfied +{time}, in (1 h|59 min) +Strong sign-in",
        rf"ID-1 +satisfied +{time}, in 6 d +Nobody unknown",
        "kind +scope +independence +dated +ends",
        rf"scan +{TENANT} +self-tool +{time} +{time}, in (1 h|59 min)",
    ):
        assert re.search(rf"^{row} *$", page, re.M), (row, page)


def test_an_exception_is_signed_by_two_on_their_own_machines(lab: Lab) -> None:
    team, file = lab.team, lab.root / "exception.json"
    who = ("--approver", "ada", "--approver", "bo", "--compensating", "watched by hand")
    asked = ("--until", "14d", "--reason", "their scanner is broken", *who)
    done = team("exception", "request", "acme", "ID-1", file, *asked)
    assert (done.status, "the spec forbids exceptions from `ID-1`" in done.err) == (1, True)
    team.ok("exception", "request", "acme", "ID-2", file, *asked)
    for name in ("ada", "bo"):
        done = team("exception", "grant", file)
        missing = "ada and bo" if name == "ada" else "bo"
        assert (done.status, f"still to be signed by {missing}\n" in done.err) == (1, True)
        assert "try: bailment exception sign" in done.err
        said = _signed(lab, file, name)
        assert f"signed by {name}" in said
        for part in (
            *("acme (", "ID-2", "their scanner is broken", "watched by hand", "ada and bo"),
            f"signed by:    {'ada' if name == 'bo' else 'nobody'}",
        ):
            assert part in said
    done = lab.engineer("exception", "sign", file, "--key", lab.root / "bo", "--yes")
    assert (done.status, "bo has signed already" in done.err) == (1, True)
    assert "acme is excused from ID-2" in team.ok("exception", "grant", file)
    (row,) = team.json("exception", "list")
    assert (row["recipient"], row["approvers"], row["state"]) == ("acme", ["ada", "bo"], "in force")


def _signed(lab: Lab, file: Path, name: str) -> str:
    words = ("exception", "sign", file, "--key", lab.root / name)
    done = lab.engineer(*words)
    assert (done.status, "--yes" in done.err) == (1, True), "nothing is signed unasked"
    return lab.engineer.ok(*words, "--yes")


def test_only_the_named_approvers_sign_and_all_of_them(lab: Lab) -> None:
    team, file = lab.team, lab.root / "named.json"
    words = (
        *("exception", "request", "acme", "ID-2", file, "--until", "2d"),
        *("--compensating", "watched", "--approver", "ada", "--approver"),
    )
    done = team(*words, "zoe", "--reason", "x")
    assert (done.status, "`zoe` is no registered approver" in done.err) == (1, True)
    done = team(*words, "bo", "--reason", "a\u202eb")
    assert (done.status, "U+202E" in done.err, file.exists()) == (2, True, False)
    team.ok(*words, "bo", "--reason", "x")
    team.ok("approver", "key", lab.root / "cy")
    done = lab.engineer("exception", "sign", file, "--key", lab.root / "cy", "--yes")
    assert (done.status, "none of those of ada and bo" in done.err) == (1, True)
    _signed(lab, file, "ada")
    value: dict[str, Any] = json.loads(file.read_bytes())
    value["approvals"] += [sign_approval("exception", *_as_other(value, lab.root / "cy"))]
    file.write_text(json.dumps(value))
    done = team("exception", "grant", file)
    assert (done.status, "signed and is not among ada and bo" in done.err) == (1, True)
    assert "try: bailment exception request" in done.err


def _as_other(value: dict[str, Any], folder: Path) -> tuple[Any, Any, str]:
    told = {name: value[name] for name in ("recipient", "grant", "text")}
    return told, *load_key(folder)


def test_what_was_signed_cannot_be_changed_afterwards(lab: Lab) -> None:
    team, file = lab.team, lab.root / "changed.json"
    who = ("--approver", "ada", "--approver", "bo", "--compensating", "watched by hand")
    team.ok("exception", "request", "acme", "ID-2", file, "--until", "2d", "--reason", "x", *who)
    for name in ("ada", "bo"):
        _signed(lab, file, name)
    value: dict[str, Any] = json.loads(file.read_bytes())
    value["grant"]["until"] += 1000
    file.write_text(json.dumps(value))
    done = team("exception", "grant", file)
    assert (done.status, "did not sign this" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("why", "acme", "T4"), "the spec has no tier `T4`"),
        (("why", "nobody", "T2"), "there is no recipient `nobody`"),
        (("evidence", "submit", "acme", "scan"), "give HANDLE KIND FILE"),
        (("evidence", "submit", "acme", "riddle", "spec.yaml"), "no evidence `riddle`"),
        (("evidence", "submit", "acme", "scan", "spec.yaml"), "not accepted as evidence"),
        (("spec", "apply", "spec.yaml"), "not a plan"),
        (("model", "tier", "nothing", "T2", "--reason", "x", "--key", "ada"), "no model `nothing`"),
        (("exception", "sign", "spec.yaml", "--key", "ada"), "is no exception"),
        (("approver", "add", "x y", "--key", "ada"), "letters, digits,"),
        (("approver", "add", "x", "--key", "spec.yaml"), "bailment approver key FOLDER"),
        (("approver", "add", "x", "--key", "pem"), "it is PEM, not JSON"),
        (("recipient", "enclave", "acme", "--tenant", ""), "an id is empty"),
        (("standing", "calendar", "nobody"), "there is no recipient `nobody`"),
    ],
)
def test_mistakes_are_named(lab: Lab, words: tuple[str, ...], said: str) -> None:
    files = {"spec.yaml": lab.root / "spec.yaml", "ada": lab.root / "ada"}
    files["pem"] = lab.root / "key.pem"
    files["pem"].write_text("-----BEGIN PRIVATE KEY-----\n")
    done = lab.team(*(files.get(word, word) for word in words))
    assert done.status in (1, 2)
    assert said.replace("spec.yaml", str(lab.root / "spec.yaml")) in done.err.replace("\n", " ")
