"""The page of commands is what the commands say, and every command that is named exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from bailment.cli.app import app
from bailment.cli.reference import reference

ROOT = Path(__file__).parents[2]
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def leaves() -> dict[str, Any]:
    """Every command by its words."""
    found = {}
    for name, command in COMMANDS.items():
        below = getattr(command, "commands", None)
        for word, one in below.items() if below else [("", command)]:
            found[f"{name} {word}".strip()] = one
    return found


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference()


def test_every_command_and_option_says_what_it_is_for() -> None:
    for name, command in leaves().items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help.endswith("."), (name, parameter.name)


def test_every_listing_takes_json_and_a_folder() -> None:
    listings = [command for name, command in leaves().items() if name.endswith(" list")]
    assert len(listings) == 19
    for command in listings:
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options
        assert {"--dir", "-d"} <= options or "--admin" in options  # the lab's, or a recipient's


def test_every_command_that_is_named_anywhere_exists() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "formats").rglob("*.md")]
    pages += [*(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").glob("*")]
    name = r"([a-z]+(?:-[a-z]+)*)"
    typed = re.compile(rf"(?:`|\$ |hint=\"|try: )bailment {name}(?: {name})?")
    named = set()
    for page in pages:
        for first, second in typed.findall(page.read_text()):
            assert first in COMMANDS, (page.name, first)
            below = getattr(COMMANDS[first], "commands", None)
            assert not below or not second or second in below, (page.name, first, second)
            named.add(first)
    assert named == set(COMMANDS)
