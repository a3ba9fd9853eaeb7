"""The demonstration's papers are what its story needs, by the rules and not by arrangement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import Report
from bailment.assurance.capability import propose
from bailment.assurance.evaluation import evaluate
from bailment.assurance.intake import Collector, Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.mass_change import many
from bailment.assurance.results import read as read_results
from bailment.assurance.signers import Signer, parse_key
from bailment.assurance.standing import advance, tier_at
from bailment.cli.spec import load
from bailment.drills import papers
from bailment.spec.compiled import CompiledSpec, compile_spec

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
DAY = 86_400_000
ORG = papers.Organisation("acme", "Maria Silva", "maria@acme.example")
PERSON = "a" * 32


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> CompiledSpec:
    path = tmp_path_factory.mktemp("spec") / "spec.yaml"
    papers.write_spec(path)
    return compile_spec(load(path))


class Desk:
    """The issuer's, which knows the assessor's key."""

    def __init__(self, spec: CompiledSpec) -> None:
        self.spec = spec
        self.assessor = papers.Assessor()
        key = parse_key(self.assessor.pem)
        self.signers = (Signer("assessor", "third-party", key, simulated=True),)
        self.items: list[Item] = []

    def take(self, kind: str, paper: bytes, by: Collector = "recipient") -> Item:
        report = read(paper, self.signers)
        assert isinstance(report, Report), report
        known = {PERSON: (ORG.email,)}
        handed = Submission(
            self.spec.kinds[kind], (ORG.tenant, ORG.domain), by, by, 5_000, people=known
        )
        found = receive(report, handed, item=f"{len(self.items):032x}", now=MS)
        assert isinstance(found, tuple), found
        self.items += found
        return found[0]

    def rehearse(self) -> None:
        """What the gateway sees in a rehearsal, and measures in a drill."""
        for kind, counts in (
            ("gw.use", {"bound_ppm": 1_000_000, "unenrolled_device_requests": 0}),
            ("gw.register", {"undeclared_parties": 0}),
        ):
            seen = {
                "format": "bailment-observation/v1",
                "id": kind,
                "kind": kind,
                "scope": ORG.domain,
                "from": MS - DAY,
                "until": MS,
                "observed": 3,
                "counts": counts,
                "people": [PERSON],
            }
            self.take(kind, as_json(seen), "gateway")
        drill = {
            "format": "bailment-drill/v1",
            "id": "drill",
            "kind": "drill.revoke",
            "scope": ORG.domain,
            "started": MS - 1000,
            "ended": MS,
            "timed": {"cut_after_ms": [{"from": MS - 900, "until": MS - 899}]},
            "observed": 1,
            "counts": {"opened_after_hold": 0},
        }
        self.take("drill.revoke", as_json(drill), "gateway")

    def submit(self, *, collected: datetime = NOW - timedelta(hours=1)) -> None:
        """What a recipient of good standing hands in."""
        sign = self.assessor.signed
        self.take("scuba.entra", sign(papers.scan(ORG, NOW, resistant=True)))
        self.take("report.soc2", sign(papers.assessment(ORG, NOW)))
        self.take("idp.roster", papers.roster(ORG, collected))

    def statuses(self) -> Mapping[str, str]:
        tier = evaluate(self.spec, self.items, (), MS).tier(3)
        assert tier is not None
        return {verdict.requirement: verdict.status for verdict in tier.verdicts}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_rehearsal_drill_roster_and_the_assessor_earn_t3(spec: CompiledSpec) -> None:
    desk = Desk(spec)
    assert evaluate(spec, desk.items, (), MS).earned == 0
    desk.submit()
    assert evaluate(spec, desk.items, (), MS).earned == 0
    desk.rehearse()
    assert evaluate(spec, desk.items, (), MS).earned == 3
    assert len(desk.statuses()) == 8


def test_what_the_assessor_signs_is_labelled_as_simulated(spec: CompiledSpec) -> None:
    desk = Desk(spec)
    desk.submit()
    desk.rehearse()
    assert {item.kind for item in desk.items if item.simulated} == {"scuba.entra", "report.soc2"}
    assert {item.independence for item in desk.items if item.simulated} == {"third-party"}


def test_without_any_one_item_t3_is_not_held(spec: CompiledSpec) -> None:
    desk = Desk(spec)
    desk.submit()
    desk.rehearse()
    for left in desk.items:
        rest = [item for item in desk.items if item is not left]
        assert evaluate(spec, rest, (), MS).earned < 3, left.kind


def test_a_scan_of_ones_own_that_fails_counts_and_one_that_passes_does_not(
    spec: CompiledSpec,
) -> None:
    for resistant, status in ((False, "failed"), (True, "missing")):
        desk = Desk(spec)
        item = desk.take("scuba.entra", papers.scan(ORG, NOW, resistant=resistant))
        assert (item.independence, item.simulated) == ("self-tool", False)
        assert desk.statuses()["AM-7"] == status
        assert desk.statuses()["AM-2"] == desk.statuses()["AM-5"] == "satisfied"


def test_the_scan_is_small_and_adds_up() -> None:
    for resistant in (False, True):
        paper = papers.scan(ORG, NOW, resistant=resistant)
        assert len(paper) < 30_000
        report = read(paper)
        assert isinstance(report, Report)
        assert report.notes == ("begins with a byte order mark, as this tool's files do",)
        verdict = report.checks[ORG.tenant][papers.PHISHING_RESISTANT]
        assert verdict == ("pass" if resistant else "fail")


def test_a_roster_of_yesterday_lapses_to_the_millisecond_and_takes_t3_with_it(
    spec: CompiledSpec,
) -> None:
    desk = Desk(spec)
    desk.submit(collected=NOW - timedelta(days=1) + timedelta(seconds=10))
    desk.rehearse()
    end = MS + 10_000
    standing = advance(None, evaluate(spec, desk.items, (), MS), spec.lapse, MS)
    assert [tier_at(standing, at) for at in (MS, end - 1, end)] == [3, 3, 1]
    assert next(step for step in standing.steps if step.at == end).requirements == ("AM-1",)


def test_one_of_three_may_fall_without_being_held_and_two_may_not(spec: CompiledSpec) -> None:
    assert not many(1, 3, spec.lapse)
    assert many(2, 3, spec.lapse)


def test_the_results_propose_t3(spec: CompiledSpec) -> None:
    reading = read_results(papers.results("small", NOW))
    proposal = propose(spec, reading.results, model="small")
    assert (proposal.tier, proposal.unevaluated) == ("T3", ())
    assert all(result.task.startswith("simulated/") for result in reading.results)
