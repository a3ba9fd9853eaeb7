"""The protocol client: enrolment, tokens, and signed calls to the control plane."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time
from types import TracebackType
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access.enrolment import code_of
from bailment.agent import profile as profiles
from bailment.agent.answers import GatewayRefused, GatewayUnreachable, read_answer, refusal
from bailment.agent.attesting import attested
from bailment.agent.place import Place, key_for
from bailment.agent.profile import Device, Id, Profile
from bailment.agent.signer import Flow, Signer, advance
from bailment.agent.tokens import Tokens
from bailment.agent.tpm_key import TpmKey
from bailment.errors import ConfigurationError, VerificationError
from bailment.ledger.records import KeyClass

T = TypeVar("T")

Clock = Callable[[], float]
_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)


class Pending(msgspec.Struct, frozen=True):
    """The answer to an enrolment: `code` is what the person tells the confirming admin."""

    device: Id
    person: Id
    code: str
    expires: Annotated[int, msgspec.Meta(ge=0)]
    key_class: KeyClass = "software"


class Status(msgspec.Struct, frozen=True):
    """The answer to a device's question whether it was confirmed; `canaries` are among `models`."""

    status: Literal["pending", "active", "expired"]
    purposes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()


class GatewayClient:
    """Signed calls with one key to one gateway."""

    def __init__(self, gateway: str, key: ec.EllipticCurvePrivateKey, clock: Clock = time) -> None:
        self.gateway = gateway
        self.signer = Signer(key, clock)
        self._http = http_client(gateway, timeout=_TIMEOUT)

    async def __aenter__(self) -> GatewayClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, kind: type[T]) -> T:
        """The answer to a signed GET. Raises GatewayRefused, GatewayUnreachable, FormatError."""
        return await self._call(lambda: httpx2.Request("GET", self.gateway + path), kind)

    async def post(self, path: str, body: object, kind: type[T]) -> T:
        """The answer to a signed POST of `body` as JSON; raises the same."""
        return await self.send(path, msgspec.json.encode(body), "application/json", kind)

    async def send(self, path: str, content: bytes, media_type: str, kind: type[T]) -> T:
        """The answer to a signed POST of `content` as it is; raises the same."""
        headers = {"content-type": media_type}
        return await self._call(
            lambda: httpx2.Request("POST", self.gateway + path, headers=headers, content=content),
            kind,
        )

    async def token(self, tokens: Tokens) -> str:
        """A new access token; raises the same."""
        return await obtain(self._http, self.gateway, tokens)

    async def _call(self, build: Callable[[], httpx2.Request], kind: type[T]) -> T:
        flow = self.signer.flow(build)
        return read_answer(await _drive(self._http, self.gateway, flow), kind)


#: What signs the person in, for an invitation's code, before the device may enrol.
SignsIn = Callable[["GatewayClient", str], Awaitable[object]]


async def enrol(
    invitation_url: str,
    folder: Path,
    name: str,
    *,
    clock: Clock = time,
    sign_in: SignsIn | None = None,
    place: Place = "software",
    tell: Callable[[str], None] = lambda sentence: None,
) -> Pending:
    """Enrol this device under the invitation `<gateway>/enrol#<code>` with a key made here.

    Leaves a profile with status `pending` in `folder`. `tell` is told where the key is, and why.
    Raises VerificationError if the gateway shows another code than that of our key: then somebody
    stands between. TpmError if the key is to be in a TPM, and cannot.
    """
    gateway, invitation = _read_invitation(invitation_url)
    key, where = key_for(folder, place)
    tell(where)
    async with GatewayClient(gateway, key, clock) as client:
        body: dict[str, object] = {"invitation": invitation, "key_class": "software", "name": name}
        try:
            if sign_in is not None:
                await sign_in(client, invitation)
            if isinstance(key, TpmKey):
                body |= await attested(client, key, invitation, tell)
            pending = await client.post("/enrol/requests", body, Pending)
        except GatewayRefused as refused:
            refused.hint = refused.hint or "ask your organisation's admin for a new invitation"
            raise
        if pending.code != code_of(client.signer.public.thumbprint):
            raise VerificationError(
                f"the gateway shows the code `{pending.code[:40]}`, which is not this key's",
                hint="do not have it confirmed; tell the issuer",
            )
    enrolled = Profile(
        gateway=gateway,
        device=pending.device,
        person=pending.person,
        key_class=pending.key_class,
        status="pending",
    )
    profiles.save(Device(folder, enrolled, key))
    return pending


