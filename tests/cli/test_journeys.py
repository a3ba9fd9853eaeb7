"""What each command does when all is well: a result for people, and the same as JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.ledger.cosignature import WitnessSigner
from bailment.ledger.note import parse_note

from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ask, line_of, stop, until, wait

pytestmark = pytest.mark.journey

ID = re.compile(r"[0-9a-f]{32}")
EFFECT = {
    "accepted": int,
    "refused_after": float,
    "cut": int,
    "cut_after": object,
    "left": 0,
    "effective": True,
}
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def matches(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: the same members, and values that are, or match, or are of."""
    if isinstance(shape, dict):
        return value.keys() == shape.keys() and all(matches(value[k], shape[k]) for k in shape)
    if isinstance(shape, list):
        return len(value) == len(shape) and all(map(matches, value, shape))
    if isinstance(shape, re.Pattern):
        return bool(shape.fullmatch(value))
    return isinstance(value, shape) if isinstance(shape, type) else bool(value == shape)


def maria(lab: Lab) -> dict[str, Any]:
    """Maria, as `person list` has her."""
    found: dict[str, Any] = lab.team.json("person", "list")[0]
    return found


def test_the_version_is_printed(lab: Lab) -> None:
    assert re.fullmatch(r"bailment \d+\.\d+\.\d+\n", lab.team.ok("--version"))


def test_an_issuer_is_made_with_the_key_to_pin_as_its_only_result(
    tmp_path: Path, bare: Lab
) -> None:
    done = bare.team("init", tmp_path / "new", "--origin", "lab.example/new", "--contact", "c")
    assert done.status == 0
    assert re.fullmatch(r"lab\.example/new\+[0-9a-f]{8}\+\S+\n", done.out)
    assert "bailment serve -d" in done.err
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_status_says_what_runs(lab: Lab) -> None:
    shape = {
        "version": str,
        "pid": int,
        "size": int,
        "epoch": int,
        "open": 0,
        "access": "served",
        "heard": int,
        "killed": False,
        "maintenance": 0,
        "worker": {"state": "disabled", "prompts_dropped": 0},
    }
    assert matches(lab.team.json("status"), shape), lab.team.json("status")
    assert re.search(r"^access +served$", lab.team.ok("status"), re.M)


def test_recipients_are_listed_with_what_they_may(lab: Lab) -> None:
    rows = lab.team.json("recipient", "list")
    shape = {
        "handle": "acme",
        "recipient": ID,
        "contact": CONTACT,
        "models": [MODEL],
        "purposes": [PURPOSE],
        "networks": [],
        "budget": None,
        "until": TIME,
        "state": "active",
        "link": ID,
    }
    assert matches(rows[0], shape), rows
    head, row, *_ = lab.team.ok("recipient", "list").splitlines()
    assert head.split() == ["handle", "contact", "models", "purposes", "until", "state"]
    assert row.split() == ["acme", CONTACT, MODEL, PURPOSE, rows[0]["until"], "active"]


def test_people_are_listed_with_their_devices(lab: Lab) -> None:
    shape = {
        "name": "Maria Silva",
        "email": MARIA,
        "person": ID,
        "recipient": "acme",
        "devices": [{"name": str, "device": ID, "state": "active"}],
        "until": TIME,
        "state": "active",
        "link": ID,
    }
    assert matches(found := maria(lab), shape), found
    head, row, *_ = lab.team.ok("person", "list").splitlines()
    assert head.split() == ["name", "email", "recipient", "devices", "until", "state", "person"]
    assert row.split()[-1] == found["person"]


def test_delegations_are_listed_as_the_chains_they_are(lab: Lab) -> None:
    rows = lab.team.json("link", "list")
    assert [row["kind"] for row in rows[:3]] == ["recipient", "person", "device"]
    assert [row["parent"] for row in rows[:3]] == [None, rows[0]["link"], rows[1]["link"]]
    assert rows[0].keys() == rows[1].keys() == rows[2].keys()
    shape = {
        "kind": "person",
        "name": "Maria Silva",
        "subject": maria(lab)["person"],
        "recipient": "acme",
        "until": TIME,
        "state": "active",
        "link": ID,
        "parent": ID,
        "depth": 1,
    }
    assert matches(rows[1], shape), rows[1]
    lines = lab.team.ok("link", "list").splitlines()[1:4]
    assert [line.index(line.strip()) for line in lines] == [0, 2, 4]


