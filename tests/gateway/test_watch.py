"""What the inline detectors find is on the record at once, and leads to what the spec says."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bailment.access.admission import Stale
from bailment.access.reasons import Reason, Refused
from bailment.access.slot import slot_of
from bailment.access.tripwire import CAPABILITY, digest
from bailment.auditor.audit import audit_export
from bailment.detect.event import Finding
from bailment.detect.grouping import group_of
from bailment.gateway.metrics import Metrics
from bailment.gateway.responding import HOLD_MS
from bailment.gateway.watch import Watch
from bailment.ledger.detection_records import FindingGrouped, FindingRaised, StepUpAsked
from bailment.ledger.identity_records import TripwireSet
from bailment.ledger.records import AccessRefused, HoldAdded, TokenIssued
from bailment.store.durable import Files
from bailment.store.export import export_log
from bailment.store.sequencer import Draft, Sequenced
from bailment.store.view import open_view

from ..store.issuer import Issuer as Store
from ..world import Device, World, world

pytestmark = pytest.mark.anyio

DECOY = "cygnus-internal-2"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        await lay(made, "model", DECOY)
        yield made


async def lay(lab: World, kind: str, secret: str) -> None:
    facts = TripwireSet(digest(secret.encode()), kind, "system:wiki")
    sequencer = lab.issuer.log.sequencer
    await sequencer.append(sequencer.draft(facts))


async def pass_on(lab: World, device: Device) -> int:
    """Somebody shows the device's token as a bearer."""
    headers = {"authorization": f"Bearer {device.token}", "user-agent": "curl/8.4"}
    return (await lab.http.get(f"{lab.url}/v1/models", headers=headers)).status_code


def person_of(lab: World, device: Device) -> str:
    return lab.register.path(lab.register.link_of[device.id])[1].subject


def of(device: Device, issued: TokenIssued) -> bool:
    return issued.device == device.id


async def suspect(lab: World, device: Device, kind: str = "relay") -> FindingRaised:
    """What the worker hands in."""
    now, since = lab.clock.now(), lab.size
    cited = [at for at, _, one in lab.news if isinstance(one, TokenIssued) and of(device, one)]
    facts = {"finding": secrets.token_hex(16), "kind": kind, "sentence": "seen", "since": now}
    about = {"until": now, "subject": f"device:{device.id}", "records": cited, "response": "hold"}
    await lab.act("finding-raise", type="finding.raised", facts=facts | about)
    (found,) = lab.of(FindingRaised, since)
    return found


async def test_a_token_shown_without_its_key_is_told_and_cuts_off_nobody(lab: World) -> None:
    device = await lab.device()
    since = lab.size
    assert await pass_on(lab, device) == 401
    await lab.until(lambda: lab.of(FindingRaised, since))
    await lab.settle()
    (finding,) = lab.of(FindingRaised, since)
    assert (finding.kind, finding.subject) == ("wrong-key", f"device:{device.id}")
    assert finding.response == "step-up" and person_of(lab, device) in finding.sentence
    (refused,) = lab.of(AccessRefused, since)
    assert [at for at, _, facts in lab.news if facts is refused] == list(finding.records)
    # Anybody could do that to them, and there is no provider to sign in at.
    assert not lab.of(StepUpAsked, since) and not lab.of(HoldAdded, since)
    assert (await device.ask()).status_code == 200


async def test_what_the_worker_finds_has_its_person_sign_in_again(lab: World) -> None:
    device, other = await lab.device(), await lab.device()
    since = lab.size
    found = await suspect(lab, device)
    await lab.until(lambda: lab.of(StepUpAsked, since))
    (asked,) = lab.of(StepUpAsked, since)
    assert (asked.person, asked.finding) == (person_of(lab, device), found.finding)
    assert (asked.author, lab.of(HoldAdded, since)) == ("detector:relay", [])
    assert (await device.ask()).status_code == 403
    assert lab.refusals(since)[-1] == (Reason.SIGN_IN_TOO_OLD, 1)
    assert (await other.ask()).status_code == 200


async def write(lab: World, subject: str, response: str) -> None:
    """A finding comes into the log, whoever wrote it, and what it leads to is done."""
    told = (secrets.token_hex(16), "many-clusters", "seen", 1, 1)
    found = FindingRaised(*told, subject=subject, response=response)
    sequencer = lab.issuer.log.sequencer
    await sequencer.append(sequencer.draft(found, slot_of(found, lab.register)))
    await lab.settle()


