"""The page of all commands: `python -m bailment.cli.reference > docs/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from bailment.cli.app import PANELS, app

_HEAD = """\
# Commands

Made by `python -m bailment.cli.reference > docs/cli.md`; a test holds it to that.

Results go to standard output, everything else to standard error. With `--json` a result is one JSON
value in UTF-8; its members are stable, and times in it are RFC 3339 in UTC. A time is given as a
span (`90s`, `15m`, `2h`, `30d`) or a date (`2027-04-07`, `2027-04-07T12:00Z`). Exit codes: 0 done,
1 failed, 2 usage, 10 changes pending, 20 verification failed, 130 ended by Ctrl-C.
`bailment --install-completion` teaches your shell to complete all of this.
"""


def reference() -> str:
    """The page, in Markdown."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    parts = [_HEAD]
    for panel in PANELS:
        parts.append(f"## {panel}\n")
        for name, command in commands.items():
            if command.rich_help_panel == panel:
                parts += _described(f"bailment {name}", command)
    return "\n".join(parts)


def _described(name: str, command: Any) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is not None:
        if command.invoke_without_command and command.params:
            yield from _entry(name, command)
        for word, one in below.items():
            yield from _described(f"{name} {word}", one)
        return
    yield from _entry(name, command)


def _entry(name: str, command: Any) -> Iterator[str]:
    words = (_label(one) for one in command.params if not one.opts[0].startswith("-"))
    yield f"### `{' '.join((name, *words))}`\n"
    yield command.help.strip() + "\n"
    rows = [_row(one) for one in command.params]
    if rows:
        yield "\n".join(("| | |", "|---|---|", *rows)) + "\n"


def _row(parameter: Any) -> str:
    names = parameter.opts + parameter.secondary_opts
    if not names[0].startswith("-"):
        named = f"`{_label(parameter)}`"
    else:
        value = "" if parameter.is_flag else f" {parameter.opts[0].strip('-').upper()}"
        named = ", ".join(f"`{name}{value}`" for name in names)
    notes = [parameter.help]
    if parameter.envvar:
        notes.append(f"Environment: `{parameter.envvar}`.")
    if parameter.required and names[0].startswith("-"):
        notes.append("Required.")
    elif not getattr(parameter, "is_flag", False) and parameter.default not in (None, ""):
        notes.append(f"Default: `{parameter.default}`.")
    return f"| {named} | {' '.join(notes)} |"


def _label(argument: Any) -> str:
    label: str = argument.metavar or argument.name.upper()
    return label if argument.required else f"[{label}]"


if __name__ == "__main__":
    sys.stdout.write(reference())
