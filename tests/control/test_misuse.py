"""What a recipient's admin says was not one of theirs becomes a finding; about others nobody says
anything, nor learns anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bailment.agent.admin import make_admin_key
from bailment.auditor.audit import audit_export
from bailment.cli import finding, incident, misuse
from bailment.control.misuse import REPORTS
from bailment.ledger.detection_records import FindingRaised, StepUpAsked
from bailment.ledger.incident_records import IncidentOpened
from bailment.ledger.records import AccessClosed, AccessOpened, HoldAdded
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..world import Device, Recipient, World, world

pytestmark = pytest.mark.anyio

WORDS = "I was on a plane, says Maria"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        yield made


async def party(lab: World) -> tuple[Recipient, Device]:
    recipient = await lab.recipient()
    return recipient, await (await recipient.person()).device()


async def opened(lab: World, device: Device) -> tuple[int, str]:
    """An access of a device's: its entry, and the id that its answer had."""
    since = lab.size
    answered = await device.ask()
    await lab.until(lambda: lab.of(AccessClosed, since))
    (entry,) = [at for at, _, one in lab.news if at >= since and isinstance(one, AccessOpened)]
    return entry, answered.headers["x-request-id"]


async def say(recipient: Recipient, subject: str, **more: Any) -> Any:
    told = {"subject": subject, "since": 0, "text": WORDS, "salt": token_hex(16)} | more
    return await recipient.admin.post("/misuse", told)


async def test_what_was_not_them_is_a_finding_that_a_person_looks_at(lab: World) -> None:
    recipient, device = await party(lab)
    entries = [await opened(lab, device) for _ in range(2)]
    person = lab.register.path(lab.register.link_of[device.id])[1].subject
    since = lab.size
    for subject in (f"device:{device.id}", f"person:{person}"):
        sent = await say(recipient, subject)
        assert (sent.status_code, sent.json()["accesses"]) == (201, 2)
    sent = await say(recipient, f"device:{device.id}", access=entries[0][1])
    assert (sent.status_code, sent.json()["accesses"]) == (201, 1)
    await lab.settle()
    first, of_person, one = lab.of(FindingRaised, since)
    assert (first.kind, first.subject, first.response) == (
        "reported",
        f"device:{device.id}",
        "person",
    )
    assert first.records == of_person.records == tuple(entry for entry, _ in entries)
    assert one.records == (entries[0][0],) and one.finding == sent.json()["finding"]
    assert WORDS not in repr(lab.of(FindingRaised, since)) and first.proof
    assert not lab.of(HoldAdded, since) and not lab.of(StepUpAsked, since)
    assert (await device.ask()).status_code == 200


async def test_of_another_recipients_nothing_is_said_not_even_whether_it_is(lab: World) -> None:
    recipient, device = await party(lab)
    _, theirs = await party(lab)
    _, access = await opened(lab, theirs)
    since = lab.size

    async def refused(subject: str, access: str = "") -> tuple[int, str]:
        sent = await say(recipient, subject, access=access)
        said = sent.json()["detail"].replace(access or "-", "X")
        return sent.status_code, said.replace(subject, "Y")

    mine = f"device:{device.id}"
    assert await refused(mine, access) == await refused(mine, token_hex(16))
    assert (await refused(mine, access))[0] == 400
    other = await refused(f"device:{theirs.id}")
    assert other == await refused(f"device:{token_hex(16)}") and other[0] == 403
    assert other == await refused(f"person:{device.id}")
    assert not lab.of(FindingRaised, since)


async def test_only_an_admin_reports_and_in_a_form_that_can_be_read(lab: World) -> None:
    recipient, device = await party(lab)
    told = {"subject": f"device:{device.id}", "since": 0, "text": WORDS, "salt": token_hex(16)}
    assert (await device.post("/misuse", told)).status_code == 401
    wrongs: tuple[dict[str, Any], ...] = ({"text": ""}, {"text": "x" * 2001}, {"text": "a\u202eb"})
    more = ({"since": -1}, {"salt": "x"}, {"subject": "everything"}, {"access": "x"}, {"more": 1})
    late = {"since": lab.clock.now() + 3_600_000}
    for wrong in (*wrongs, *more, late):
        sent = await recipient.admin.post("/misuse", told | wrong)
        assert (sent.status_code, sent.json()["reason"]) == (400, "body-malformed"), wrong


async def test_the_same_report_twice_is_one_and_many_in_an_hour_are_too_many(lab: World) -> None:
    recipient, device = await party(lab)
    since, salt = lab.size, token_hex(16)
    for _ in range(2):
        assert (await say(recipient, f"device:{device.id}", salt=salt)).status_code == 201
    assert len(lab.of(FindingRaised, since)) == 1
    for _ in range(REPORTS - 1):
        assert (await say(recipient, f"device:{device.id}")).status_code == 201
    sent = await say(recipient, f"device:{device.id}")
    assert (sent.status_code, sent.json()["reason"]) == (429, "too-often")
    assert len(lab.of(FindingRaised, since)) == REPORTS
    other, theirs = await party(lab)
    assert (await say(other, f"device:{theirs.id}")).status_code == 201


async def test_the_lab_reads_the_words_until_the_person_is_erased(
    lab: World, capsys: pytest.CaptureFixture[str]
) -> None:
    recipient, device = await party(lab)
    person = lab.register.path(lab.register.link_of[device.id])[1].subject
    name = (await say(recipient, f"device:{device.id}")).json()["finding"]
    await lab.settle()

    async def shown() -> dict[str, Any]:
        capsys.readouterr()
        await asyncio.to_thread(finding.finding_show, name, lab.folder.root, as_json=True)
        out = capsys.readouterr().out
        told: dict[str, Any] = json.loads(out[out.index("{\n") :])
        return told

    assert (await shown())["said"] == WORDS
    since = lab.size
    await asyncio.to_thread(incident.open_incident, finding=[name], directory=lab.folder.root)
    (opened,) = lab.of(IncidentOpened, since)
    assert (opened.source, opened.findings) == ("tip", (name,))
    await lab.act("person-erase", person=person, reason="they left")
    assert (await shown())["said"] == ""
    assert (await say(recipient, f"device:{device.id}")).status_code == 403


async def test_an_admin_reports_by_a_command(
    lab: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipient, device = await party(lab)
    _, access = await opened(lab, device)
    key = tmp_path / "admin" / "admin.pem"
    make_admin_key(key.parent)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(recipient.admin.private.private_bytes(*form))
    since = lab.size
    words = (f"device:{device.id}", WORDS, tmp_path / "admin", lab.url)
    await asyncio.to_thread(misuse.report_misuse, *words, access=access)
    (found,) = lab.of(FindingRaised, since)
    told = capsys.readouterr().out
    assert found.finding in told and "1 access" in told


async def test_a_log_with_reports_passes_an_audit(lab: World, tmp_path: Path) -> None:
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[FindingRaised.TYPE]
