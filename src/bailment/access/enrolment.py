"""The short code by which two people tell each other which device is being enrolled.

The device computes it from its own key, and the confirming admin from the key that the server
shows. So a server that shows another key shows another code.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256

from bailment.errors import FormatError

_CONTEXT = b"bailment enrolment code\0"
_CODE = re.compile(r"[A-Z2-7]{8}")


def code_of(thumbprint: str) -> str:
    """The code `ABCD-EFGH` (40 bits, RFC 4648 §6 alphabet) of a key with this RFC 7638 thumbprint.

    Long enough for the minutes in which an invitation lives, and no longer.
    """
    text = b32encode(sha256(_CONTEXT + thumbprint.encode()).digest()).decode()
    return f"{text[:4]}-{text[4:8]}"


def read_code(text: str) -> str:
    """A code as a person types it, in any case, with or without the hyphen; else FormatError."""
    code = re.sub(r"[\s-]", "", text).upper()
    if not _CODE.fullmatch(code):
        raise FormatError(f"`{text[:40]}` is not a code like `ABCD-EFGH`")
    return f"{code[:4]}-{code[4:]}"
