"""The listener's certificate and its key, which is nobody else's to read."""

from __future__ import annotations

import ssl

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bailment.errors import ConfigurationError
from bailment.gateway.handshake import trust_devices
from bailment.settings import Listen
from bailment.store.authority import Authority
from bailment.store.durable import read_private
from bailment.store.folder import Folder


def server_tls(folder: Folder, listen: Listen, authority: Authority) -> ssl.SSLContext | None:
    """What ends TLS, and trusts this authority alone for clients' certificates; None where nothing
    is set. ConfigurationError as `server_certificate`."""
    if not listen.certificate:
        return None
    server_certificate(folder, listen)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    tls.load_cert_chain(folder.root / listen.certificate, folder.root / listen.key)
    trust_devices(tls, authority.der)
    return tls


def server_certificate(folder: Folder, listen: Listen) -> x509.Certificate:
    """The certificate, whose key is there; ConfigurationError names the file that is wrong."""
    path, secret = folder.root / listen.certificate, folder.root / listen.key
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except OSError as error:
        raise ConfigurationError(f"cannot read `{path}`: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"`{path}` is no certificate in PEM") from None
    try:
        key = load_pem_private_key(read_private(secret), None)
    except TypeError:
        raise ConfigurationError(
            f"the key in `{secret}` is encrypted", hint="the issuer starts without being asked"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"`{secret}` is no private key in PEM") from None
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(
            f"`{secret}` is not the key of the first certificate in `{path}`",
            hint="the issuer's own comes first, those that sign it after it",
        )
    return certificate
