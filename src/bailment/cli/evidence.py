"""Evidence, before it is sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer

from bailment.assurance.adapters.reading import MAX_SIZE
from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import Report
from bailment.assurance.intake import Submission, receive
from bailment.assurance.item import Item
from bailment.assurance.preflight import Outlook, Said, State, kind_for, outlook, sayings, too_old
from bailment.assurance.reasons import EvidenceReason, EvidenceRefused
from bailment.assurance.signers import Signer, parse_key
from bailment.cli import spec as spec_file
from bailment.cli.output import Exit, Json, note, say, show_json
from bailment.cli.times import show_time
from bailment.clock import now_ms
from bailment.errors import BailmentError, FormatError
from bailment.spec.compiled import CompiledSpec, Kind, TierOf, compile_spec, rank_of
from bailment.spec.policy import policy_of
from bailment.spec.terms import TIERS, Independence

app = typer.Typer(no_args_is_help=True, help="What a recipient shows for its tier.")

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Reports; KIND=FILE where one may be of several kinds."),
]
SpecFile = Annotated[Path, typer.Option(help="The issuer's spec, in YAML or JSON.")]
Tier = Annotated[str | None, typer.Option(help="The tier to prove; else the spec's highest.")]
Scope = Annotated[
    list[str] | None,
    typer.Option(help="A tenant, account or organisation of your enclave; repeat for more."),
]
Assessor = Annotated[
    list[Path] | None,
    typer.Option(help="The public key (PEM) of an assessor that the issuer knows."),
]
OwnKey = Annotated[
    list[Path] | None,
    typer.Option(help="The public key (PEM) with which your own people sign."),
]


#: The order in which they are told: what is bad, what can be sent, what others do.
_STATES = get_args(State)


class Checked(msgspec.Struct, frozen=True):
    """What would become of a file: why it would be refused, or its items and what they say."""

    file: str
    report: Report | None = None
    kind: str = ""
    refused: EvidenceRefused | None = None
    items: tuple[Item, ...] = ()
    says: tuple[Said, ...] = ()
    too_old: str = ""


@app.command()
def preflight(
    files: Files,
    spec: SpecFile,
    tier: Tier = None,
    scope: Scope = None,
    assessor: Assessor = None,
    own_key: OwnKey = None,
    as_json: Json = False,
) -> None:
    """Say what evidence would prove, before it is sent. Works offline, and sends nothing.

    Ends with 1 if a file would be refused, or anything fails or is missing that you could mend.
    """
    document = spec_file.load(spec)
    compiled = compile_spec(document)
    asked = _tier(compiled, tier)
    signers = [*_signers(assessor, "third-party"), *_signers(own_key, "self")]
    desk = _Desk(compiled, asked, scope or [], policy_of(document.policy).skew_ms, now_ms())
    checked = [desk.check(file, signers) for file in files]
    items = [item for one in checked for item in one.items]
    outlooks = outlook(compiled, asked, items, desk.now)
    ready = all(one.refused is None for one in checked) and all(one.ready for one in outlooks)
    if as_json:
        show_json(_json(compiled, asked, desk.now, checked, outlooks, ready))
    else:
        _tell(checked, asked, outlooks, scoped=bool(scope))
    if not ready:
        raise typer.Exit(Exit.FAILED)


class _Desk:
    """Takes files as the issuer's intake would, one after the other."""

    def __init__(
        self, spec: CompiledSpec, tier: TierOf, scopes: Sequence[str], skew: int, now: int
    ) -> None:
        self.now = now
        self._spec, self._tier, self._scopes, self._skew = spec, tier, scopes, skew
        self._reports: set[str] = set()
        self._digests: set[str] = set()

    def check(self, file: str, signers: Sequence[Signer]) -> Checked:
        """What would become of the file, given those before it."""
        name, separator, path = file.partition("=")
        chosen = self._spec.kinds.get(name) if separator else None
        path = path if chosen else file
        with Path(path).open("rb") as stream:
            report = read(stream.read(MAX_SIZE + 1), signers)
        if isinstance(report, EvidenceRefused):
            return Checked(path, refused=report)
        kind = chosen or kind_for(report, self._spec, self._tier)
        if kind is None:
            detail = f"the spec has no kind of evidence for `{report.kind or report.adapter}`"
            return Checked(path, report, refused=EvidenceRefused(EvidenceReason.KIND, detail))
        items = receive(
            report, self._handed(report, kind), item=secrets.token_hex(16), now=self.now
        )
        if isinstance(items, EvidenceRefused):
            return Checked(path, report, kind.name, items)
        self._reports.add(report.report)
        self._digests.add(report.digest)
        says = tuple(one for item in items for one in sayings(self._tier, item, self.now))
        old = too_old(self._spec, self._tier, items[0], self.now)
        return Checked(path, report, kind.name, None, items, says, old)

    def _handed(self, report: Report, kind: Kind) -> Submission:
        return Submission(
            kind=kind,
            scopes=self._scopes or tuple(report.checks),
            by="recipient",
            collector="recipient",
            skew=self._skew,
            reports=self._reports,
            digests=self._digests,
        )


