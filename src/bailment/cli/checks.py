"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bailment.errors import BailmentError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, and where it is wrong how to `mend` it.

    What is `ok` and yet has something to mend is a warning.
    """

    check: str
    ok: bool
    says: str
    mend: str = ""


def attempt(check: str, look: Callable[[], str]) -> Finding:
    """What `look` says, or the error that says what is wrong."""
    try:
        return Finding(check, True, look())
    except BailmentError as error:
        return Finding(check, False, str(error), error.hint)
    except OSError as error:
        return Finding(check, False, f"cannot use `{error.filename}`: {error.strerror}")
