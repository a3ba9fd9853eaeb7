"""An incident on the command line: opened by a tip, its extent, its containment, keys tried."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .lab import CONTACT, MARIA, MODEL, PURPOSE, Lab, ModelServer, Quick, ask

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture(scope="module")
def breached(root: Path, model: ModelServer, quick: Quick) -> Lab:
    """A lab whose recipient keeps Maria's device's key in a vault that a vendor gets into."""
    return Lab(root / "breached", model, quick)


def test_from_a_tip_to_a_proven_containment(breached: Lab, tmp_path: Path) -> None:
    lab = breached
    lab.init()
    with lab.serving():
        lab.admin.ok("recipient", "key", lab.acme)
        lab.team.ok(
            *("recipient", "add", "acme", "--key", lab.acme / "admin.jwk"),
            *("--contact", CONTACT, "--model", MODEL, "--purpose", PURPOSE),
        )
        lab.enrol(lab.invite("Maria Silva", MARIA))
        lab.enrol(lab.invite("Otto Own", "otto@acme.example"), "other")
        people = {row["name"]: row for row in lab.team.json("person", "list")}
        device = people["Maria Silva"]["devices"][0]["device"]
        person = people["Maria Silva"]["person"]
        with lab.agent() as variables:
            assert ask(variables).status_code == 200

            lab.team.ok(
                *(
                    "custody",
                    "declare",
                    "ci-vault",
                    "--kind",
                    "secrets",
                    "--runs",
                    "vendor:vaultly",
                ),
                *("--reach", "vendor:mercury", "--store", f"device:{device}", "--since", "1d"),
            )
            assert "ci-vault" in lab.team.ok("custody", "list")
            unheard = lab.team("incident", "open", "--about", "vendor:unheard")
            assert (unheard.status, "bailment custody declare" in unheard.err) == (1, True)
            late = lab.team("incident", "open", "--tip", "t", "--occurred", "2099-01-01")
            assert (late.status, "`occurred` is a time to come" in late.err) == (1, True)
            opened = lab.team.json(
                *("incident", "open", "--title", "a report in the press", "--occurred", "2h"),
                *("--tip", "Maria's key is sold in a forum", "--about", "vendor:mercury"),
            )
            incident = opened["incident"]

            found = lab.team.json("blast-radius", f"incident:{incident}")
            reached = {row["node"]: row for row in found["reached"]}
            assert {"system:ci-vault", f"device:{device}", f"model:{MODEL}"} <= set(reached)
            assert f"person:{person}" not in reached
            assert reached[f"device:{device}"]["accesses"] == 1
            assert reached[f"model:{MODEL}"]["accesses"] == 1
            assert reached["system:ci-vault"]["accesses"] is None, "a vault calls nothing"
            assert found["used"]["models"] == {MODEL: 1}
            assert "ci-vault" in found["window"]["why"]
            assert not found["window"]["misses_exposure"]

            late = lab.team("blast-radius", f"device:{device}", "--since", "2099-01-01")
            assert "MISSES the exposure" in late.err
            assert "at least 1 access lies before" in late.err
            early = lab.team("blast-radius", f"device:{device}", "--since", "30d")
            assert "MISSES" not in early.err
            assert "could be reached: 1 link, 1 model, 1 purpose" in early.out
            assert "was done: 1 access, " in early.out
            nothing = lab.team("blast-radius", "model:")
            assert (nothing.status, "is no subject" in nothing.err) == (1, True)

            saved = tmp_path / "plan.json"
            planned = lab.team.json("contain", incident[:8], "--plan-out", saved)
            assert [(one["act"], one["subject"]) for one in planned["acts"]] == [
                ("hold", f"device:{device}"),
                ("rotate", f"device:{device}"),
            ]
            assert [one["name"] for one in planned["cut"]] == ["person Maria Silva"]
            assert ask(variables).status_code == 200  # nothing was done yet

            hold, rotate = json.loads(saved.read_text())["acts"]
            edits: list[dict[str, object]] = [
                {"acts": []},
                {"acts": [hold | {"subject": f"person:{person}"}, rotate]},
                {"acts": [hold, rotate | {"within": 2**40}]},
                {"cut": []},
                {"credentials": []},
            ]
            for edit in edits:
                edited = tmp_path / "edited.json"
                edited.write_text(json.dumps(json.loads(saved.read_text()) | edit))
                refused = lab.team("contain", incident[:8], "--execute", edited)
                assert refused.status == 1
                assert "it was changed since" in refused.err
            done = lab.team.json("contain", incident[:8], "--execute", saved)
            assert done["verified"]["contained"] is True
            assert done["verified"]["decided"] == done["verified"]["refused"] == 1
            said = lab.team.ok("contain", incident[:8], "--verify")
            assert "1 of 1 credentials refused; 0 accesses open" in said
            again = lab.team.json("contain", incident[:8], "--execute", saved)
            assert [one["already"] for one in again["executed"]["acts"]] == [True, True]
            refused = ask(variables)
            assert (refused.status_code, "held" in refused.text) == (403, True)
        told = lab.team.json("notice", "send", incident)
        assert [(row["recipient"], row["accesses"]) for row in told] == [("acme", 2)]
        admin = ("--admin", lab.acme, "--gateway", lab.url)
        (mine,) = lab.admin.json("notice", "mine", *admin)
        assert (mine["rotate"], mine["acknowledged"]) == ([f"device:{device}"], None)
        shown = lab.admin.ok("notice", "show", mine["notice"], *admin)
        assert f"replace: device:{device}" in shown
        assert "were these yours?" in shown
        assert f"bailment notice acknowledge {mine['notice'][:8]} --admin" in shown
        how = f"bailment report-misuse device:{device} TEXT --access ID --since TIME --admin"
        assert how in shown
        said = lab.admin.json(
            *("report-misuse", f"device:{device}", "she was on a plane", *admin, "--since", "1d")
        )
        assert said["accesses"] == 2
        lab.team.ok("incident", "note", incident, "they say so", "--finding", said["finding"])
        again = lab.team("notice", "send", incident)
        assert "told of this incident before, and not again: acme" in again.err
        lab.admin.ok("notice", "acknowledge", mine["notice"][:8], *admin)
        twice = lab.admin.ok("notice", "acknowledge", mine["notice"][:8], *admin)
        assert re.search(f"acknowledged {mine['notice']} before, at 20", twice)
        other = lab.admin("notice", "show", "0" * 32, *admin)
        assert (other.status, "no notice of yours begins with" in other.err) == (1, True)
        odd = lab.admin("report-misuse", "person:maria@acme.example", "not us", *admin)
        assert (odd.status, "write person:ID, device:ID or workload:ID" in _plain(odd.err)) == (
            2,
            True,
        )
        (sent,) = lab.team.json("notice", "list")
        assert (sent["recipient"], sent["state"]) == ("acme", "acknowledged")
        rotated, address = lab.team.json("rotate", "vendor:vaultly", "--within", "2h")
        assert (rotated["subject"], rotated["recipient"]) == (f"device:{device}", "acme")
        assert rotated["until"] < mine["until"]
        assert (address["recipient"], "(/r/…) stays" in address["failed"]) == ("acme", True)
        (left,) = lab.team.json("rotate")
        assert (left["subject"], left["state"]) == (f"device:{device}", "asked")
        with lab.agent("other") as variables:
            assert ask(variables).status_code == 200

        lab.team.ok(
            "incident", "note", incident, "the vault's key was copied", "--determined", "1h"
        )
        _refuses_what_is_no_text(lab, incident)
        _lifts_only_when_told_twice(lab, incident)
        lab.team.ok("incident", "close", incident, "--reason", "rotated")
        late = lab.team("contain", incident)
        assert (late.status, "is closed: nothing more is to be done" in late.err) == (1, True)
        shown = lab.team.json("incident", "show", incident)
        (told,) = [one["times"] for one in shown["timeline"] if "forum" in one["text"]]
        assert told["occurred"] < told["detected"] <= told["aware"]
        assert (told["classified"], told["determined"]) == (None, None)
        (told,) = [one["times"] for one in shown["timeline"] if "copied" in one["text"]]
        assert [name for name, time in told.items() if time] == ["determined"]
        assert f"determined {told['determined']}" in lab.team.ok("incident", "show", incident)
        assert (shown["state"], shown["names"]) == (
            "closed",
            ["vendor mercury", "device vm"],
        )
        texts = " ".join(f"{one['what']} {one['text']}" for one in shown["timeline"])
        for told in (
            "notice sent: recipient acme",
            "notice read: recipient acme",
            "on hold: device",
            "sold in a forum",
            "contained: 2 of 2",
            "1 of 1 refused",
            "key was copied",
        ):
            assert told in texts
        assert re.search(
            "closed +vendor mercury, device vm +a report", lab.team.ok("incident", "list")
        )


def _plain(told: str) -> str:
    """Without the box that usage errors stand in."""
    return " ".join(re.sub("[│╭╰─╮╯]", " ", told).split())


def _refuses_what_is_no_text(lab: Lab, incident: str) -> None:
    """Nothing of a note is cut off, and what is none is no traceback."""
    before = lab.team.json("incident", "show", incident)["timeline"]
    for given, why in (
        ("", "there is no text"),
        (" \n", "there is no text"),
        ("\udcff\udcfe", "standard input is no text in UTF-8 (byte 0)"),
        ("x" * 16_001, "the text has 16,001 characters, and 16,000 are the most"),
        ("x" * 64_001, "standard input has more than 64,000 bytes"),
    ):
        for words in (("note", incident, "-"), ("open", "--tip", "-")):
            refused = lab.team("incident", *words, typed=given)
            told = _plain(refused.err)
            assert (refused.status, why in told) == (2, True), told
    assert lab.team.json("incident", "show", incident)["timeline"] == before
    assert lab.team("incident", "note", incident, "-", typed="é" * 16_000).status == 0
    told = lab.team.json("incident", "show", incident)["timeline"]
    assert "é" * 16_000 in [one["text"] for one in told]


def _lifts_only_when_told_twice(lab: Lab, incident: str) -> None:
    """A hold that contains an open incident; its end is in the timeline."""
    holds = lab.team.json("hold", "list")
    asked = [lab.team("hold", "lift", one["hold"], "--reason", "all well") for one in holds]
    (hold,) = [one for one, done in zip(holds, asked, strict=True) if "--yes" in done.err]
    assert all(done.status == 1 for done in asked if "--yes" in done.err)
    lab.team.ok("hold", "lift", hold["hold"], "--reason", "all well", "--yes")
    told = [one["what"] for one in lab.team.json("incident", "show", incident)["timeline"]]
    assert f"hold {hold['hold'][:8]} lifted: all well" in told
