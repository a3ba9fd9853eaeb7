"""A live drill's result as evidence for a spec's drill requirements (`formats/evidence.md`)."""

from __future__ import annotations

from bailment import canonical
from bailment.drills.breach.result import Result

#: Passed if everything came as it must; with a dot and its name, if one variant did.
CHECK = "breach-drill"


def report_of(result: Result, kind: str, scope: str) -> bytes:
    """The report: how long it took to notice what had to be, which variants came out as they must,
    and false alerts."""
    must = [one for one in result.variants if one.expected != "open"]

    def trials(after: list[int | None]) -> list[dict[str, int | None]]:
        start = result.started
        return [{"from": start, "until": None if ms is None else start + ms} for ms in after]

    told = {
        "format": "bailment-drill/v1",
        "id": f"drill:{result.drill}",
        "kind": kind,
        "scope": scope,
        "started": result.started,
        "ended": result.ended,
        "timed": {
            "noticed_after_ms": trials([one.signal.after if one.signal else None for one in must])
        },
        "observed": len(must),
        "counts": {"false_alerts": result.background.false_alerts},
        "checks": {
            CHECK: _passed(result.as_expected),
            **{f"{CHECK}.{one.variant}": _passed(one.as_expected) for one in must},
        },
    }
    return canonical.encode(told)


def _passed(so: bool) -> str:
    return "pass" if so else "fail"
