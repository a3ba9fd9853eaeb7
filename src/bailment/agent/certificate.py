"""A device's certificate (RFC 8705): for clients that speak TLS and cannot sign each request.

    auth = CertifiedAuth(device, purpose="evaluation")
    openai.OpenAI(base_url=auth.gateway + "/v1", api_key="-",
                  http_client=httpx2.Client(auth=auth, verify=ssl_context(device)))

A token is good over the connections of one certificate alone, so `auth` belongs to one client with
one context. A client that runs for longer than its certificate lasts is made anew.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Annotated, TypeVar
from urllib.parse import urlencode

import httpx2
import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from bailment.access.certificate import PATH, certification_body
from bailment.agent import private
from bailment.agent.answers import read_answer, refusal
from bailment.agent.client import transport, unreachable
from bailment.agent.profile import KEY, Device
from bailment.agent.sdk import BailmentAuth
from bailment.agent.signer import Flow, Signer, advance
from bailment.agent.tokens import PATH as TOKEN_PATH
from bailment.agent.tokens import TIMEOUT, Tokens
from bailment.errors import ConfigurationError, FormatError

T = TypeVar("T")

CERTIFICATE = "device.crt"
MAX_PEM = 8192
#: The share of a certificate's life after which the next client gets a new one.
RENEW_AFTER = 2 / 3


class CertificateAnswer(msgspec.Struct, frozen=True):
    """The answer to a request for a certificate."""

    certificate: Annotated[str, msgspec.Meta(max_length=MAX_PEM)]


def certificate(device: Device, *, clock: Callable[[], float] = time) -> Path:
    """The device's certificate, for whoever connects from now on: the one in the profile, or a new
    one if two thirds of its life are over. The key is in `device.pem` beside it.

    Raises GatewayRefused, GatewayUnreachable, FormatError; ConfigurationError for a key that is in
    no file.
    """
    path = device.folder / CERTIFICATE
    if not (device.folder / KEY).exists():
        raise ConfigurationError(
            "this device's key is in hardware, which TLS clients cannot be given",
            hint="use the agent, which signs with it",
        )
    if path.exists() and clock() < _renewal(path, device):
        return path
    signer = Signer(device.key, clock)
    body = certification_body(device.profile.device)
    headers = {"content-type": "application/json"}
    url = device.profile.gateway + PATH
    asking = signer.flow(lambda: httpx2.Request("POST", url, headers=headers, content=body))
    with httpx2.Client(**transport(device.profile.gateway)) as http:
        response = _drive(http, device.profile.gateway, asking)
    pem = read_answer(response, CertificateAnswer).certificate.encode()
    found = read_certificate(pem, device)
    private.write(path, found.public_bytes(Encoding.PEM))
    return path


def read_certificate(pem: bytes, device: Device) -> x509.Certificate:
    """The certificate in a PEM text, which must be over the device's key; else FormatError."""
    if len(pem) > MAX_PEM:
        raise FormatError(f"the certificate is longer than {MAX_PEM} bytes")
    try:
        found = x509.load_pem_x509_certificate(pem)
        same = found.public_key() == device.public.raw
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FormatError("the certificate is not one in PEM") from None
    if not same:
        raise FormatError("the certificate is over another key than the device's")
    return found


def ssl_context(device: Device, *, clock: Callable[[], float] = time) -> ssl.SSLContext:
    """What TLS clients connect with: the device's certificate, and the authorities of the system or
    of `SSL_CERT_FILE`. Raises as `certificate`."""
    context = httpx2.create_ssl_context()
    context.load_cert_chain(certificate(device, clock=clock), device.folder / KEY)
    return context


class CertifiedTokens(Tokens):
    """Tokens that are bound to the certificate of the connection over which they are asked for."""

    token_type = "Bearer"

    def _ask(self) -> Flow[httpx2.Response]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._profile.device,
            "authorization_details": self._details,
        }
        if handle := self.ratchet.read():
            form["ratchet"] = handle
        response: httpx2.Response = yield httpx2.Request(
            "POST",
            self._profile.gateway + TOKEN_PATH,
            headers={"content-type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
            extensions={"timeout": TIMEOUT},
        )
        return response


class CertifiedAuth(BailmentAuth):
    """Gives each request a token that is bound to the certificate of its client's connections."""

    requires_request_body = False
    tokens_of = CertifiedTokens

    def _use(self, request: httpx2.Request, token: str) -> Flow[None]:
        request.headers["authorization"] = f"Bearer {token}"
        response: httpx2.Response = yield request
        self._look(response, token)


def fetch_certified_token(
    device: Device,
    purpose: str,
    models: tuple[str, ...] = (),
    *,
    clock: Callable[[], float] = time,
) -> str:
    """A new access token for whoever connects with the certificate in the profile; worthless
    without it. Raises as `certificate`."""
    gateway = device.profile.gateway
    options = {**transport(gateway), "verify": ssl_context(device, clock=clock)}
    tokens = CertifiedTokens(device, Signer(device.key, clock), purpose, models)
    with httpx2.Client(**options) as http, tokens.ratchet.held():
        fetched = _drive(http, gateway, tokens.fetch())
    if isinstance(fetched, httpx2.Response):
        raise refusal(fetched)
    return fetched


def _renewal(path: Path, device: Device) -> float:
    """When the certificate in the profile is to be replaced, s; at once if it is another's."""
    try:
        found = read_certificate(private.read(path), device)
    except FormatError:
        return 0.0
    start = found.not_valid_before_utc.timestamp()
    return start + RENEW_AFTER * (found.not_valid_after_utc.timestamp() - start)


def _drive(http: httpx2.Client, gateway: str, steps: Flow[T]) -> T:
    """Send what a flow asks for until it ends."""
    step = advance(steps)
    while isinstance(step, httpx2.Request):
        try:
            response = http.send(step, auth=None)
        except httpx2.RequestError as error:
            raise unreachable(gateway, error) from None
        step = advance(steps, response)
    return step