def test_accesses_are_listed_with_who_did_what_and_how_it_ended(lab: Lab) -> None:
    person = maria(lab)
    shape = {
        "what": "access",
        "time": TIME,
        "recipient": "acme",
        "slot": ID,
        "name": "Maria Silva",
        "person": person["person"],
        "device": person["devices"][0]["device"],
        "purpose": PURPOSE,
        "action": "generate",
        "model": MODEL,
        "outcome": "complete",
        "reason": "",
        "count": 1,
        "input": 33,
        "output": 6,
        "measured": True,
        "ceiling": int,
        "access": ID,
        "record": int,
        "closed": int,
    }
    refusal = {
        "what": "refusal",
        "model": "other",
        "outcome": "refused",
        "reason": "model-outside-chain",
        "input": None,
        "output": None,
        "measured": False,
        "ceiling": None,
        "access": None,
        "closed": None,
    }
    rows = lab.team.json("access", "list", "--person", MARIA, "--since", "1h")
    assert matches(rows[:3], [shape, shape, {**shape, **refusal}]), rows
    assert rows == sorted(rows, key=lambda row: row["record"])


def test_listings_of_accesses_can_be_narrowed(lab: Lab) -> None:
    rows = lab.team.json("access", "list", "--recipient", "acme", "--no-refused")
    assert {row["what"] for row in rows} == {"access"}
    assert lab.team.json("access", "list", "--limit", "1") == lab.team.json("access", "list")[-1:]
    assert lab.team.json("access", "list", "--since", "2100-01-01") == []
    done = lab.team("access", "list", "--since", "2100-01-01")
    assert (done.status, done.out) == (0, "")
    assert done.err == "no access since 2100-01-01\n"


def test_a_hold_cuts_off_until_it_is_lifted_and_tells_whom_to_ask(lab: Lab) -> None:
    subject = f"person:{MARIA}"
    with lab.agent() as variables:
        added = lab.team.json("hold", "add", subject, "--reason", "laptop lost", "--until", "2h")
        assert matches(added, {"hold": ID, **EFFECT})
        refused = ask(variables)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "held")
        assert CONTACT in refused.json()["error"]["message"]
        told = lab.engineer("agent")
        assert told.status == 1
        assert "`held`" in told.err
        assert CONTACT in told.err
        shape = {
            "hold": added["hold"],
            "subject": f"person:{maria(lab)['person']}",
            "name": "Maria Silva",
            "reason": "laptop lost",
            "author": str,
            "until": TIME,
            "state": "in force",
            "drill": "",
        }
        assert matches(held := lab.team.json("hold", "list")[-1], shape), held
        assert maria(lab)["state"] == "on hold"
        lifted = lab.team.ok("hold", "lift", added["hold"], "--reason", "found")
        assert lifted == f"lifted {added['hold']}\n"
        assert ask(variables).status_code == 200


def test_a_hold_says_when_it_ends_and_that_it_is_over(lab: Lab) -> None:
    def hold(*options: str) -> str:
        made = lab.team.json("hold", "add", "purpose:red-team", "--reason", "r", *options)
        identifier: str = made["hold"]
        return identifier

    def shown(identifier: str) -> str:
        lines = lab.team.ok("hold", "list").splitlines()
        return next(line.rstrip() for line in lines if line.startswith(identifier[:8]))

    endless, ending = hold(), hold("--until", "1s")
    assert re.search(" when lifted +in force ", shown(endless))
    assert until(lambda: re.search(" 20[-0-9T:]+Z +over ", shown(ending)))
    for held in (endless, ending[:8]):
        lab.team.ok("hold", "lift", held, "--reason", "r")
    assert not {endless, ending} & {row["hold"] for row in lab.team.json("hold", "list")}


