"""How `bailment contain` ends: what scripts go by."""

from __future__ import annotations

from typing import Any

import pytest

from bailment.cli.contain import judge
from bailment.cli.main import guarded

DONE = {"act": "hold", "subject": "device:a", "made": "1"}
WAITS = {"act": "hold", "subject": "recipient:b", "proposal": "2"}
FAILED = {"act": "rotate", "subject": "device:a", "failed": "there is no such organisation"}


def told(*acts: dict[str, Any], contained: bool = True, decided: int = 1) -> dict[str, Any]:
    return {
        "incident": "1" * 32,
        "executed": {"acts": acts},
        "verified": {"contained": contained, "decided": decided},
    }


def test_what_was_only_planned_is_no_failure() -> None:
    judge({"incident": "1" * 32, "saved": "plan.json"})


def test_what_was_done_and_found_to_hold_is_done() -> None:
    judge(told(DONE))


def test_where_evidence_was_marked_stale_there_need_be_no_credential_to_try() -> None:
    found = told(DONE, decided=0)
    found["verified"]["tiers"] = {"acme": 1}
    judge(found)


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        (told(DONE, contained=False), 1, "NOT contained: see above"),
        (told(DONE, decided=0), 1, "no credential was tried"),
        (told(DONE, FAILED), 1, "1 failed"),
        (told(WAITS, FAILED, contained=False), 1, "1 failed"),
        (told(DONE, WAITS, contained=False), 10, "NOT contained yet: 1 of 2 acts wait"),
        (told(DONE, WAITS), 10, "contained by what was done: 1 of 2 acts wait"),
    ],
)
def test_every_other_end_has_its_code_and_says_why(
    found: dict[str, Any], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: judge(found))
    assert ended.value.code == code
    assert said in capsys.readouterr().err
