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

from bailment.access.tripwire import CAPABILITY
from bailment.auditor.audit import audit_export
from bailment.cli import finding
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
    assert "system:wiki" in await run(finding.tripwire_list)


async def test_no_finding_is_judged_that_is_not_there(lab: World, run: Run) -> None:
    with pytest.raises(BailmentError, match="there is no finding"):
        await run(finding.finding_judge, "0" * 32, finding.Verdict.BENIGN, "why not")


async def test_the_log_with_all_that_passes_an_audit(lab: World, tmp_path: Path) -> None:
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[FindingJudged.TYPE] and report.types[StepUpEnded.TYPE]
