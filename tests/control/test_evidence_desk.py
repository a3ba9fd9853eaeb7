"""What is typed at the control socket about evidence and decisions hides nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ..world import world
from .test_assurance import Lab, problem

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with world(tmp_path) as made:
        found = Lab(made)
        await found.prepare()
        yield found


@pytest.mark.parametrize(
    "query",
    [
        {"by": "gateway"},
        {"by": "nobody"},
        {"author": ""},
        {"author": "tests\x1b[2J"},
        {"author": "te\u202ests"},
        {"collector": "scim\u2066pull"},
        {"collector": "x" * 201},
        {"simulated": "2"},
        {"more": "1"},
    ],
)
async def test_a_query_that_says_who_handed_in_hides_nothing_and_nobody_is_the_gateway(
    lab: Lab, query: dict[str, str]
) -> None:
    acme = await lab.acme()
    size = lab.world.size
    sent = await acme.hand("roster", acme.roster(), **query)
    assert (sent.status_code, sent.json()["reason"]) == (400, "body-malformed")
    assert lab.world.size == size


async def test_what_a_decision_or_a_grant_says_inside_hides_nothing(lab: Lab) -> None:
    acme = await lab.acme()
    for grant in ({"compensating": ["watched\u202e"]}, {"of": {"a": [{"b\x07": 1}]}}):
        status, detail = problem(
            await lab.act(
                "exception-grant", recipient=acme.id, grant=grant, text="it broke", approvals=[]
            )
        )
        assert (status, "which a reader would not see" in detail) == (400, True)
    for reasons in ("fine\u2028", "fine\x00"):
        decision = {"model": "smollm2", "tier": "T2", "reasons": reasons}
        sent = await lab.act("model-tier", decision=decision, approvals=[])
        assert "which a reader would not see" in problem(sent)[1]