async def test_no_more_than_one_person_is_held_by_itself_and_nobody_twice(lab: World) -> None:
    device, since = await lab.device(), lab.size
    path = lab.register.path(lab.register.link_of[device.id])
    model = next(iter(lab.register.state.models))
    for subject in (f"recipient:{path[0].subject}", f"model:{model}", "everything", "system:x", ""):
        await write(lab, subject, "hold")
    for response in ("person", "record", ""):
        await write(lab, f"person:{path[1].subject}", response)
    assert lab.of(HoldAdded, since) == [] == lab.of(StepUpAsked, since)
    for _ in range(2):
        await write(lab, f"device:{device.id}", "hold")
    await lab.until(lambda: lab.of(HoldAdded, since))
    assert [one.subject for one in lab.of(HoldAdded, since)] == [f"device:{device.id}"]
    assert not lab.of(StepUpAsked, since)


async def test_a_hold_that_ends_soon_is_no_answer_to_a_finding(lab: World) -> None:
    device = await lab.device()
    subject, now = f"device:{device.id}", lab.clock.now()
    await lab.hold(subject, until=now + 60_000)
    since = lab.size
    await write(lab, subject, "hold")
    await lab.until(lambda: lab.of(HoldAdded, since))
    await write(lab, subject, "hold")
    (held,) = lab.of(HoldAdded, since)
    assert held.until > now + 3_600_000


async def test_what_the_log_refused_until_the_end_is_told_after_the_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding("detector-failed", "", "a test", 1, 1, (0,), "high", key="a test")
    store = Store.make(tmp_path / "issuer")
    async with store.open() as log:

        async def never(draft: Draft) -> Refused:
            return Refused(Reason.DISK_RESERVE)

        with monkeypatch.context() as patched:
            patched.setattr(log.sequencer, "append", never)
            watch = Watch(log, Metrics())
            watch.report(found)
            watch.start()
            await watch.finish()
    async with store.open() as log:
        watch = Watch(log, Metrics())
        watch.start()
        await watch.finish()
        told = [one.facts for one in log.reader.records()]
    assert [one.sentence for one in told if isinstance(one, FindingRaised)] == ["a test"]


async def test_what_cites_entries_that_are_not_there_is_refused(lab: World) -> None:
    facts = {"finding": "0" * 32, "kind": "relay", "sentence": "seen", "since": 1, "until": 1}
    body = {"act": "finding-raise", "author": "worker", "type": "finding.raised"}
    wrongs = ({"records": [lab.size]}, {"records": [-1]}, {"kind": "wrong-key"})
    for wrong in (*wrongs, {"finding": "x"}, {"finding": "A" * 32}, {"finding": ""}):
        sent = await lab.console.post("http://console/act", json=body | {"facts": facts | wrong})
        assert sent.status_code == 400, sent.text


async def test_a_decoy_is_refused_like_any_model_and_cuts_off_who_asks(lab: World) -> None:
    device = await lab.device()
    unknown = await device.ask(model="no-such-model")
    since = lab.size
    answered = await device.ask(model=DECOY)
    assert answered.status_code == unknown.status_code
    assert answered.json()["error"]["message"] == unknown.json()["error"]["message"]
    await lab.until(lambda: lab.of(HoldAdded, since))
    assert (await device.ask()).status_code == 403
    assert lab.refusals(since)[-1] == (Reason.HELD, 1)
    (finding,) = lab.of(FindingRaised, since)
    assert (finding.kind, finding.model, finding.response) == ("decoy-model", DECOY, "hold")
    (hold,) = lab.of(HoldAdded, since)
    assert (hold.subject, hold.author) == (f"device:{device.id}", "detector:decoy-model")
    assert finding.finding in hold.reason
    assert 0 < hold.until - lab.clock.now() <= HOLD_MS


async def test_who_asks_whether_there_is_a_decoy_is_told_no_and_noticed(lab: World) -> None:
    device = await lab.device()
    unknown = await device.get("/v1/models/no-such-model")
    since = lab.size
    answered = await device.get(f"/v1/models/{DECOY}")
    assert answered.status_code == unknown.status_code
    assert answered.json()["error"]["message"] == unknown.json()["error"]["message"]
    await lab.until(lambda: lab.of(HoldAdded, since))
    assert lab.of(HoldAdded, since)[0].subject == f"device:{device.id}"


