"""base64url without padding (RFC 7515 §2), one spelling per value."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from binascii import Error, a2b_base64

from bailment.errors import FormatError

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def encode(data: bytes) -> str:
    """The unpadded text of `data`."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of `text`; FormatError unless `text` is exactly what `encode` writes.

    Encoding again refuses in one comparison all that lenient decoders let through: padding,
    white space, the other alphabet, and non-zero bits after the last octet.
    """
    try:
        data = a2b_base64(text.encode("ascii").translate(_TO_STANDARD) + b"==")
    except (UnicodeEncodeError, Error):
        raise FormatError("not base64url") from None
    if encode(data) != text:
        raise FormatError("not base64url in its one unpadded form")
    return data
