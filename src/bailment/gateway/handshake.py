"""TLS as the public listener speaks it: who may show a certificate, and what comes of one.

A client needs none. If it shows one, the issuer's own authority must have signed it, or the
handshake fails; what it is worth is asked at each request, of the register.
"""

from __future__ import annotations

import ssl
import time
from typing import Any, ClassVar

import structlog

logger = structlog.get_logger("bailment.tls")

#: A reason is told this often (seconds); in between it is counted.
_QUIET = 60.0

_VERSIONS = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def trust_devices(tls: ssl.SSLContext, anchor: bytes) -> None:
    """Let clients show a certificate that this authority (DER) signed, and no other.

    A connection has one certificate from its first byte to its last: nothing is resumed but by
    who holds the session's own secret, nothing renegotiated, nothing asked for after the handshake.
    """
    tls.load_verify_locations(cadata=anchor)
    tls.verify_mode = ssl.CERT_OPTIONAL
    tls.verify_flags |= ssl.VERIFY_X509_STRICT
    tls.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    tls.num_tickets = 0
    tls.sslobject_class = _Handshake


def tls_extension(connection: ssl.SSLObject) -> dict[str, Any]:
    """The ASGI TLS extension (0.2) of a connection, as far as anybody here reads it."""
    der = connection.getpeercert(binary_form=True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(der)] if der else [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": None,
    }


class _Handshake(ssl.SSLObject):
    """Says why a handshake failed, which neither the event loop nor uvicorn does."""

    _told: ClassVar[dict[str, tuple[float, int]]] = {}

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            self._tell(getattr(error, "verify_message", "") or error.reason or "unknown")
            raise

    def _tell(self, why: str) -> None:
        now = time.monotonic()
        last, unsaid = self._told.get(why, (-_QUIET, 0))
        if now - last < _QUIET:
            self._told[why] = (last, unsaid + 1)
            return
        self._told[why] = (now, 0)
        logger.warning("a TLS handshake failed", reason=why, unsaid=unsaid)
