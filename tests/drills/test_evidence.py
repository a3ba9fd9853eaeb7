"""A live drill's result is evidence for what a spec asks of drills, by how it went."""

from __future__ import annotations

from pathlib import Path

import pytest

from bailment.drills.breach.order import Tried
from bailment.drills.breach.report import report_of
from bailment.drills.breach.result import Background, Outcome, Result, outcome_of
from bailment.ledger.evidence_records import EvidenceReceived, StandingEvaluated

from ..access.small_spec import HOUR
from ..control.test_assurance import LONE, Lab
from ..world import world

pytestmark = pytest.mark.anyio

ORG, KIND = "acme.example", "drill.breach"
ASKED = b"{kind: drill.breach, check: breach-drill, min_independence: pulled}"
SPEC = LONE.replace(
    b"tiers:\n",
    b"  drill.breach: {adapter: drill/1, class: process, max_age: P30D, scope: org}\ntiers:\n",
).replace(b"{kind: scan, check: MS.AAD.3.1v1}", ASKED)


def _outcome(status: int, reason: str) -> Outcome:
    """Of one who showed a token twice: first refused, and then so."""
    refused = Tried("stranger 1", 1_000, 1_005, 401, "proof-missing")
    tried = [refused, Tried("stranger 1", 2_000, 2_005, status, reason, 0)]
    return outcome_of("bearer", "a token", 1, "refused", "", "r", tried, [], [])


def _result(drill: str, now: int, *outcomes: Outcome) -> Result:
    return Result(
        drill=drill,
        name="breach-2026",
        form="live",
        simulated=False,
        started=now - 60_000,
        ended=now,
        geography="",
        background=Background(2, 10, 0, {}, 0.0),
        variants=outcomes,
    )


async def test_one_that_refused_all_proves_it_and_one_in_which_somebody_got_through_does_not(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as made:
        lab = Lab(made)
        await lab.prepare(SPEC)
        acme = await lab.acme()
        await made.act("enclave-declare", recipient=acme.id, tenant=[acme.tenant], org=[ORG])
        await acme.hand("roster", acme.roster())
        assert acme.tier == 1
        since = made.size

        async def hold(drill: str, *outcomes: Outcome) -> tuple[int, str]:
            """Hand one in; the tier, and what is said of the requirement where it is not met."""
            file = report_of(_result(drill, acme.now, *outcomes), KIND, ORG)
            assert (await acme.hand(KIND, file)).status_code == 201
            lacking = (await acme.standing())["lacking"].get("T2", [])
            return acme.tier, "".join(one["status"] for one in lacking)

        refused, answered = _outcome(401, "proof-key"), _outcome(200, "")
        assert await hold("aa" * 16, refused, answered) == (1, "failed")
        assert await hold("bb" * 16, refused) == (2, "")
        assert await hold("cc" * 16, answered) == (2, "failed")
        made.clock.ahead += HOUR + 1_000  # the spec's grace
        assert (await acme.standing())["tier"] == "T1"

        items = [one.item for one in made.of(EvidenceReceived, since)]
        assert {one["independence"] for one in items} == {"pulled"}
        assert [one["checks"] for one in items] == [
            {"breach-drill": result, "breach-drill.bearer": result}
            for result in ("fail", "pass", "fail")
        ]
        assert len(made.of(StandingEvaluated, since)) >= 3
