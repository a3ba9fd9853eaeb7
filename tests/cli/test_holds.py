"""Taking access away on the command line: whom it hits, when it was so, and the kill switch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx2
import pytest

from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ModelServer, Quick, ask, until

pytestmark = pytest.mark.journey

WHEN = r"accepted 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z, refused from [0-9.]+ ms after; "


def test_a_dry_run_shows_who_would_be_cut_and_cuts_nobody(lab: Lab) -> None:
    before = lab.team.json("status")["size"]
    shown = lab.team.ok("hold", "add", "recipient:acme", "--dry-run")
    assert re.search(r"Maria Silva +acme +1 +of this recipient", shown)
    told = lab.team.json("hold", "add", f"person:{MARIA}", "--dry-run")
    assert [row["name"] for row in told["covers"]] == ["Maria Silva"]
    assert told["covers"][0]["why"] == "the person"
    assert re.fullmatch("[0-9a-f]{64}", told["selects"])
    assert lab.team.json("status")["size"] == before


def test_a_hold_says_when_it_was_effective(lab: Lab) -> None:
    said = lab.team.ok("hold", "add", f"person:{MARIA}", "--reason", "r")
    first, second = said.splitlines()
    assert first.startswith(f"person:{MARIA} is on hold: ")
    assert re.fullmatch(WHEN + "no stream was open: effective", second)
    lab.team.ok("hold", "lift", f"person:{MARIA}", "--reason", "r")


def test_a_hold_needs_a_reason(lab: Lab) -> None:
    done = lab.team("hold", "add", "everything")
    assert (done.status, "--reason" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("subject", "near"),
    [
        (f"model:{MODEL}x", f"`model:{MODEL}`"),
        ("purpose:red-taem", f"`purpose:{PURPOSE}`"),
        ("modle:x", "`model:…`"),
        ("recipient:acm", "`acme`"),
        ("person:mariaa@acme.example", f"`{MARIA}`"),
        ("person:Maria Sliva", "`Maria Silva`"),
    ],
)
def test_a_hold_that_can_match_nothing_names_what_is_near(
    lab: Lab, subject: str, near: str
) -> None:
    done = lab.team("hold", "add", subject, "--reason", "r")
    assert (done.status, near in done.err) == (1, True), done.err
    assert "try:" in done.err


def test_a_token_is_revoked_by_its_hash(lab: Lab) -> None:
    done = lab.team("token", "revoke", "x" * 43, "--reason", "r")
    assert (done.status, "there is no such token" in done.err) == (1, True)
    done = lab.team("token", "revoke", "x", "--reason", "r")
    assert done.status == 2


@pytest.fixture(scope="module")
def stopped(root: object, model: ModelServer, quick: Quick, lab: Lab) -> Iterator[Lab]:
    """The lab, whose kill switch is off again afterwards."""
    yield lab
    lab.team("kill-switch", "off", "--reason", "the test is over")


def test_the_kill_switch_says_what_it_did_and_is_undone_on_the_record(stopped: Lab) -> None:
    lab = stopped
    assert lab.team.json("kill-switch", "status") == {
        "file": False,
        "pid": lab.team.json("status")["pid"],
        "stopped": False,
    }
    with lab.agent() as variables:
        said = lab.team.ok("kill-switch", "on", "--reason", "they are in")
        assert said.startswith("the kill switch is on: pid ")
        refused = ask(variables)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "kill-switch")
        status = lab.team.json("kill-switch", "status")
        assert (status["file"], status["stopped"], status["reason"]) == (True, True, "they are in")
        assert "they are in" in lab.team.ok("kill-switch", "status")
        assert lab.team.json("status")["access"] == "kill-switch"
        held = until(lambda: [h for h in lab.team.json("hold", "list") if _is_kill(h)])
        assert held[0]["reason"] == "they are in"
        doctor = lab.team("doctor")
        assert "bailment kill-switch status" in doctor.out
        assert lab.team.ok("kill-switch", "off", "--reason", "a drill") == (
            "the kill switch is off\n"
        )
        assert ask(variables).status_code == 200
    off = lab.team("kill-switch", "off", "--reason", "again")
    assert (off.status, "does not hold that the kill switch is on" in off.err) == (1, True)


def _is_kill(held: dict[str, str]) -> bool:
    return held["subject"] == "kill-switch"


def test_the_kill_switch_works_where_nobody_serves(copied: Lab) -> None:
    said = copied.team.ok("kill-switch", "on", "--reason", "r")
    assert "no issuer is running" in said
    assert json.loads(copied.team.ok("kill-switch", "on", "--reason", "r", "--json"))["file"]
    off = copied.team("kill-switch", "off", "--reason", "r")
    assert (off.status, "no issuer is running" in off.err) == (1, True)
    assert copied.team.json("kill-switch", "status")["file"] is True


def test_maintenance_is_seen_wherever_one_looks(lab: Lab) -> None:
    assert "excused until" in lab.team.ok("maintenance", "start", "--until", "5m", "--reason", "r")
    assert 0 < lab.team.json("status")["maintenance"] <= 300_000
    assert "silence of the log is excused" in lab.team("doctor").out
    metrics = httpx2.get(lab.url + "/metrics", trust_env=False).text
    left = re.search(r"^bailment_maintenance_seconds (\S+)$", metrics, re.M)
    assert left is not None
    assert 0 < float(left[1]) <= 300
    lab.team.ok("maintenance", "end", "--reason", "done")
    assert lab.team.json("status")["maintenance"] == 0
    done = lab.team("maintenance", "start", "--until", "2h", "--reason", "r")
    assert (done.status, "maintenance ends within 3600 s" in done.err) == (1, True)


def test_who_is_refused_is_told_whom_to_ask(lab: Lab) -> None:
    with lab.agent() as variables:
        lab.team.ok("hold", "add", "recipient:acme", "--reason", "r")
        assert CONTACT in ask(variables).json()["error"]["message"]
        lab.team.ok("hold", "lift", "recipient:acme", "--reason", "r")
