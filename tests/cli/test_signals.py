"""Sources of signals and webhooks as a recipient's admin types them."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from .lab import MARIA, Lab

pytestmark = pytest.mark.journey


def test_a_directory_is_set_up_and_a_leaver_is_on_hold(lab: Lab) -> None:
    said = lab.admin.ok("signals", "add", "scim", "--admin", lab.acme)
    told = dict(line.split(": ", 1) for line in said.splitlines())
    assert told["url"].endswith("/scim/v2")
    headers = {"authorization": f"Bearer {told['credential']}"}
    schema = ["urn:ietf:params:scim:schemas:core:2.0:User"]
    leaver = {"schemas": schema, "userName": MARIA, "active": False}
    with httpx2.Client(base_url=told["url"], headers=headers, trust_env=False) as http:
        made = http.post("/Users", json=leaver)
        assert made.status_code == 201, made.text
        held = lab.team.json("hold", "list")
        assert [one["author"] for one in held] == [f"signal:{told['source']}"]
        user = f"/Users/{made.json()['id']}"
        back = {"op": "replace", "value": {"active": True}}
        patch = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        assert http.patch(user, json={"schemas": patch, "Operations": [back]}).is_success
    assert lab.team.json("hold", "list") == []
    (mine,) = lab.admin.json("signals", "show", "--admin", lab.acme)
    assert (mine["source"], mine["kind"], mine["silent"]) == (told["source"], "scim", False)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine["heard"])
    (listed,) = lab.team.json("signals", "list")
    assert (listed["organisation"], listed["source"]) == ("acme", told["source"])
    again = lab.admin.json("signals", "rotate", told["source"], "--admin", lab.acme)
    assert again["credential"] != told["credential"]
    lab.admin.ok("signals", "end", told["source"], "--admin", lab.acme)
    assert lab.admin.json("signals", "show", "--admin", lab.acme) == []


def test_a_stream_takes_an_issuer_and_a_token(lab: Lab, tmp_path: Path) -> None:
    done = lab.admin("signals", "add", "ssf", "--admin", lab.acme)
    assert (done.status, "--issuer URL" in done.err) == (1, True)
    token = tmp_path / "token"
    token.write_text("t\n")
    options = ("--issuer", "https://localhost:1", "--token-file", str(token))
    done = lab.admin("signals", "add", "ssf", "--admin", lab.acme, *options)
    assert (done.status, "not public" in done.err) == (1, True), done.err


def test_a_webhook_is_set_looked_at_and_ended(lab: Lab) -> None:
    url = "https://localhost:1/hook"
    said = lab.admin.ok("webhook", "set", url, "--admin", lab.acme)
    assert said.startswith("key: whpk_")
    found = lab.admin.json("webhook", "show", "--admin", lab.acme)
    assert (found["url"], found["told"], found["last"]) == (url, 0, None)
    assert f"url: {url}" in lab.admin.ok("webhook", "show", "--admin", lab.acme)
    assert "nothing" in lab.admin.ok("webhook", "end", "--admin", lab.acme)
    assert "url: none" in lab.admin.ok("webhook", "show", "--admin", lab.acme)
