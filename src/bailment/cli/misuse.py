"""For a recipient's admin: say that what was done as one of yours was not them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from bailment.cli.delegate import AdminFolder, Gateway
from bailment.cli.output import Json, note, say, show_json
from bailment.cli.signals import asked_by
from bailment.cli.times import ago
from bailment.clock import now_ms

_SUBJECT = re.compile("(person|device|workload):[0-9a-f]{32}")


def report_misuse(
    subject: Annotated[
        str, typer.Argument(help="Of whose access: person:ID, device:ID or workload:ID of yours.")
    ],
    text: Annotated[str, typer.Argument(help="What is wrong, in words; 2,000 characters at most.")],
    admin: AdminFolder,
    gateway: Gateway,
    since: Annotated[str, typer.Option(help="From when on: 2h, 7d, 2026-04-07.")] = "24h",
    until: Annotated[str, typer.Option(help="Until when; else until now.")] = "",
    access: Annotated[
        str, typer.Option(help="Only this access in that time: the `x-request-id` of its answer.")
    ] = "",
    as_json: Json = False,
) -> None:
    """For a recipient's admin: say that what was done as one of yours was not them.

    The lab gets it as a finding, with your signed request and the entries of the log that it is
    about. Your words stay readable until the person is erased. It cuts nobody off by itself unless
    the spec says so: to have somebody cut off at once, end their delegation or ring the lab.
    """
    if not _SUBJECT.fullmatch(subject):
        raise typer.BadParameter(
            f"`{subject}` is none: write person:ID, device:ID or workload:ID, with the whole id "
            "that the lab's notices and answers name",
            param_hint="SUBJECT",
        )
    now = now_ms()
    times = ago(since, now), ago(until, now) if until else 0
    done = asked_by(
        admin, gateway, lambda asking: asking.report_misuse(subject, *times, text, access)
    )
    if as_json:
        show_json(done)
        return
    number = done["accesses"]
    say(f"reported as the finding {done['finding']}, about {number} access{'es' * (number != 1)}")
    if not number:
        note("the log has no access of theirs in that time; name another with --since and --until")