def _tier(spec: CompiledSpec, name: str | None) -> TierOf:
    if name is None:
        return spec.tiers[-1]
    found = spec.tier(rank_of(name)) if name in TIERS else None
    if found is None:
        names = ", ".join(tier.name for tier in spec.tiers)
        raise BailmentError(f"the spec has no tier `{name}`", hint=f"one of {names}")
    return found


def _signers(files: list[Path] | None, independence: Independence) -> Iterator[Signer]:
    for file in files or ():
        try:
            yield Signer(holder=str(file), independence=independence, key=parse_key(_start(file)))
        except FormatError as error:
            raise FormatError(f"`{file}` is {error}", hint="give a PEM file") from None


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(1 << 16)


def _tell(
    checked: Sequence[Checked], tier: TierOf, outlooks: Sequence[Outlook], *, scoped: bool
) -> None:
    for one in checked:
        _tell_file(one)
    if not scoped:
        note("whose reports these are was not checked: name your enclave with --scope")
    say(f"{tier.name} {tier.title}")
    for state in _STATES:
        some = [below for below in outlooks if below.state == state]
        if some:
            say(f"  {state}: {len(some)} of {len(outlooks)}")
        for required in some:
            say(f"    {required.requirement:<5} {required.title}")
            for line in required.missing if not required.ready else ():
                say(f"          {line}")


def _tell_file(one: Checked) -> None:
    if one.report is None or one.refused is not None:
        refused = one.refused
        where = f" at {refused.where}" if refused and refused.where else ""
        say(f"{one.file}: refused, {refused.reason}{where}: {refused.detail}" if refused else "")
        return
    item = one.items[0]
    say(
        f"{one.file}: {one.report.tool} as {one.kind}, of {show_time(item.dated)}, "
        f"counts as {item.independence}"
    )
    if one.too_old:
        say(f"  too old: proves nothing; {one.too_old}")
    for said in one.says:
        needs = f", needs {said.needs}" if said.needs else ""
        say(f"  {said.requirement} {said.says}{needs}: {said.evidence}")
    if not one.says:
        say("  nothing of this tier asks for it")
    for text in item.notes:
        note(f"  {text}")


def _json(
    spec: CompiledSpec,
    tier: TierOf,
    now: int,
    checked: Sequence[Checked],
    outlooks: Sequence[Outlook],
    ready: bool,
) -> dict[str, Any]:
    return {
        "ready": ready,
        "spec": spec.digest,
        "tier": tier.name,
        "time": show_time(now),
        "files": [
            {
                "file": one.file,
                "adapter": one.report.adapter if one.report else None,
                "kind": one.kind or None,
                "refused": one.refused,
                "too_old": one.too_old or None,
                "items": [
                    {
                        "scope": item.scope,
                        "dated": show_time(item.dated),
                        "independence": item.independence,
                        "digest": item.digest,
                        "notes": item.notes,
                    }
                    for item in one.items
                ],
                "says": one.says,
            }
            for one in checked
        ],
        "requirements": outlooks,
    }
