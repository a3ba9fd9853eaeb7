"""Findings on the command line: shown, judged, and what is laid out for thieves."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from bailment.access.tripwire import CAPABILITY, digest
from bailment.auditor.audit import audit_export
from bailment.cli import finding, incident
from bailment.cli.hold import lift
from bailment.errors import BailmentError
from bailment.ledger.detection_records import FindingJudged, FindingRaised, StepUpAsked, StepUpEnded
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..world import Device, World, world

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


Run = Callable[..., Any]
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")


@pytest.fixture
def run(lab: World, capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(name: Callable[..., None], *words: Any, **options: Any) -> str:
        capsys.readouterr()
        await asyncio.to_thread(name, *words, directory=lab.folder.root, **options)
        lines = capsys.readouterr().out.splitlines(keepends=True)
        # The issuer of this test runs in this process, and its log lines come between.
        return "".join(line for line in lines if not _LOGGED.match(line))

    return command


async def suspect(lab: World) -> tuple[Device, FindingRaised]:
    """A device, and what the worker finds of it."""
    device, since, now = await lab.device(), lab.size, lab.clock.now()
    facts = {"finding": token_hex(16), "kind": "relay", "sentence": "as if two used it"}
    about = {"since": now, "until": now, "subject": f"device:{device.id}", "records": [since - 1]}
    await lab.act("finding-raise", type="finding.raised", facts=facts | about)
    await lab.until(lambda: lab.of(StepUpAsked, since))
    return device, lab.of(FindingRaised, since)[0]


async def test_a_finding_is_listed_and_shown_with_its_entries_and_what_was_done(
    lab: World, run: Run
) -> None:
    device, found = await suspect(lab)
    rows = json.loads(await run(finding.finding_list, since="1h", undecided=True, as_json=True))
    (row,) = [one for one in rows if one["finding"] == found.finding]
    assert (row["kind"], row["subject"]) == ("relay", f"device:{device.id}")
    shown = await run(finding.finding_show, found.finding[:12])
    assert found.sentence in shown
    assert f"entry {found.records[0]}: " in shown
    assert "was asked to sign in again" in shown


async def test_a_finding_names_whom_it_is_about_and_whom_to_ask(
    lab: World, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    device, found = await suspect(lab)
    path = lab.register.path(lab.register.link_of[device.id])
    top = lab.register.organisations[path[0].subject]
    rows = json.loads(await run(finding.finding_list, since="1h", as_json=True))
    (row,) = [one for one in rows if one["finding"] == found.finding]
    assert (row["recipient"], row["contact"]) == (top.handle, top.contact)
    people = open_view(lab.folder).people
    person = path[1].subject
    assert (row["person"], row["person_name"]) == (person, people.name(person))
    assert row["name"] == people.device(device.id)
    listed = await run(finding.finding_list, since="1h")
    assert people.name(person) in listed and top.handle in listed
    finding.finding_show(found.finding, directory=lab.folder.root)
    shown = capsys.readouterr()
    assert f"about {people.name(person)}" in shown.out
    assert f"next: ask {top.handle} ({top.contact})" in shown.err
    await lab.act("person-erase", person=person, reason="they left")
    assert f"erased:{person[:8]}" in await run(finding.finding_list, since="1h")


async def test_judging_says_what_is_still_on_hold_and_what_was_said_before(
    lab: World, run: Run
) -> None:
    device, since, now = await lab.device(), lab.size, lab.clock.now()
    name, subject = token_hex(16), f"device:{device.id}"
    facts = {"finding": name, "kind": "relay", "sentence": "as if two used it", "since": now}
    facts |= {"until": now, "subject": subject, "records": [since - 1]}
    await lab.act("finding-raise", type="finding.raised", facts=facts)
    hold = (await lab.act("hold-add", subject=subject, reason=f"finding {name}"))["hold"]
    told = await run(finding.finding_judge, name, finding.Verdict.BENIGN, "their own curl")
    assert f"{subject} is still on hold: bailment hold lift {hold} --reason" in told
    told = await run(finding.finding_judge, name, finding.Verdict.KNOWN, "announced")
    assert "no more benign" in told
    await lab.act("hold-lift", hold=hold, reason="it was them")
    told = await run(finding.finding_judge, name, finding.Verdict.KNOWN, "announced")
    assert "on hold" not in told and "no more" not in told and "known, once more" in told


async def test_an_incident_has_what_its_finding_led_to_and_its_hold_is_not_lifted_unasked(
    lab: World, run: Run
) -> None:
    device, found = await suspect(lab)
    because = {"subject": f"device:{device.id}", "reason": f"finding {found.finding}"}
    hold = (await lab.act("hold-add", **because))["hold"]
    about = await run(incident.open_incident, about=[f"finding:{found.finding[:12]}"])
    name = about.split()[1]
    await run(finding.finding_judge, found.finding, finding.Verdict.MISUSE, "not them")
    shown = json.loads(await run(incident.show, name, as_json=True))
    whats = [one["what"] for one in shown["timeline"]]
    device_name = open_view(lab.folder).people.device(device.id)
    assert f"on hold: device {device_name}" in whats and "judged misuse: not them" in whats
    assert any(one.startswith("asked to sign in again: person ") for one in whats)
    assert shown["names"] == [f"device {device_name}"] and shown["subjects"] == []
    with pytest.raises(BailmentError, match="it contains the incident"):
        await run(lift, hold, reason="over")
    await run(lift, hold, reason="over", yes=True)


async def test_a_reason_that_is_too_long_is_said_to_be(lab: World, run: Run) -> None:
    _, found = await suspect(lab)
    with pytest.raises(BailmentError, match="501 characters, and 500 is the most"):
        await run(finding.finding_judge, found.finding, finding.Verdict.BENIGN, "x" * 501)


async def test_what_was_benign_frees_the_person_and_what_was_misuse_does_not(
    lab: World, run: Run
) -> None:
    device, found = await suspect(lab)
    (since, verdict) = (lab.size, finding.Verdict)
    await run(finding.finding_judge, found.finding[:12], verdict.MISUSE, "not them")
    assert not lab.of(StepUpEnded, since)
    assert (await device.ask()).status_code == 403
    told = await run(finding.finding_judge, found.finding[:12], verdict.BENIGN, "their own curl")
    assert "need not sign in again" in told
    assert [one.verdict for one in lab.of(FindingJudged, since)] == ["misuse", "benign"]
    assert (await device.ask()).status_code == 200
    rows = json.loads(await run(finding.finding_list, since="1h", undecided=True, as_json=True))
    assert found.finding not in [one["finding"] for one in rows]


async def test_signing_in_again_is_listed_and_ended(lab: World, run: Run) -> None:
    device, found = await suspect(lab)
    person = lab.register.path(lab.register.link_of[device.id])[1].subject
    rows = json.loads(await run(finding.step_up_list, as_json=True))
    assert [one["finding"] for one in rows if one["person"] == person] == [found.finding]
    await run(finding.step_up_end, f"person:{person}", "rang them up")
    assert person not in await run(finding.step_up_list)
    assert (await device.ask()).status_code == 200


async def test_a_honey_credential_is_printed_once_and_tells_where_it_was(
    lab: World, run: Run
) -> None:
    secret = (await run(finding.lay_honey, "wiki")).strip()
    assert secret.startswith(CAPABILITY)
    assert secret not in await run(finding.tripwire_list)
    since = lab.size
    await lab.http.get(f"{lab.url}/v1/models", headers={"x-api-key": secret})
    await lab.until(lambda: lab.of(FindingRaised, since))
    (found,) = lab.of(FindingRaised, since)
    assert (found.kind, found.subject) == ("honey-credential", "system:wiki")


async def test_a_decoy_has_a_name_that_no_model_has(lab: World, run: Run) -> None:
    model = next(iter(lab.register.state.models))
    with pytest.raises(BailmentError, match="there is a model"):
        await run(finding.lay_model, model, "wiki")
    await run(finding.lay_model, "cygnus-next", "wiki")
    await run(finding.lay_model, "lyra-next", "wiki")
    assert "system:wiki" in await run(finding.tripwire_list)
    (row,) = json.loads(await run(finding.tripwire_list, model="lyra-next", as_json=True))
    assert (row["model"], row["secret"]) == ("lyra-next", digest(b"lyra-next"))


async def test_no_finding_is_judged_that_is_not_there(lab: World, run: Run) -> None:
    with pytest.raises(BailmentError, match="there is no finding"):
        await run(finding.finding_judge, "0" * 32, finding.Verdict.BENIGN, "why not")
    _, found = await suspect(lab)
    (record,) = [index for index, _, facts in lab.news if facts is found]
    judged = {"act": "finding-judge", "author": "t", "verdict": "benign", "reason": "why not"}
    for about in (("0" * 32, record), (found.finding, record - 1), (found.finding, 1 << 40)):
        told = dict(zip(("finding", "record"), about, strict=True))
        sent = await lab.console.post("http://console/act", json=judged | told)
        assert sent.status_code == 400
        assert "bailment finding list" in sent.json()["detail"]


async def test_a_hold_with_a_reason_that_only_looks_like_it_names_no_finding(
    lab: World, run: Run
) -> None:
    _, found = await suspect(lab)
    person = lab.of(StepUpAsked)[-1].person
    for reason in (f"finding {found.finding}0", f"see finding {found.finding}"):
        hold = await lab.act("hold-add", subject=f"person:{person}", reason=reason)
        told = await run(finding.finding_judge, found.finding, finding.Verdict.BENIGN, "them")
        assert "on hold" not in told
        await lab.act("hold-lift", hold=hold["hold"], reason="t")
    with pytest.raises(BailmentError, match="several findings begin with"):
        await both(lab, run, found.finding)


async def both(lab: World, run: Run, name: str) -> None:
    """Show the finding that begins with what two begin with."""
    device, now = await lab.device(), lab.clock.now()
    about = {"since": now, "until": now, "subject": f"device:{device.id}", "records": [0]}
    facts = {"finding": name[:31] + ("0" if name[31] != "0" else "1"), "kind": "relay"}
    facts |= {"sentence": "as if two used it"} | about
    await lab.act("finding-raise", type="finding.raised", facts=facts)
    await run(finding.finding_show, name[:31])


async def test_the_log_with_all_that_passes_an_audit(lab: World, tmp_path: Path) -> None:
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[FindingJudged.TYPE] and report.types[StepUpEnded.TYPE]
