"""An audit finds what was opened while a recipient's stream was silent, record or no record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bailment.auditor.audit import AuditReport, audit_export
from bailment.ledger.identity_records import SignalReceived, SignalSource, SignInsEnded
from bailment.ledger.records import AccessOpened, Policy
from bailment.store.export import export_log

from .world import MINUTE, World, replay_of

POLICY = Policy(token_ms=300_000, heads_ms=60_000, contact="help@issuer.example")


def live(root: Path, *, silent: bool = False, ended: bool = False) -> AuditReport:
    """Twenty minutes in which a device asks in each, and its organisation's stream is heard in
    each, or not; somebody writes all of it down as if nothing were amiss."""

    async def run() -> AuditReport:
        async with World(root / "issuer") as world:
            await world.begin(POLICY)
            acme = await world.recipient("acme", ("birch",))
            ada = await world.person("ada", acme)
            device = await world.device("laptop", ada)
            source = SignalSource(
                "idp", acme.recipient, "ssf", "https://idp.example", "us", "0" * 64, "ada"
            )
            await world.append(source, acme.recipient)
            for minute in range(20):
                world.now += MINUTE
                if not silent:
                    heard = SignalReceived(
                        acme.recipient, "idp", "verification", "", "0" * 64, "heard"
                    )
                    await world.append(heard, acme.recipient)
                if minute % 4 == 0:
                    await world.token(device)
                    if ended and minute == 8:
                        void = SignInsEnded(ada.id, "idp", "session-revoked")
                        await world.append(void, acme.recipient)
                facts: AccessOpened = world.facts(device, "birch")
                await world.append(facts, acme.recipient, replay=replay_of(facts.proof))
                await world.close(device, facts)
            key, reader = world.secrets.log.public, world.log.reader
            export_log(world.folder, reader, key, root / "export")
        return audit_export(root / "export", key)

    return asyncio.run(run())


def wrong(report: AuditReport) -> list[tuple[str, str]]:
    return [(one.kind.value, one.sentence) for one in report.findings]


def test_a_stream_that_is_heard_is_nothing_to_find(tmp_path: Path) -> None:
    assert wrong(live(tmp_path)) == []


@pytest.mark.parametrize(("how", "reason", "number"), [
    ("silent", "signals-silent", 6),
    ("ended", "token-revoked", 4),
])  # fmt: skip
def test_an_access_that_a_signal_forbade_is_found(
    tmp_path: Path, how: str, reason: str, number: int
) -> None:
    found = wrong(live(tmp_path, **{how: True}))
    assert len(found) == number, found
    assert all(reason in sentence for _, sentence in found), found
