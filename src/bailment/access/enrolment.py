"""The short code that a person reads from a new device and tells the one who confirms it."""

from __future__ import annotations

import base64
import hashlib

_LABEL = b"bailment enrolment code\0"


def code_of(thumbprint: str) -> str:
    """The code `ABCD-EFGH` of a device key's RFC 7638 thumbprint.

    Both sides compute it from the key, so nobody between them can put another key in its place
    without the code changing. 40 bits, good for the minutes that an enrolment waits.
    """
    digest = hashlib.sha256(_LABEL + thumbprint.encode()).digest()
    text = base64.b32encode(digest[:5]).decode()
    return f"{text[:4]}-{text[4:]}"
