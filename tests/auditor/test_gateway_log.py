"""What the gateway and the control plane really wrote, over real sockets, passes an audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.auditor.view import verify_view
from bailment.ledger.records import AccessOpened, Budget
from bailment.store.export import export_log, export_view
from bailment.store.view import open_view

from ..world import world

pytestmark = pytest.mark.anyio


async def test_a_log_that_was_served_passes_an_audit(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    async with world(tmp_path / "lab") as lab:
        recipient = await lab.recipient(budget=Budget(2_000, 3600), networks=("127.0.0.0/8",))
        device = await (await recipient.person()).device()
        for dialect in ("chat", "responses", "messages"):
            for stream in (False, True):
                assert (await device.ask(dialect, stream=stream)).status_code == 200
        counted = await device.ask("messages", path="/v1/messages/count_tokens")
        listed = await device.get("/v1/models")
        assert (counted.status_code, listed.status_code) == (200, 200)
        assert (await device.ask(model="other")).status_code == 403
        hold = await lab.hold(f"recipient:{recipient.id}")
        assert (await device.ask()).status_code == 403
        await lab.lift(hold)
        assert (await device.ask(max_tokens=500)).status_code == 200
        assert (await device.ask(max_tokens=500)).status_code == 200
        folder = lab.folder
    view = open_view(folder)
    arguments = (folder, view.reader, view.verifier)
    export_log(*arguments, tmp_path / "export")
    export_view(*arguments, recipient.id, tmp_path / "view")
    report = audit_export(tmp_path / "export", view.verifier)
    assert report.clean, report.findings
    assert report.accesses == report.types[AccessOpened.TYPE] == 10
    assert report.decisions == report.agreed == 11 and not report.open
    shown = verify_view(tmp_path / "view", view.verifier, recipient=recipient.id)
    assert set(shown.counts) == (set() if shown.until else {Kind.UNPROVEN_COMPLETE})
    assert shown.records > 20
