"""`bailment doctor`: what is wrong with a set-up, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bailment.cli.checks import Finding
from bailment.cli.console import Dir
from bailment.cli.output import Exit, Json, out, show_json, shown
from bailment.store.folder import Folder


def _mark(finding: Finding) -> tuple[str, str]:
    if not finding.ok:
        return "wrong", "bold red"
    return ("warn ", "bold yellow") if finding.mend else ("ok   ", "green")


def doctor(
    directory: Dir = Path(),
    profile: Annotated[
        str, typer.Option(help="Look at this device's profile, not at an issuer's folder.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find what is wrong with an issuer's set-up or a device's, and say how to mend it."""
    if profile:
        from bailment.agent.profile import default_folder
        from bailment.cli.device_checks import examine_device

        examined = examine_device(default_folder(profile))
    else:
        from bailment.cli.issuer_checks import examine_issuer

        examined = examine_issuer(Folder(directory))
    findings = []
    for finding in examined:
        findings.append(finding)
        if not as_json:
            mark = _mark(finding)
            says = f"  {finding.check}: {finding.says}"
            out.print(Text.assemble(mark, shown(says)), soft_wrap=True)
            if finding.mend:
                mend = Text.assemble(("       try: ", "bold"), shown(finding.mend))
                out.print(mend, soft_wrap=True)
    if as_json:
        show_json(
            [{"check": f.check, "ok": f.ok, "says": f.says, "mend": f.mend} for f in findings]
        )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.FAILED)
