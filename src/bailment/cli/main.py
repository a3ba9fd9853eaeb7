"""`bailment`: the one place that turns what went wrong into a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys


def main() -> None:
    """Run the command line. Ctrl-C ends it without a word, at any moment."""
    try:
        # Names hold more letters than some terminals' encodings.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        _run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _run() -> None:
    from bailment.cli.app import app
    from bailment.cli.output import fail
    from bailment.errors import BailmentError

    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except BailmentError as error:
        fail(error)
    except BrokenPipeError:
        _give_up_output()
        raise SystemExit(1) from None
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        if error.errno == errno.ENOSPC:
            _give_up_output()
        where = f"`{os.fsdecode(error.filename)}`" if error.filename else "the output"
        fail(BailmentError(f"cannot use {where}: {str(error.strerror).lower()}"))


def _give_up_output() -> None:
    """Nobody reads on, so what is still in the buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
