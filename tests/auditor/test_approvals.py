"""What took two people, audited: who signed exactly what is verified again, and a lie is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bailment.access import base64url
from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.ledger.operator_records import ActApproved, ActProposed, OperatorRegistered
from bailment.ledger.records import HoldAdded, HoldLifted
from bailment.store.export import export_log
from bailment.store.view import View, open_view

from ..control.people import apply_spec, operator, proposed
from ..world import world
from .forge import Forgery

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module")
async def past(tmp_path_factory: pytest.TempPathFactory) -> View:
    """A log in which two operators stopped everything, and let it go on."""
    async with world(tmp_path_factory.mktemp("lab")) as lab:
        eve = await operator(lab, "issuer-security", "Eve")
        sam = await operator(lab, "issuer-approver", "Sam")
        await apply_spec(lab, "hold-everything", "lift-everything", "operator-change")
        act = await eve.propose_hold("everything")
        for human in (eve, sam):
            assert (await human.sign(act)).status_code == 200
        hold = lab.register.holds_on["everything"][0].hold
        lift = proposed(await eve.form(f"/console/holds/{hold}/lift", reason="over"))
        for human in (sam, eve):
            assert (await human.sign(lift)).status_code == 200
        assert not lab.register.holds_on["everything"]
        for human in (eve, sam):
            await human.http.aclose()
        folder = lab.folder
    return open_view(folder)


async def test_what_two_signed_passes_an_audit(past: View, tmp_path: Path) -> None:
    export_log(past.folder, past.reader, past.verifier, tmp_path / "export")
    report = audit_export(tmp_path / "export", past.verifier)
    assert report.clean, report.findings
    assert report.types[ActApproved.TYPE] == 4


def _unsigned(forgery: Forgery) -> int:
    """The second signature never was."""
    del forgery.rows[list(forgery.of(ActApproved))[1]]
    return forgery.first(HoldAdded)


def _nobody(forgery: Forgery) -> int:
    """The hold was lifted, and nobody was asked."""
    index = forgery.first(HoldLifted)
    forgery.rows[index].change(approval=msgspec.UNSET)
    return index


def _reworded(forgery: Forgery) -> int:
    """What was done is not what was signed."""
    index = forgery.first(HoldAdded)
    forgery.rows[index].change(reason="something else")
    return index


def _other_act(forgery: Forgery) -> int:
    """The signature was given for the other act."""
    first, *_, last = forgery.of(ActApproved)
    assertion = forgery.rows[first].facts.assertion  # type: ignore[attr-defined]
    forgery.rows[last].change(assertion=assertion)
    return last


def _other_person(forgery: Forgery) -> int:
    """One person's signature under another's name."""
    first, second = list(forgery.of(ActApproved))[:2]
    forgery.rows[second].change(by=forgery.rows[first].facts.by)  # type: ignore[attr-defined]
    return second


def _altered(forgery: Forgery) -> int:
    """A proposal whose digest is another's."""
    index = forgery.first(ActProposed)
    forgery.rows[index].change(digest="0" * 64)
    return index


def _unverified(forgery: Forgery) -> int:
    """The flags of the authenticator's data say that its user was verified: they did not."""
    index = forgery.first(ActApproved)
    facts = forgery.rows[index].facts
    assert isinstance(facts, ActApproved) and isinstance(facts.assertion, msgspec.Struct)
    data = bytearray(base64url.decode(facts.assertion.authenticator_data))
    data[32] = 0x01
    changed = msgspec.structs.replace(facts.assertion, authenticator_data=base64url.encode(data))
    forgery.rows[index].change(assertion=changed)
    return index


def _smuggled(forgery: Forgery) -> int:
    """Somebody's passkey was registered again, while others had to sign for it."""
    index = forgery.first(OperatorRegistered)
    forgery.rows.append(forgery.rows[-1].copy(forgery.rows[index].facts))
    return len(forgery.rows) - 1


@pytest.mark.parametrize(
    "lie",
    [
        _unsigned,
        _nobody,
        _reworded,
        _other_act,
        _other_person,
        _altered,
        _unverified,
        _smuggled,
    ],
)
async def test_a_lie_about_who_signed_what_is_named(
    past: View, tmp_path: Path, lie: Callable[[Forgery], int]
) -> None:
    forgery = Forgery(past.reader)
    index = lie(forgery)
    from bailment.store.secrets import load_secrets

    out = forgery.write(tmp_path / "forged", load_secrets(past.folder).log)
    report = audit_export(out, past.verifier)
    found = [(one.index, one.kind) for one in report.findings if one.kind is Kind.BAD_RECORD]
    assert found and found[0] == (index, Kind.BAD_RECORD), report.findings
    shutil.rmtree(out)
