"""What the lab decides in words and signatures: who approves, which tier a model belongs to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bailment import canonical
from bailment.access.approval import APPROVER
from bailment.assurance.capability import caveats, decide
from bailment.cli import approver, capability
from bailment.cli.console import Dir, act
from bailment.cli.output import Json, note, say, show_json, show_rows, titled, warn
from bailment.cli.subjects import find_recipient, read_jwk
from bailment.clock import now_ms
from bailment.errors import BailmentError
from bailment.spec.compiled import CompiledSpec
from bailment.spec.terms import TIERS, TierName
from bailment.store.folder import Folder
from bailment.store.view import View, open_view

Signer = Annotated[Path, typer.Option("--key", help="The folder of the approver's key.")]


Signers = Annotated[
    list[Path] | None,
    typer.Option("--sign", help="The folder of an approver who signs this; repeat for each."),
]


def _short_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise typer.BadParameter(
            f"`{name}`: write 1 to 64 letters, digits, `.`, `_` and `-`, like ada"
        )
    return name


def _ids(ids: list[str] | None) -> list[str] | None:
    if any(not one.strip() for one in ids or ()):
        raise typer.BadParameter("an id is empty; `bailment recipient enclave HANDLE` shows them")
    return ids


Ids = Annotated[list[str] | None, typer.Option(help="Its id; repeat for more.", callback=_ids)]


def approver_add(
    name: Annotated[
        str, typer.Argument(help="A short name for the person, like ada.", callback=_short_name)
    ],
    key: Annotated[Path, typer.Option(help="The public key (JWK), as `approver key` wrote it.")],
    signers: Signers = None,
    directory: Dir = Path(),
) -> None:
    """Register a person whose signature approves tiers and exceptions.

    Once there are as many approvers as an exception takes, so many of them sign for each other one.
    """
    hint = "the person makes it with `bailment approver key FOLDER` and sends you approver.jwk"
    _change_approver(name, read_jwk(key, hint).jwk, signers, directory)
    say(f"{name} approves from now on")


def approver_remove(
    name: Annotated[str, typer.Argument(help="The name that it was added under.")],
    signers: Signers = None,
    directory: Dir = Path(),
) -> None:
    """End it: what the person signed before still stands."""
    _change_approver(name, {}, signers, directory)
    say(f"{name} approves nothing from now on")


def _change_approver(
    name: str, key: dict[str, str], signers: list[Path] | None, directory: Path
) -> None:
    told = {"approver": name, "key": key}
    approvals = [approver.sign(APPROVER, told, folder) for folder in signers or ()]
    act(Folder(directory), "approver-add", approver=name, key=key, approvals=approvals)


def model_tier(
    model: Annotated[str, typer.Argument(help="The model, as it is served.")],
    tier: Annotated[str, typer.Argument(help="The tier that it belongs to, like T3.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed and goes into the log.")],
    key: Signer,
    results: Annotated[
        list[Path] | None, typer.Option(help="Results that it rests on; repeat for more.")
    ] = None,
    evaluated: Annotated[
        str, typer.Option(help="The model, as the results name it; needed where they are several.")
    ] = "",
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Decide the tier of a model, signed by an approver: everybody is gated anew at once."""
    view = open_view(Folder(directory))
    spec, asked = _spec(view), _tier(tier)
    rank = view.fold.register.state.tiers.get(model, 0)
    before = TIERS[rank - 1] if rank else ""
    readings = list(capability.read_files(results or []).values())
    proposal, _ = capability.proposal_of(spec, readings, evaluated, before)
    decision = decide(proposal, model=model, tier=asked, reasons=reason, now=now_ms())
    approval = approver.sign_tier(decision, spec, key)
    told = msgspec.json.decode(canonical.encode(decision))
    act(view.folder, "model-tier", decision=told, approvals=[approval])
    if as_json:
        show_json(told)
        return
    for text in caveats(proposal.cited):
        warn(text)
    for name in proposal.unevaluated:
        warn(f"`{name}` was not evaluated")
    if proposal.tier not in (None, asked):
        warn(f"the results propose {proposal.tier}")
    say(f"{model} belongs to {asked}" + (f", before to {before}" if before else ""))


def model_list(directory: Dir = Path(), as_json: Json = False) -> None:
    """List models and the tiers that were decided."""
    state = open_view(Folder(directory)).fold.register.state
    rows = [
        {
            "model": name,
            "tier": TIERS[rank - 1] if (rank := state.tiers.get(name, 0)) else None,
            "canary": model.canary is True,
            "context": model.context,
            "output": model.output,
        }
        for name, model in state.models.items()
    ]
    columns = {
        "model": "model",
        "tier": lambda row: row["tier"] or ("canary" if row["canary"] else "not decided"),
        **titled("context", "output"),
    }
    show_rows(rows, columns, as_json=as_json, none="there is no model")


def recipient_enclave(
    handle: Annotated[str, typer.Argument(help="The recipient.")],
    tenant: Ids = None,
    account: Ids = None,
    org: Ids = None,
    directory: Dir = Path(),
    as_json: Json = False,
) -> None:
    """Say which tenants, accounts and organisations are a recipient's, in place of before.

    Evidence counts only if it is about one of these. Without an option, show them.
    """
    view = open_view(Folder(directory))
    recipient = find_recipient(view, handle)
    if tenant or account or org:
        act(
            view.folder,
            "enclave-declare",
            recipient=recipient,
            tenant=tenant or [],
            account=account or [],
            org=org or [],
        )
        view = open_view(view.folder)
    declared = view.fold.register.proven(recipient).scopes
    if as_json:
        show_json({"recipient": handle, **declared})
        return
    for kind, ids in declared.items():
        say(f"{kind}: {', '.join(ids)}")
    if not declared:
        note(f"nothing is declared as {handle}'s, so that no evidence counts")


def _spec(view: View) -> CompiledSpec:
    if view.fold.register.spec is None:
        raise BailmentError("no spec is in force, and so no tier", hint="bailment spec plan FILE")
    return view.fold.register.spec


def _tier(name: str) -> TierName:
    for tier in TIERS:
        if tier == name:
            return tier
    raise typer.BadParameter(f"`{name}` is no tier; write one of {', '.join(TIERS)}")
