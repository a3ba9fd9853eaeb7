"""The certificate of a connection's other end (RFC 8705), as its listener hands it over."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from bailment.access import base64url


def thumbprint(der: bytes) -> str:
    """RFC 8705 §3.1 `x5t#S256`: base64url of the certificate's SHA-256, 43 characters."""
    return base64url.encode(sha256(der).digest())


def presented_certificate(scope: Mapping[str, Any]) -> str:
    """The `x5t#S256` of the certificate that an ASGI connection was made with, empty if none.

    Read from the ASGI TLS extension. The listener has seen to it that the issuer's own authority
    signed the certificate and that the client holds its key.
    """
    tls = scope.get("extensions", {}).get("tls", {})
    chain = tls.get("client_cert_chain")
    return _of_pem(chain[0]) if chain else ""


@lru_cache(4096)  # a connection has one certificate and many requests
def _of_pem(pem: str) -> str:
    lines = pem.split()[2:-2]  # between `-----BEGIN CERTIFICATE-----` and its end
    return thumbprint(b64decode("".join(lines)))
