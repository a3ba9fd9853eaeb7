"""Malfunctions. A refusal is never an exception: see `bailment.access.reasons`.

BailmentError
 ├─ ConfigurationError    a setting, secret file or folder is wrong; the message says which
 ├─ FormatError           bytes from outside do not have the form they must have
 ├─ Waiting               nothing was done yet: others must sign it
 ├─ VerificationError     well-formed, but a signature, hash or proof does not hold
 ├─ LogUnavailable        nothing can be appended now; `reason` says why
 └─ UpstreamError         the model server failed; `reason` says how

Messages follow one rule: lower case, no final stop, `backticks` around input, and where a
person can mend it, `hint` says how.
"""

from __future__ import annotations


class BailmentError(Exception):
    """The root; `hint` is what to do about it, or empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(BailmentError):
    """The set-up is wrong and nothing should start."""


class FormatError(BailmentError):
    """Input that cannot be parsed."""


class Waiting(BailmentError):
    """Nothing was done yet: it was proposed, and others must sign it first."""


class VerificationError(BailmentError):
    """Input that parses and does not verify."""