def test_a_hold_is_lifted_by_its_subject_too_if_there_is_one(lab: Lab) -> None:
    subject = "recipient:acme"
    none = lab.team("hold", "lift", subject, "--reason", "r")
    assert (none.status, f"there is no hold on `{subject}`" in none.err) == (1, True)
    first, second = (
        lab.team.json("hold", "add", subject, "--reason", "r")["hold"] for _ in range(2)
    )
    assert {row["state"] for row in lab.team.json("recipient", "list")} >= {"on hold"}
    two = lab.team("hold", "lift", subject, "--reason", "r")
    assert (two.status, "there are 2 holds on" in two.err) == (1, True)
    lab.team.ok("hold", "lift", first, "--reason", "r")
    assert lab.team.ok("hold", "lift", subject, "--reason", "r") == f"lifted {second}\n"


def test_a_hold_on_a_network_names_one_that_is_declared(lab: Lab) -> None:
    lab.admin.ok("recipient", "key", lab.root / "delta")
    lab.team.ok(
        *("recipient", "add", "delta", "--key", lab.root / "delta" / "admin.jwk", "--contact", "c"),
        *("--model", MODEL, "--purpose", PURPOSE, "--network", "2001:db8::/32"),
    )
    none = lab.team("hold", "add", "network:10.0.0.0/8", "--reason", "r")
    assert none.err.endswith("the network `10.0.0.0/8`: those declared are 2001:db8::/32\n")
    for spelt in ("2001:db8::/32", "2001:0DB8::/32"):
        hold = lab.team.json("hold", "add", f"network:{spelt}", "--reason", "r")["hold"]
        held = next(row for row in lab.team.json("hold", "list") if row["hold"] == hold)
        assert held["subject"] == "network:2001:db8::/32"
        lab.team.ok("hold", "lift", f"network:{spelt}", "--reason", "r")


def test_whoever_delegates_is_told_for_how_long_the_invitation_is_good(lab: Lab) -> None:
    words = ("Kim", "--email", "kim@acme.example", "--admin", lab.acme)
    done = lab.admin("delegate", "person", *words)
    (told,) = re.findall(r"^give it to Kim alone, until (\S+): ", done.err, re.M)
    assert done.status == 0 and TIME.fullmatch(told)


def test_ending_a_person_ends_the_device_and_erasing_takes_the_name(lab: Lab) -> None:
    lab.enrol(lab.invite("Eve", "eve@acme.example"), profile="eve")
    eve = lab.team.json("person", "list")[-1]
    ended = lab.team.ok("link", "end", eve["link"], "--reason", "left")
    assert ended.startswith(f"ended {eve['link']} and all below it\naccepted 2")
    assert ended.endswith("; no stream was open: effective\n")
    eve = lab.team.json("person", "list")[-1]
    assert (eve["state"], eve["devices"][0]["state"]) == ("ended", "ended")
    refused = lab.engineer("agent", "--profile", "eve")
    assert refused.status == 1
    assert "`link-ended`" in refused.err
    lab.team.ok("person", "erase", "Eve", "--reason", "asked for it", "--yes")
    erased = lab.team.json("person", "list")[-1]
    assert (erased["name"], erased["email"]) == (f"erased:{eve['person'][:8]}", "")
    assert "Eve" not in lab.team.ok("link", "list")


def test_a_call_around_the_gateway_becomes_a_finding_in_the_listing(lab: Lab) -> None:
    lab.model.served = (1000, 10)
    rows = until(lambda: lab.team.json("finding", "list"))
    shape = {
        "time": TIME,
        "kind": "around-the-gateway",
        "subject": "",
        "name": "",
        "person": "",
        "person_name": "",
        "recipient": "",
        "contact": "",
        "drill": "",
        "sentence": str,
        "model": MODEL,
        "numbers": {"input_tokens": int, "output_tokens": int},
        "severity": "high",
        "others": [],
        "response": "person",
        "finding": ID,
        "record": int,
        "records": [],
        "more": int,
        "done": [],
        "held": False,
        "verdict": "",
        "said": "",
        "reason": "",
        "author": "",
    }
    assert matches(rows[-1], shape), rows
    listed = lab.team("finding", "list", "--limit", "1")
    assert "around-the-gateway" in listed.out
    # The other model has no meter, and nobody should think that nothing goes around to it.
    assert listed.err.startswith("warning: calls around the gateway to other are not found")


