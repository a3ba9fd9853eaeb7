"""`bailment contain` at a running issuer: by two people from the plan to the proof, and tried again
later, with all the keys that it cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bailment.auditor.audit import audit_export
from bailment.cli import approve
from bailment.cli.contain import contain
from bailment.cli.main import guarded
from bailment.ledger.incident_records import ContainmentExecuted, ContainmentVerified
from bailment.ledger.records import HoldAdded
from bailment.store.export import export_log
from bailment.store.view import open_view

from ..control.test_assurance import LONE, Acme, Lab
from ..world import Device, Key, World, world

pytestmark = pytest.mark.anyio

MODEL = "smollm2"


@dataclass
class Ended:
    """How a command ended, and what it said."""

    code: Any
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out[self.out.index("{\n") :])


Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    async def command(lab: World, name: Callable[..., None], *words: Any, **options: Any) -> Ended:
        def typed() -> Any:
            try:
                guarded(lambda: name(*words, directory=lab.folder.root, **options))
            except SystemExit as end:
                return end.code
            except typer.Exit as end:
                return end.exit_code
            return 0

        capsys.readouterr()
        code = await asyncio.to_thread(typed)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return command


def keep(folder: Path, key: Key) -> Path:
    """An approver's folder with this key."""
    folder.mkdir(mode=0o700)
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "approver.pem").write_bytes(pem)
    (folder / "approver.pem").chmod(0o600)
    return folder


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Lab]:
    """A lab whose spec has two people sign a hold on a recipient; the model needs T2."""
    async with world(tmp_path) as made:
        lab = Lab(made)
        await lab.prepare(LONE.replace(b"two_person: []", b"two_person: [hold-recipient]"))
        await lab.tier(MODEL, "T2")
        yield lab


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A lab without a spec, at which everybody is let in."""
    async with world(tmp_path_factory.mktemp("plain")) as made:
        yield made


async def let_in(acme: Acme) -> Device:
    await acme.pass_all()
    device = await (await acme.recipient.person()).device()
    assert (await device.ask()).status_code == 200
    return device


async def opened(lab: World, subject: str) -> str:
    done = await lab.act("incident-open", title="a test", source="tip", subjects=[subject])
    incident: str = done["incident"]
    return incident


async def test_two_people_contain_a_recipient_from_the_plan_to_the_proof(
    strict: Lab, run: Run, tmp_path: Path
) -> None:
    lab, acme, other = strict.world, await strict.acme(), await strict.acme()
    device, beside = await let_in(acme), await let_in(other)
    incident = await opened(lab, f"recipient:{acme.id}")
    keys = {name: keep(tmp_path / name, key) for name, key in strict.approvers.items()}
    saved, since = tmp_path / "plan.json", lab.size
    handle = lab.register.organisations[acme.id].handle

    planned = await run(lab, contain, incident[:8], plan_out=saved)
    assert planned.code == 0, planned.err
    assert f"hold recipient {handle} is only proposed: 2 of ada, bo must sign" in planned.out

    asked = await run(lab, contain, incident[:8], execute=saved)
    assert asked.code == 10, asked.err
    (waits,) = [line for line in asked.err.splitlines() if "waits until" in line]
    assert f"hold recipient:{acme.id} waits until" in waits
    assert " for 2 of ada, bo: bailment approve sign " in waits
    assert "NOT contained yet: 1 of 1 acts wait for those who sign" in asked.err
    assert f"device:{device.id} is NOT refused" in asked.err
    assert (await device.ask()).status_code == 200 and lab.of(HoldAdded, since) == []

    (proposal,) = lab.register.state.proposals
    first = await run(lab, approve.sign, proposal[:8], key=keys["ada"], yes=True)
    assert first.code == 10 and "it takes 1 more" in first.out
    still = await run(lab, contain, incident[:8], verify=True)
    assert still.code == 10, still.err
    assert " for 1 of bo, ada signed: bailment approve sign " in still.err
    assert "NOT contained yet: 1 of 1 acts wait" in still.err
    told = (await run(lab, contain, incident[:8], verify=True, as_json=True)).json
    ((one,), of) = told["waiting"], told["of"]
    assert (one["proposal"], one["waits"]["may_sign"], of) == (proposal, ["bo"], 1)

    second = await run(lab, approve.sign, proposal[:8], key=keys["bo"], yes=True)
    assert second.code == 0 and "signed by bo, and done" in second.out
    (hold,) = lab.of(HoldAdded, since)
    assert (hold.subject, hold.approval) == (f"recipient:{acme.id}", proposal)
    assert (await device.ask()).status_code == 403 and (await beside.ask()).status_code == 200

    proved = await run(lab, contain, incident[:8], verify=True)
    assert proved.code == 0, proved.err
    assert "1 of 1 credentials refused; 0 accesses open" in proved.out and "waits" not in proved.err
    again = await run(lab, contain, incident[:8], execute=saved, as_json=True)
    (act,) = again.json["executed"]["acts"]
    assert (again.code, act["made"], act["already"]) == (0, hold.hold, True)
    seen = [one.refused for one in lab.of(ContainmentVerified, since)]
    assert seen == [0, 0, 0, 1, 1] and len(lab.of(ContainmentExecuted, since)) == 2

    await asyncio.to_thread(audited, lab, tmp_path / "export")


def audited(lab: World, out: Path) -> None:
    view = open_view(lab.folder)
    export_log(lab.folder, view.reader, view.verifier, out)
    report = audit_export(out, view.verifier)
    assert report.clean, report.findings


async def test_what_nobody_signed_is_told_and_asked_for_again(
    strict: Lab, run: Run, tmp_path: Path
) -> None:
    lab, acme = strict.world, await strict.acme()
    await let_in(acme)
    incident, saved = await opened(lab, f"recipient:{acme.id}"), tmp_path / "plan.json"
    await run(lab, contain, incident, plan_out=saved)
    assert (await run(lab, contain, incident, execute=saved)).code == 10
    (proposal,) = lab.register.state.proposals
    await lab.act("act-withdraw", proposal=proposal, reason="not yet")
    gone = await run(lab, contain, incident, verify=True)
    assert gone.code == 1 and "NOT contained: see above" in gone.err
    assert "was not signed: the proposal was withdrawn or has expired" in gone.err
    assert (await run(lab, contain, incident, execute=saved)).code == 10
    assert len(lab.register.state.proposals) == 1


async def cut(lab: World, run: Run, folder: Path, *, several: int = 1) -> tuple[str, list[Device]]:
    """An incident about a vendor in whose vault the keys of some devices lay: they are cut."""
    recipient = await lab.recipient()
    devices = [await (await recipient.person()).device() for _ in range(several)]
    vendor = f"vendor:{recipient.id[:8]}"
    system = {"system": f"vault-{recipient.id[:8]}", "kind": "secrets", "runs": vendor}
    stored = [f"device:{one.id}" for one in devices]
    await lab.act("custody-declare", **system, stored=stored)
    incident, saved = await opened(lab, vendor), folder / "plan.json"
    assert (await run(lab, contain, incident, plan_out=saved)).code == 0
    done = await run(lab, contain, incident, execute=saved)
    assert f"{several} of {several} credentials refused" in done.out, done.err
    await lab.act("custody-declare", **system, ended=True)
    return incident, devices


async def test_a_later_look_tries_what_was_cut_though_the_custody_map_has_forgotten_it(
    plain: World, run: Run, tmp_path: Path
) -> None:
    lab = plain
    incident, devices = await cut(lab, run, tmp_path, several=3)
    later = await run(lab, contain, incident, verify=True)
    assert later.code == 0, later.err
    assert "only what was cut before is tried" in later.err
    assert "3 of 3 credentials refused" in later.out
    (hold,) = lab.register.holds_on[f"device:{devices[1].id}"]
    await lab.lift(hold.hold)
    alive = await run(lab, contain, incident, verify=True)
    assert alive.code == 1 and "2 of 3 credentials refused" in alive.out
    assert f"device:{devices[1].id} is NOT refused" in alive.err


async def test_an_old_key_cannot_be_enrolled_anew(plain: World, run: Run, tmp_path: Path) -> None:
    lab = plain
    incident, (old,) = await cut(lab, run, tmp_path)
    await lab.act("link-end", link=lab.register.link_of[old.id], reason="replaced")
    # Somewhere else, by somebody else: only the key is the same.
    person = await (await lab.recipient()).person()
    again = Device(lab, old.private)
    refused = await again.post("/enrol/requests", {"invitation": person.code, "name": "x"})
    assert (refused.status_code, "another device's" in refused.text) == (403, True)
    alive = await run(lab, contain, incident, verify=True)
    assert alive.code == 0 and "1 of 1 credentials refused" in alive.out