async def test_a_stranger_who_asks_about_a_decoy_cuts_off_nobody(lab: World) -> None:
    since = lab.size
    await lab.http.get(f"{lab.url}/v1/models/{DECOY}")
    await lab.until(lambda: lab.of(FindingRaised, since))
    await lab.settle()
    (finding,) = lab.of(FindingRaised, since)
    assert finding.kind == "decoy-model" and not finding.subject
    assert lab.of(HoldAdded, since) == []


async def test_a_honey_credential_names_where_it_leaked_and_cuts_off_nobody(lab: World) -> None:
    secret = CAPABILITY + secrets.token_urlsafe(32)
    await lay(lab, "honey", secret)
    since = lab.size
    headers = {"authorization": f"Bearer {secret}"}
    assert (await lab.http.get(f"{lab.url}/v1/models", headers=headers)).status_code == 401
    await lab.until(lambda: lab.of(FindingRaised, since))
    await lab.settle()
    (finding,) = lab.of(FindingRaised, since)
    assert (finding.kind, finding.subject) == ("honey-credential", "system:wiki")
    assert "system:wiki" in finding.sentence and secret not in finding.sentence
    assert not lab.of(HoldAdded, since) and not lab.of(StepUpAsked, since)


@pytest.mark.parametrize("forgetting", [False, True])
async def test_a_restart_neither_forgets_nor_says_it_twice(
    tmp_path: Path, forgetting: bool
) -> None:
    async with world(tmp_path) as lab:
        device = await lab.device()
        for _ in range(3):
            since = lab.size
            await pass_on(lab, device)
            await lab.until(lambda since=since: lab.of(AccessRefused, since))
            await lab.stop()
            if forgetting:
                lab.folder.watch.unlink()
            lab._listener = socket.create_server(("127.0.0.1", lab.port))
            await lab.start()
        view = open_view(lab.folder)
        told = [one.facts for one in view.reader.records()]
        (finding,) = [one for one in told if isinstance(one, FindingRaised)]
        assert finding.finding[:16] == group_of("wrong-key", f"device:{device.id}", "")
        grouped = [one for one in told if isinstance(one, FindingGrouped)]
        assert [(one.finding, one.count) for one in grouped] == [(finding.finding, 1)] * 2


async def test_a_restart_holds_nobody_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        await lay(lab, "model", DECOY)
        device, other = await lab.device(), await lab.device()
        await device.ask(model=DECOY)
        await lab.until(lambda: lab.of(HoldAdded))
        await suspect(lab, other)
        await lab.until(lambda: lab.of(StepUpAsked))
        for _ in range(2):
            await lab.stop()
            lab.folder.watch.unlink()
            lab._listener = socket.create_server(("127.0.0.1", lab.port))
            await lab.start()
        await lab.settle()
        view = open_view(lab.folder)
        told = [one.facts.TYPE for one in view.reader.records()]
        assert told.count(HoldAdded.TYPE) == told.count(StepUpAsked.TYPE) == 1


async def test_a_finding_that_the_log_refused_is_tried_again(
    lab: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, sequencer = await lab.device(), lab.issuer.log.sequencer
    append, refused = sequencer.append, list[Draft]()

    async def once(draft: Draft) -> Sequenced | Refused | Stale:
        if draft.facts.TYPE == FindingRaised.TYPE and not refused:
            refused.append(draft)
            return Refused(Reason.LOG_UNAVAILABLE)
        return await append(draft)

    monkeypatch.setattr(sequencer, "append", once)
    since = lab.size
    assert await pass_on(lab, device) == 401
    await lab.until(lambda: lab.of(FindingRaised, since))
    assert [one.facts for one in refused] == lab.of(FindingRaised, since)


async def test_a_disk_that_takes_nothing_does_not_keep_the_gateway_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Files.write

    def full(files: Files, path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name == "watch.state":
            raise OSError(errno.ENOSPC, "no space left on device")
        write(files, path, data, mode)

    monkeypatch.setattr(Files, "write", full)
    async with Store.make(tmp_path / "issuer").open() as log:
        watch = Watch(log, Metrics())
        watch.start()
        await watch.finish()
        assert not log.folder.watch.exists()


async def test_the_log_with_all_that_passes_an_audit(lab: World, tmp_path: Path) -> None:
    view = open_view(lab.folder)
    await asyncio.to_thread(export_log, lab.folder, view.reader, view.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.types[StepUpAsked.TYPE] and report.types[FindingRaised.TYPE]