def test_receipts_verify_anywhere_with_the_pinned_key(lab: Lab, tmp_path: Path) -> None:
    vkey = lab.team.ok("log", "vkey")
    (tmp_path / "lab.vkey").write_text(vkey)
    wrote = lab.team.ok("log", "receipt", "0", "--out", tmp_path / "receipt")
    assert wrote == f"wrote {tmp_path / 'receipt'}\n"
    verify = ("log", "verify", tmp_path / "receipt", "--key")
    said = lab.auditor.ok(*verify, tmp_path / "lab.vkey")
    assert said.startswith("verified: record 0 of lab.example/log is a `log.started` of 20")
    shape = {"record": 0, "size": int, "type": "log.started", "time": TIME}
    assert matches(lab.auditor.json(*verify, vkey.strip()), shape)


def test_the_checkpoint_is_printed_byte_for_byte(lab: Lab) -> None:
    note = lab.team.ok("log", "checkpoint")
    assert re.fullmatch(r"lab\.example/log\n\d+\n\S+\n\n— lab\.example/log \S+\n", note)
    shape = {"origin": "lab.example/log", "size": int, "root": re.compile("[0-9a-f]{64}")}
    assert matches(lab.team.json("log", "checkpoint"), shape)


def test_a_witnesss_cosignature_is_merged_into_the_checkpoint(lab: Lab, tmp_path: Path) -> None:
    witness = WitnessSigner("witness.example", Ed25519PrivateKey.generate())
    note = lab.team.ok("log", "checkpoint").encode()
    line = witness.cosign(parse_note(note).text, int(time.time() * 1000)).line.encode()
    (tmp_path / "checkpoint").write_bytes(note)
    (tmp_path / "line").write_bytes(line)
    files = (tmp_path / "checkpoint", tmp_path / "line")
    merged = lab.auditor.ok("log", "merge", *files, "--witness", witness.public.vkey)
    assert merged.encode() == note + line
    other = WitnessSigner("witness.example", Ed25519PrivateKey.generate()).public.vkey
    assert lab.auditor.ok("log", "merge", *files, "--witness", other).encode() == note


def test_an_auditors_credential_opens_the_entries_over_http(copied: Lab) -> None:
    made = copied.team("log", "credential", "ann")
    line = made.err.splitlines()[-1]
    with (copied.folder / "bailment.toml").open("a") as settings:
        settings.write(f"[auditors]\n{line}\n")
    with copied.serving():
        until(lambda: (copied.folder / "log" / "checkpoint").exists())
        size = copied.team.json("log", "checkpoint")["size"]
        url = f"{copied.url}/log/tile/entries/000.p/{size}"
        with httpx2.Client(trust_env=False) as http:
            bearer = {"authorization": f"Bearer {made.out.strip()}"}
            assert until(lambda: http.get(url, headers=bearer).status_code == 200)
            assert http.get(url).status_code == 401
            assert http.get(url, headers={"authorization": "Bearer x"}).status_code == 401


def test_an_export_is_audited_from_the_pinned_key_alone(lab: Lab, tmp_path: Path) -> None:
    vkey = lab.team.ok("log", "vkey").strip()
    assert re.match(r"wrote \d+ records to ", lab.team.ok("log", "export", tmp_path / "log"))
    audit = ("log", "audit", tmp_path / "log", "--key", vkey)
    assert "verified: the log is what it claims to be" in lab.auditor.ok(*audit)
    found = lab.auditor.json(*audit)
    assert (found["clean"], found["findings"], found["counts"]) == (True, [], {})
    assert found["decisions"] == found["agreed"] > 0
    assert found["types"]["access.opened"] == found["accesses"]


