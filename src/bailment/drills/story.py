"""Telling the demonstration: numbered steps with a mark and a time, commands as they are typed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from bailment.drills.stage import NotAsTold


@dataclass(slots=True)
class Story:
    """Tells steps on one console."""

    console: Console = field(default_factory=lambda: Console(highlight=False))
    #: When the first generated text came, seconds after the start.
    first_text: float | None = None
    _number: int = 0
    _begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step: its title, what is shown within, and a mark at its end."""
        self._number += 1
        self.console.print()
        self.console.print(Text(f"{self._number}. {title}", style="bold"), soft_wrap=True)
        begun = time.monotonic()
        try:
            yield
        except Exception:
            self.console.print(Text("   did not go as it says", style="bold red"))
            raise
        self.console.print(Text(f"   ✓ {time.monotonic() - begun:.1f} s", style="green"))

    def typed(self, command: str) -> None:
        """A command as a user would type it."""
        self.console.print(Text(f"   $ {command}", style="cyan"), soft_wrap=True)

    def says(self, text: str, style: str = "") -> None:
        """Something that was said; what does not print is escaped, for a model may say anything."""
        for line in text.rstrip().split("\n"):
            safe = line if line.isprintable() else ascii(line)
            self.console.print(Text(f"     {safe}", style=style), soft_wrap=True)

    def generated(self) -> None:
        """A model generated text."""
        if self.first_text is None:
            self.first_text = self.elapsed()

    def elapsed(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._begun


def expect(held: object, otherwise: str) -> None:
    """End the demonstration unless what the step promises holds."""
    if not held:
        raise NotAsTold(otherwise)
