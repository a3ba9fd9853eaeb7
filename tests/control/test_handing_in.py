"""What handing in may cost the issuer, and who waits for whom."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from bailment.access.reasons import Reason
from bailment.assurance.adapters.recognition import read
from bailment.control.actions import Denied
from bailment.control.uploads import FILES, PLACES, Uploads
from bailment.ledger.export import MAX_BODY

from .test_assurance import Lab, lab, problem

__all__ = ["lab"]

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


async def test_a_recipient_cannot_flood_the_log_with_evidence(lab: Lab) -> None:
    acme = await lab.acme()
    for _ in range(FILES):
        await acme.send("scan", b"{")
    size = lab.world.size
    sent = await acme.send("scan", acme.scan())
    assert (sent.status_code, sent.json()["reason"]) == (429, "too-often")
    assert "120 files in an hour" in problem(sent)[1]
    assert lab.world.size == size
    sent = await acme.recipient.admin.send(
        "POST", "/evidence/scan", b"x", body_sha256=hashlib.sha256(b"y").digest()
    )
    assert sent.json()["reason"] == "too-often"  # and nobody looked at the body


async def test_a_recipient_hands_in_one_file_at_a_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, parsing, go = await lab.acme(), threading.Event(), threading.Event()

    def slowly(*given: Any) -> Any:
        parsing.set()
        go.wait(10)
        return read(*given)

    monkeypatch.setattr("bailment.control.assurance.read", slowly)
    first = asyncio.create_task(acme.send("scan", acme.scan()))
    await asyncio.to_thread(parsing.wait, 10)
    sent = await acme.send("scan", acme.scan())
    go.set()
    assert problem(sent) == (429, "one file at a time: wait for the answer")
    assert (await first).status_code == 201
    assert (await acme.send("scan", acme.scan())).status_code == 201


def test_who_hands_in_slowly_keeps_one_place_and_no_more() -> None:
    uploads, all_places = Uploads(), ExitStack()
    with all_places:
        for number in range(PLACES):
            assert uploads.refusal(f"recipient-{number}", 0) is None
            all_places.enter_context(uploads.upload(f"recipient-{number}", 0))
        refused = uploads.refusal("another", 0)
        assert refused is not None
        assert refused.reason is Reason.TOO_OFTEN
    assert uploads.refusal("another", 0) is None


async def test_a_roster_of_more_accounts_than_can_be_matched_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailment.control.assurance.MAX_ACCOUNTS", 2)
    acme = await lab.acme()
    sent = await acme.hand("roster", acme.roster("a@acme.example", "b@acme.example"))
    assert (sent.status_code, sent.json()["reason"]) == (422, "evidence-too-large")
    assert (await acme.hand("roster", acme.roster("a@acme.example"))).status_code == 201


async def test_more_items_than_a_standing_can_cite_are_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await lab.acme()
    await acme.pass_all()
    monkeypatch.setattr("bailment.assurance.capacity.MAX_CITED", 1)
    size = lab.world.size
    assert "hand in fewer" in problem(await acme.hand("scan", acme.scan()))[1]
    assert (lab.world.size, acme.tier) == (size, 2)


async def test_no_record_is_longer_than_an_export_has_room_for(lab: Lab) -> None:
    size = lab.world.size
    with pytest.raises(Denied, match="256 KiB"):
        await lab.world.issuer.actions.register_model("smollm2", 1, 1, "x" * MAX_BODY)
    assert lab.world.size == size