def test_a_recipients_view_is_its_own_to_audit(lab: Lab, tmp_path: Path) -> None:
    view = tmp_path / "acme.view"
    said = lab.team.ok("log", "export", view, "--recipient", "acme")
    assert re.fullmatch(rf"wrote \d+ records of acme to {view}\n", said)
    vkey = lab.team.ok("log", "vkey").strip()
    audit = ("log", "audit", view, "--key", vkey)
    found = json.loads(lab.auditor(*audit, "--json").out)
    assert (found["until"] is None) == (found["covered"] == 0)
    # A log this young may have said nothing yet about whether these are all.
    kinds = [] if found["until"] else ["unproven-complete"]
    assert [finding["kind"] for finding in found["findings"]] == kinds
    done = lab.auditor(*audit, "--recipient", found["recipient"])
    assert done.status == (20 if kinds else 0)
    assert (f"left out up to {found['until']}" in done.out) == (not kinds)
    named = tmp_path / "named.view"
    lab.team.ok("log", "export", named, "--recipient", "acme", "--names")
    admin = ("--admin", lab.acme / "admin.jwk")
    told = json.loads(lab.auditor("log", "audit", named, "--key", vkey, *admin, "--json").out)
    people = [row for row in lab.team.json("person", "list") if row["recipient"] == "acme"]
    erased = sum(row["name"].startswith("erased:") for row in people)
    assert told["named"] == len(people) - erased > 0
    assert {row["kind"] for row in told["findings"]} <= {"unproven-complete"}
    other = lab.auditor(*audit, "--recipient", "ab" * 16)
    assert other.status == 20
    assert "wrong-slot" in other.out


def test_enrolment_can_be_left_and_waited_for_again(lab: Lab) -> None:
    invitation = lab.invite("Ann", "ann@acme.example")
    with lab.engineer.start("enrol", "-", "--profile", "ann", typed=invitation) as first:
        code = line_of(first, r"^code: (\S+)$")
        assert stop(first, signal.SIGINT).status == 130
    refused = lab.engineer("agent", "--profile", "ann")
    assert refused.status == 1
    assert "waits to be confirmed" in refused.err
    assert "bailment enrol" in refused.err
    with lab.engineer.start("enrol", "--profile", "ann") as again:
        assert line_of(again, r"^code: (\S+)$") == code
        confirmed = lab.admin.json("delegate", "device", code, "--admin", lab.acme, "--yes")
        assert matches(confirmed, {"link": ID})
        done = wait(again)
        assert (done.status, done.out) == (0, f"enrolled for {PURPOSE}\n")


def test_an_agent_keeps_a_proxy_from_being_asked_for_this_machine(lab: Lab) -> None:
    proxied = replace(lab.engineer, environment={"HTTP_PROXY": "http://127.0.0.1:1"})
    with proxied.start("agent", "--json") as process:
        told = json.loads(line_of(process, "{.*}"))
        assert told["NO_PROXY"] == told["no_proxy"] == "127.0.0.1,::1"
        with patch.dict(os.environ, {"http_proxy": "http://127.0.0.1:1", **told}):
            url = told["ANTHROPIC_BASE_URL"] + "/v1/models"
            answer = httpx2.get(url, headers={"x-api-key": told["ANTHROPIC_API_KEY"]})
        assert answer.status_code == 200
        stop(process)
    with lab.agent() as variables:
        assert not {"NO_PROXY", "no_proxy"} & variables.keys()


def test_the_agent_prints_what_a_shell_can_read(lab: Lab) -> None:
    with lab.engineer.start("agent", "--purpose", PURPOSE) as process:
        for name, pattern in {
            "OPENAI_BASE_URL": r"http://127\.0\.0\.1:\d+/v1",
            "OPENAI_API_KEY": r"bailment-local-[\w-]+",
            "ANTHROPIC_BASE_URL": r"http://127\.0\.0\.1:\d+",
            "ANTHROPIC_API_KEY": r"bailment-local-[\w-]+",
        }.items():
            line_of(process, f"^export {name}={pattern}$")
        assert stop(process).status == 0
