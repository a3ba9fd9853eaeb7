"""`bailment`: the one place that turns what went wrong into a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

if TYPE_CHECKING:
    from bailment.errors import BailmentError


def main() -> None:
    """Run the command line."""
    guarded(_run)


def guarded(run: Callable[[], None]) -> None:
    """Run, and say what went wrong. Ctrl-C ends it without a word, at any moment."""
    try:
        sys.stdout, sys.stderr = _usable(sys.stdout), _usable(sys.stderr)
        _explained(run)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _usable(stream: TextIO | None) -> TextIO:
    """A stream for any text: names hold more letters than some terminals' encodings."""
    if stream is None:  # closed by who started this
        return open(os.devnull, "w")
    cast(TextIOWrapper, stream).reconfigure(errors="backslashreplace")
    return stream


def _run() -> None:
    from bailment.errors import BailmentError

    if any("\udc80" <= ch <= "\udcff" for word in sys.argv for ch in word):
        raise BailmentError("an argument is not text in this terminal's encoding")
    if sys.argv[1:2] == ["agent"]:
        # SDKs wait for it, and clients ask it for a token again and again: half of the time to
        # start is for commands that it is not.
        from bailment.cli.certificate import app

        app(sys.argv[2:], prog_name="bailment agent")
    elif sys.argv[1:2] == ["blast-radius"]:
        # In an incident it is asked again and again, and answered in less time than all commands
        # take to be imported.
        from bailment.cli.extent import app

        app(sys.argv[2:], prog_name="bailment blast-radius")
    else:
        from bailment.cli.app import app

        app()


def _explained(run: Callable[[], None]) -> None:
    from bailment.errors import BailmentError

    try:
        run()
    except BailmentError as error:
        _fail(error)
    except OSError as error:
        where = f"`{os.fsdecode(error.filename)}`" if error.filename else "the output"
        if error.filename is None:
            if error.errno != errno.ENOSPC:
                raise
            # What is still in the buffer would fail again at the interpreter's end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(BailmentError(f"cannot use {where}: {str(error.strerror).lower()}"))


def _fail(error: BailmentError) -> NoReturn:
    from bailment.cli.output import fail

    fail(error)
