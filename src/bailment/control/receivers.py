"""Which receivers there can be, and what sends to them.

Who adds a sink owns the issuer's folder: its URL may lie inside the issuer's own network, where a
recipient's webhook may not. A secret leaves this machine by TLS alone.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from base64 import b64decode
from binascii import Error as Base64Error
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.control import syslog
from bailment.control.outbound import Outbound, OutboundError
from bailment.control.sending import Collector, Lines, Sender, SignedWebhook
from bailment.errors import ConfigurationError
from bailment.store.sinks import Sink

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
#: Headers that are not for secrets.
_OURS = frozenset(("host", "content-type", "content-length", "transfer-encoding", "connection"))


def sender_of(sink: Sink, secret: str, key: Ed25519PrivateKey) -> Sender:
    """What sends to a sink; ConfigurationError says why it can be none."""
    if not _NAME.fullmatch(sink.name):
        raise ConfigurationError(
            f"`{sink.name[:40]}` is no name for a sink", hint="write one like siem-1"
        )
    if secret and (not secret.isascii() or not secret.isprintable() or len(secret) > 4096):
        raise ConfigurationError("the secret is not one line of ASCII")
    if not sink.classes:
        raise ConfigurationError("a sink is sent at least one class of records")
    context = _trust(sink)
    if sink.kind == "file":
        path = Path(sink.to)
        if not path.is_absolute() or path.name in ("", ".."):
            raise ConfigurationError(f"`{sink.to}` is not the absolute path of a file")
        return Lines(path)
    if sink.kind == "syslog":
        if secret:
            raise ConfigurationError("syslog shows no secret")
        try:
            return syslog.sender(sink.to, context)
        except ValueError as error:
            raise ConfigurationError(f"`{sink.to[:200]}`: {error}") from None
    outbound = _outbound(sink, secret, context)
    if sink.kind == "webhook":
        if secret and not _symmetric(secret):
            raise ConfigurationError("the secret is not `whsec_` and 24 to 64 bytes in base64")
        return SignedWebhook(sink.name, sink.to, outbound, key, secret)
    if not _HEADER.fullmatch(sink.header) or sink.header.lower() in _OURS:
        raise ConfigurationError(f"`{sink.header[:80]}` is no header for a secret")
    return Collector(sink.to, outbound, sink.header, secret)


def _outbound(sink: Sink, secret: str, context: ssl.SSLContext) -> Outbound:
    try:
        parts = urlsplit(sink.to)
        host = parts.hostname or ""
    except ValueError:
        raise ConfigurationError(f"`{sink.to[:200]}` is no URL") from None
    outbound = Outbound(frozenset((host,)), context)
    try:
        outbound.check(sink.to)
    except OutboundError as error:
        raise ConfigurationError(str(error)) from None
    shown = secret and sink.kind == "http"
    if shown and parts.scheme != "https" and not _loopback(host):
        raise ConfigurationError("a secret would go over the network in the open: use https")
    return outbound


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _symmetric(secret: str) -> bool:
    try:
        made = b64decode(secret.removeprefix("whsec_"), validate=True)
    except Base64Error:
        return False
    return secret.startswith("whsec_") and 24 <= len(made) <= 64


def _trust(sink: Sink) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=sink.ca or None)
    except ssl.SSLError:
        raise ConfigurationError("the certificates to trust cannot be read") from None
