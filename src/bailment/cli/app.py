"""The commands, put together.

Commands import what is heavy (servers, HTTP clients, SDKs) when they run, so that the others
start quickly.
"""

from __future__ import annotations

from typing import Annotated

import typer

from bailment import __version__
from bailment.cli import (
    access,
    approve,
    approver,
    capability,
    certificate,
    contain,
    custody,
    decide,
    delegate,
    detect,
    drill,
    drill_run,
    evidence,
    exception,
    extent,
    finding,
    handing,
    hold,
    incident,
    issuer,
    kill_switch,
    log,
    misuse,
    network,
    notice,
    operator,
    recipient,
    register,
    rotate,
    sign_in,
    signals,
    sink,
    spec,
    spec_apply,
    spec_export,
    standing,
    token,
)
from bailment.cli.doctor import doctor
from bailment.cli.output import say
from bailment.cli.story import demo

app = typer.Typer(
    name="bailment",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Controlled distribution of restricted AI models.",
)
#: Whom the commands are for, in the order of the help.
PANELS = _LAB, _RECIPIENT, _ANYBODY = "The lab", "A recipient", "Anybody"

app.command("init", rich_help_panel=_LAB)(issuer.init)
app.command("serve", rich_help_panel=_LAB)(issuer.serve)
app.command("status", rich_help_panel=_LAB)(issuer.status)
spec.app.command("init")(spec_export.init)
spec.app.command("export")(spec_export.export)
spec.app.command("plan")(spec_apply.plan)
spec.app.command("apply")(spec_apply.apply)
approver.app.command("add")(decide.approver_add)
approver.app.command("remove")(decide.approver_remove)
capability.app.command("tier")(decide.model_tier)
capability.app.command("list")(decide.model_list)
register.recipient.command("enclave")(decide.recipient_enclave)
evidence.app.command("submit")(handing.submit)
evidence.app.command("list")(handing.show_list)
app.add_typer(spec.app, name="spec", rich_help_panel=_ANYBODY)
app.add_typer(register.recipient, name="recipient", rich_help_panel=_LAB)
app.add_typer(register.person, name="person", rich_help_panel=_LAB)
app.add_typer(register.link, name="link", rich_help_panel=_LAB)
app.add_typer(hold.hold, name="hold", rich_help_panel=_LAB)
app.add_typer(token.app, name="token", rich_help_panel=_LAB)
app.add_typer(kill_switch.app, name="kill-switch", rich_help_panel=_LAB)
app.add_typer(kill_switch.maintenance, name="maintenance", rich_help_panel=_LAB)
app.add_typer(access.app, name="access", rich_help_panel=_LAB)
app.add_typer(finding.finding, name="finding", rich_help_panel=_LAB)
app.add_typer(finding.step_up, name="step-up", rich_help_panel=_LAB)
app.add_typer(finding.tripwire, name="tripwire", rich_help_panel=_LAB)
app.add_typer(detect.app, name="detect", rich_help_panel=_LAB)
app.add_typer(incident.app, name="incident", rich_help_panel=_LAB)
app.command("blast-radius", rich_help_panel=_LAB)(extent.blast_radius)
app.command("contain", rich_help_panel=_LAB)(contain.contain)
app.add_typer(notice.app, name="notice", rich_help_panel=_RECIPIENT)
app.command("report-misuse", rich_help_panel=_RECIPIENT)(misuse.report_misuse)
app.command("rotate", rich_help_panel=_LAB)(rotate.rotate)
app.add_typer(custody.app, name="custody", rich_help_panel=_LAB)
app.add_typer(network.app, name="network", rich_help_panel=_LAB)
app.add_typer(sink.app, name="sink", rich_help_panel=_LAB)
app.add_typer(capability.app, name="model", rich_help_panel=_LAB)
app.add_typer(approver.app, name="approver", rich_help_panel=_LAB)
app.add_typer(approve.app, name="approve", rich_help_panel=_LAB)
app.add_typer(operator.app, name="operator", rich_help_panel=_LAB)
app.add_typer(exception.app, name="exception", rich_help_panel=_LAB)
app.command("why", rich_help_panel=_LAB)(standing.why)
app.add_typer(standing.app, name="standing", rich_help_panel=_LAB)
register.recipient.command("key")(recipient.recipient_key)
app.add_typer(delegate.delegate, name="delegate", rich_help_panel=_RECIPIENT)
app.command("enrol", rich_help_panel=_RECIPIENT)(recipient.enrol_device)
app.command("sign-in", rich_help_panel=_RECIPIENT)(sign_in.renew)
register.recipient.command("provider")(sign_in.recipient_provider)
register.recipient.command("providers")(sign_in.recipient_providers)
app.add_typer(signals.app, name="signals", rich_help_panel=_RECIPIENT)
app.add_typer(signals.webhook, name="webhook", rich_help_panel=_RECIPIENT)
app.add_typer(certificate.app, name="agent", rich_help_panel=_RECIPIENT)
app.command("rehearse", rich_help_panel=_RECIPIENT)(drill.rehearse)
drill.app.command("run")(drill_run.run)
drill.app.command("end")(drill_run.end)
app.add_typer(drill.app, name="drill", rich_help_panel=_LAB)
app.add_typer(evidence.app, name="evidence", rich_help_panel=_RECIPIENT)
app.add_typer(log.app, name="log", rich_help_panel=_ANYBODY)
app.command("doctor", rich_help_panel=_ANYBODY)(doctor)
app.command("demo", rich_help_panel=_ANYBODY)(demo)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version, or run a command."""
    if version:
        say(f"bailment {__version__}")
        raise typer.Exit
