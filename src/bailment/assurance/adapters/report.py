"""What an adapter makes of a file: a report, before anybody has decided what it is worth."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bailment.assurance.adapters.reading import Unreadable
from bailment.assurance.item import Result
from bailment.assurance.reasons import EvidenceReason
from bailment.assurance.signers import Signer
from bailment.spec.prose import counted

#: The check that says whether a report that `covers` scopes covers all of the recipient's.
COVERS_CHECK = "scope-covers-access"
MAX_CHECKS = 4_000
#: Of all scopes together, so that a small file cannot multiply the one by the other.
MAX_RESULTS = 100_000
MAX_NOTES = 30
MAX_NOTE = 300

_BADNESS: dict[Result, int] = {"pass": 0, "inconclusive": 1, "fail": 2}
_UNPRINTABLE = re.compile(r"[^!-~]+")
_ID_LENGTH = 128  # as long as a spec can name

Checks = dict[str, Result]


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a directory (RFC 7643 §4.1). Personal: it never reaches the log.

    `active` is None where the directory does not say.
    """

    id: str
    user_name: str
    emails: tuple[str, ...]
    active: bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """What one file says; times in ms since the epoch.

    `report` is its own id, or one made of all that it says, with `besides` what tells it apart
    from another report with the same results; `checks` are by scope (tenant, account
    or organisation id), so that those outside of the enclave can be left out; `claimed` is when it
    was collected by its own word, None if it does not say, and `expires` likewise; `kind` is the
    kind of evidence that it says it is, if its format says so. `accounts` is None where no roster
    is meant: an empty one would be a claim. `covers` where the scopes are what the report covers,
    more of which is better, and not what it is about. `signers` are those whose signatures hold,
    `strangers` how many signatures nobody known made; a `signed` report came in an envelope.
    """

    adapter: str
    tool: str
    report: str
    checks: Mapping[str, Checks]
    claimed: int | None
    expires: int | None = None
    besides: tuple[str, ...] = ()
    kind: str = ""
    claims: Mapping[str, int] = field(default_factory=dict)
    accounts: tuple[Account, ...] | None = None
    people: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    covers: bool = False
    simulated: bool = False
    digest: str = ""
    signed: bool = False
    signers: tuple[Signer, ...] = ()
    strangers: int = 0


def worst(results: Iterable[Result]) -> Result:
    """Pass only if all pass and there is at least one; fail if any fails."""
    return max(results, key=_BADNESS.__getitem__, default="inconclusive")


def check_name(text: str) -> str:
    """A check's id as a spec can name it: what does not print, spaces included, becomes `_`.

    Two that become one are one check, which passes only if both do.
    """
    return _UNPRINTABLE.sub("_", text)[:_ID_LENGTH] or "_"


def record(checks: Checks, check: str, result: Result) -> None:
    """Add one occurrence of a check, which passes only if every occurrence does."""
    name = check_name(check)
    before = checks.get(name)
    checks[name] = result if before is None else worst((before, result))


def bounded(results: int) -> None:
    """Unreadable if so many results, those of each scope counted, are more than a report has."""
    if results > MAX_RESULTS:
        raise Unreadable(
            EvidenceReason.TOO_LARGE,
            f"more than {MAX_RESULTS} results, those of each scope counted",
        )


def finished(report: Report, data: bytes) -> Report:
    """The report with its raw digest, an id if it came without, and notes within bounds.

    Unreadable if it has more checks than `MAX_CHECKS` in a scope or `MAX_RESULTS` in all.
    """
    sizes = [len(checks) for checks in report.checks.values()]
    if max(sizes, default=0) > MAX_CHECKS:
        raise Unreadable(EvidenceReason.TOO_LARGE, f"more than {MAX_CHECKS} different checks")
    bounded(sum(sizes))
    notes = tuple(note[:MAX_NOTE] for note in report.notes[:MAX_NOTES])
    if left := len(report.notes) - len(notes):
        notes += (counted(left, "more note"),)
    return replace(
        report,
        report=report.report or _derived(report),
        digest=hashlib.sha256(data).hexdigest(),
        notes=notes,
    )


def _derived(report: Report) -> str:
    """An id for a report that has none, of what it says: spelling it anew makes no new report."""
    distinct = {id(checks): checks for checks in report.checks.values()}  # scopes may share them
    said = {key: _hash(dict(checks)) for key, checks in distinct.items()}
    core = [
        report.adapter,
        report.kind,
        report.claimed,
        {scope: said[id(checks)] for scope, checks in report.checks.items()},
        dict(report.claims),
        [[a.id, a.user_name, *a.emails, a.active] for a in report.accounts or ()],
        list(report.people),
        list(report.besides),
    ]
    return "derived:" + _hash(core)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True)  # ASCII: lone surrogates in names do not matter
    return hashlib.sha256(text.encode()).hexdigest()


def disagreement(what: str, said: int, counted: int) -> Iterable[str]:
    """A note where a tool's total is not what it lists."""
    if said != counted:
        yield f"the tool's total of {what} is {said}, but it lists {counted}"
