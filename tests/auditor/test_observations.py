"""An observation that the log does not bear out is named by whoever audits the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bailment import canonical
from bailment.access.assured import sign_spec
from bailment.auditor.audit import audit_export
from bailment.auditor.findings import Kind
from bailment.control.observations import Observer
from bailment.ledger.evidence_records import EnclaveDeclared, EvidenceReceived
from bailment.ledger.records import AccessClosed, AccessOpened, SpecApplied, spec_digest
from bailment.spec.policy import policy_of
from bailment.spec.quantity import DAY
from bailment.spec.validation import load
from bailment.store.reader import LogReader
from bailment.store.vault import Vault

from ..access.test_observing import SEEN
from .forge import Forgery
from .world import MODELS, NETWORK, World


def seen(world: World) -> SpecApplied:
    """A spec that asks for what the gateway sees. (A model without a tier is nobody's under it, so
    the world's accesses come before.)"""
    document = load(SEEN)
    applied = SpecApplied(policy_of(document.policy), "owner", msgspec.to_builtins(document))
    signature = sign_spec(spec_digest(applied), world.issuer.private)
    return msgspec.structs.replace(applied, signature=signature)


@dataclass
class Watched:
    """A world with two people's use on record, and the observations of it."""

    world: World
    recipient: str
    people: tuple[str, str]

    def forgery(self) -> Forgery:
        folder, secrets = self.world.folder, self.world.secrets
        return Forgery(LogReader(folder, Vault(folder.keys, secrets.kek)))


async def live(root: Path) -> Watched:
    async with World(root) as world:
        await world.begin()
        acme = await world.recipient("acme", MODELS, networks=(NETWORK,))
        other = await world.recipient("birch", MODELS)
        devices = []
        for name, party in (("ada", acme), ("bob", acme), ("eve", other)):
            devices.append(await world.device(name, await world.person(name, party)))
            devices[-1].networks = (NETWORK,)
        world.now += 60_000
        for device in devices:
            await world.token(device)
            opened = await world.access(device, MODELS[0])
            assert isinstance(opened, AccessOpened)
            await world.close(device, opened)
        enclave = EnclaveDeclared(acme.recipient, {"org": ("acme",)}, "owner")
        await world.append(enclave, acme.recipient)
        observer = Observer(world.log)
        assert observer.observe(acme.recipient, world.now) == []
        await world.append(seen(world))
        await observer.start()
        world.now += 60_000
        await watch(world, observer, acme.recipient, 2)
        assert observer.observe(acme.recipient, world.now) == [], "there is nothing new"
        world.now += DAY // 2
        await watch(world, observer, acme.recipient, 2)
        return Watched(world, acme.recipient, (devices[0].person.id, devices[1].person.id))


async def watch(world: World, observer: Observer, recipient: str, number: int) -> None:
    items = observer.observe(recipient, world.now)
    assert len(items) == number
    for item in items:
        facts = EvidenceReceived(recipient, canonical.decode(canonical.encode(item)), "gateway")
        await world.append(facts, recipient)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return asyncio.run(live(tmp_path_factory.mktemp("issuer")))


def of_use(forgery: Forgery) -> int:
    return forgery.first(EvidenceReceived, lambda facts: facts.item["kind"] == "gw.use")


def audit(watched: Watched, forgery: Forgery, out: Path) -> list[tuple[Kind, int | None]]:
    signer = watched.world.secrets.log
    report = audit_export(forgery.write(out, signer), signer.public)
    return [(finding.kind, finding.index) for finding in report.findings]


def test_what_the_gateway_saw_follows_from_the_log(watched: Watched, tmp_path: Path) -> None:
    forgery = watched.forgery()
    assert audit(watched, forgery, tmp_path) == []
    first = forgery.rows[of_use(forgery)].facts
    assert isinstance(first, EvidenceReceived)
    assert first.item["claims"]["requests"] == 2
    assert first.item["claims"]["bound_ppm"] == 1_000_000
    assert set(first.item["people"]) == set(watched.people)


FORGERIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "another number": lambda item: {"claims": {**item["claims"], "requests": 3}},
    "a claim that was not made": lambda item: {"claims": {**item["claims"], "x": 0}},
    "somebody left out": lambda item: {"people": item["people"][:1]},
    "another digest": lambda item: {"digest": "ab" * 32},
    "another collector": lambda item: {"collector": "somebody"},
    "no report of ours": lambda item: {"report": "x"},
    "another recipient's": lambda item: {
        "report": item["report"].replace(item["report"].split(":")[1], "ab" * 16)
    },
    "a window that suits": lambda item: {
        "report": item["report"].replace(f":{item['dated'] - DAY}-", f":{item['dated'] - 60_000}-")
    },
    "entries that suit": lambda item: {"report": _entries(item["report"], -5)},
    "entries to come": lambda item: {"report": _entries(item["report"], 99)},
}


def _entries(report: str, more: int) -> str:
    kind, recipient, entries, window = report.split(":")
    first, _, stop = entries.partition("-")
    return f"{kind}:{recipient}:{first}-{int(stop) + more}:{window}"


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_observation_is_named(watched: Watched, how: str, tmp_path: Path) -> None:
    forgery = watched.forgery()
    at = of_use(forgery)
    facts = forgery.rows[at].facts
    assert isinstance(facts, EvidenceReceived)
    forgery.rows[at].change(item={**facts.item, **FORGERIES[how](facts.item)})
    assert audit(watched, forgery, tmp_path) == [(Kind.FALSE_OBSERVATION, at)]


def test_an_access_taken_out_from_under_an_observation_is_missed(
    watched: Watched, tmp_path: Path
) -> None:
    forgery = watched.forgery()
    opened = forgery.first(AccessOpened)
    closed = forgery.first(AccessClosed)
    del forgery.rows[closed], forgery.rows[opened]
    named = audit(watched, forgery, tmp_path)
    assert (Kind.FALSE_OBSERVATION, of_use(forgery)) in named
    assert {kind for kind, _ in named} == {Kind.FALSE_OBSERVATION}


def test_nobody_speaks_for_the_gateway(watched: Watched, tmp_path: Path) -> None:
    forgery = watched.forgery()
    at = of_use(forgery)
    facts = forgery.rows[at].facts
    assert isinstance(facts, EvidenceReceived)
    claimed = {"independence": "self", "collector": watched.recipient, "report": "ours"}
    forgery.rows[at].change(item={**facts.item, **claimed, "claims": {"bound_ppm": 1}})
    assert audit(watched, forgery, tmp_path) == [(Kind.BAD_RECORD, at)]