async def wait_until_active(folder: Path, poll: float = 2.0, *, clock: Clock = time) -> Device:
    """Ask every `poll` seconds until the device was confirmed, and note what it may use.

    Raises GatewayRefused, and leaves no profile, if it was not confirmed in time.
    """
    device = profiles.load(folder)
    async with GatewayClient(device.profile.gateway, device.key, clock) as client:
        while True:
            answer = await client.get(f"/enrol/requests/{device.profile.device}", Status)
            if answer.status != "pending":
                break
            await anyio.sleep(poll)
    if answer.status == "expired":
        profiles.forget(folder)
        raise GatewayRefused(
            "link-expired",
            "the enrolment was not confirmed in time",
            hint="ask your organisation's admin for a new invitation and enrol again",
        )
    active = msgspec.structs.replace(
        device.profile, status="active", purposes=answer.purposes, models=answer.models
    )
    profiles.save(confirmed := Device(folder, active, device.key))
    return confirmed


async def fetch_token(
    device: Device, purpose: str, models: tuple[str, ...] = (), *, clock: Clock = time
) -> str:
    """A new access token; worthless without the device's key."""
    async with GatewayClient(device.profile.gateway, device.key, clock) as client:
        tokens = Tokens(device, client.signer, purpose, models)
        return await client.token(tokens)


async def obtain(http: httpx2.AsyncClient, gateway: str, tokens: Tokens) -> str:
    """A new access token, which `tokens` keeps.

    Raises GatewayRefused, GatewayUnreachable, FormatError.
    """
    async with tokens.ratchet.held_async():
        fetched = await _drive(http, gateway, tokens.fetch())
    if isinstance(fetched, httpx2.Response):
        raise refusal(fetched)
    return fetched


def http_client(gateway: str, **options: object) -> httpx2.AsyncClient:
    """A client for a gateway, with the options of `transport`."""
    return httpx2.AsyncClient(**transport(gateway), **options)  # type: ignore[arg-type]


def transport(gateway: str) -> dict[str, Any]:
    """What a client for a gateway asks: no proxies of the environment for a loopback one, whose
    certificate may be signed by an authority of `SSL_CERT_FILE` all the same."""
    url = urlsplit(gateway)
    verify = httpx2.create_ssl_context() if url.scheme == "https" else True
    return {"trust_env": not profiles.is_loopback(url.hostname or ""), "verify": verify}


def unreachable(gateway: str, error: Exception) -> GatewayUnreachable:
    """The error for a gateway that did not answer."""
    why = str(error) or type(error).__name__
    return GatewayUnreachable(
        f"cannot reach the gateway `{gateway}`: {why[:200].lower()}",
        hint="check the network, and that the gateway runs",
    )


async def _drive(http: httpx2.AsyncClient, gateway: str, steps: Flow[T]) -> T:
    """Send what a flow asks for until it ends."""
    step = advance(steps)
    while isinstance(step, httpx2.Request):
        try:
            response = await http.send(step, auth=None)
        except httpx2.RequestError as error:
            raise unreachable(gateway, error) from None
        step = advance(steps, response)
    return step


def _read_invitation(url: str) -> tuple[str, str]:
    """The gateway and the code in an invitation."""
    base, mark, code = url.strip().partition("/enrol#")
    if not mark or not code or len(code) > 200 or not code.isascii() or not code.isprintable():
        raise ConfigurationError(
            "the invitation is not a URL like https://gateway.example/enrol#CODE",
            hint="copy all of it; `bailment enrol` asks for it, or reads it with `-`",
        )
    return profiles.gateway_url(base), code
