"""OpenID Connect Core 1.0 as a relying party: authorization code, PKCE, state and nonce.

Authlib makes the messages and judges the ID token's claims (`oidc_messages`, which is loaded when
somebody signs in); our own strict JWS judges its signature (three algorithms, never the one that a
header or a key would like), and `Outbound` calls the provider. What Authlib leaves to its caller is
asked here: exactly our audience, an `iss` in the callback where the provider promises one
(RFC 9207), and a sign-in that happened for us.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from starlette.concurrency import run_in_threadpool

from bailment import canonical
from bailment.access import jwk, jws
from bailment.control.outbound import Outbound, OutboundError
from bailment.errors import BailmentError, FormatError
from bailment.ledger.identity_records import ProviderRegistered

#: What is read of a provider's answer (RFC 6749 §4.1.2, RFC 9207).
ANSWER = ("code", "state", "iss", "error")

_MOST_KEYS = 64


class SignInFailed(BailmentError):
    """The sign-in came to nothing. The message is for the person; nothing in it is the provider's
    own text."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we prove to a provider who we are: a key of ours, or a secret that it gave us."""

    key: ec.EllipticCurvePrivateKey
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """A registered provider as it describes itself now."""

    registered: ProviderRegistered
    authorize: str
    token: str
    jwks: str
    #: RFC 9207: whether every callback names its issuer.
    names_itself: bool
    #: Whether it can be asked for single claims (OpenID Connect Core 1.0, section 5.5).
    takes_claims: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One sign-in that was asked for: when (ms), and the `acr` values that will do, if any."""

    redirect_uri: str
    started: int
    acr: tuple[str, ...]
    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls, redirect_uri: str, started: int, acr: tuple[str, ...]) -> Request:
        """With fresh secrets: 256 bits each."""
        fresh = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(redirect_uri, started, acr, *fresh)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What an ID token says, after it was believed; `token` is its SHA-256 in hex."""

    sub: str
    email: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    token: str


def description_url(issuer: str) -> str:
    """Where a provider describes itself (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


async def discover(outbound: Outbound, registered: ProviderRegistered) -> Provider:
    """The provider's own description (OpenID Connect Discovery 1.0, section 4).

    Raises SignInFailed; also where it calls itself something else than it was registered as.
    """
    found = await _get(outbound, description_url(registered.issuer), "description")
    if found.get("issuer") != registered.issuer:
        raise SignInFailed("the provider calls itself by another name than it was registered under")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    authorize, token, jwks = (str(found.get(name, "")) for name in names)
    for url in (authorize, token, jwks):
        try:
            outbound.check(url)
        except OutboundError:
            raise SignInFailed("the provider's description names no usable address") from None
    if "code" not in _texts(found, "response_types_supported", ("code",)):
        raise SignInFailed("the provider gives no authorization codes")
    names_itself, takes_claims = (
        found.get(f"{name}_parameter_supported") is True
        for name in ("authorization_response_iss", "claims")
    )
    return Provider(registered, authorize, token, jwks, names_itself, takes_claims)


async def authorize(provider: Provider, request: Request) -> str:
    """Where to send the browser.

    The person signs in anew: `prompt` asks for it, `max_age` has the provider say when it was.
    """
    await _load()
    from bailment.control import oidc_messages

    return oidc_messages.authorization_url(provider, request)


def code_of(provider: Provider, answer: Mapping[str, str]) -> str:
    """The code in what a browser came back with (`ANSWER`); SignInFailed if there is none, or if
    another provider answers than the one that was asked (RFC 9207)."""
    named = answer.get("iss")
    if named != provider.registered.issuer and (named is not None or provider.names_itself):
        raise SignInFailed("another provider answers than the one that was asked")
    code = answer.get("code", "")
    if "error" in answer or not 0 < len(code) <= 2048:
        raise SignInFailed("the provider did not let the person sign in")
    return code


async def redeem(
    outbound: Outbound,
    provider: Provider,
    request: Request,
    code: str,
    credentials: Credentials,
    now: int,
    skew: int,
) -> SignedIn:
    """Exchange the code, and believe the ID token or raise SignInFailed. Times in ms."""
    await _load()
    from bailment.control import oidc_messages

    url, headers, body = oidc_messages.token_request(provider, request, code, credentials, now)
    try:
        answer = await outbound.post(url, headers, body)
        keys = await _get(outbound, provider.jwks, "keys")
        tokens = canonical.parse_unique(answer.body)
    except OutboundError as error:
        raise SignInFailed(f"the provider cannot be asked: {error}") from None
    except FormatError:
        tokens = None
    id_token = tokens.get("id_token") if isinstance(tokens, dict) else None
    if answer.status != 200 or not isinstance(id_token, str):
        raise SignInFailed("the provider does not take the code that it gave")
    return believe(provider.registered, request, id_token, keys, now, skew)


def believe(
    registered: ProviderRegistered,
    request: Request,
    id_token: str,
    keys: dict[str, Any],
    now: int,
    skew: int,
) -> SignedIn:
    """What an ID token says (OpenID Connect Core 1.0, section 3.1.3.7); SignInFailed if any of it
    is not as it must be. `keys` is the provider's JWK set, times are in ms."""
    from bailment.control import oidc_messages

    header, payload = _verify(id_token, keys)
    oidc_messages.check_claims(registered, request, header, payload, now, skew)
    return _ours(registered, request, payload, id_token, now, skew)


def _ours(
    registered: ProviderRegistered,
    request: Request,
    claims: dict[str, Any],
    id_token: str,
    now: int,
    skew: int,
) -> SignedIn:
    """What Authlib leaves to its caller."""
    if claims["aud"] not in (registered.client, [registered.client]):
        raise SignInFailed("the provider's ID token is for somebody else too")
    if claims.get("azp", registered.client) != registered.client:
        raise SignInFailed("the provider's ID token was given to somebody else")
    times = [claims[name] for name in ("auth_time", "iat")]
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in times):
        raise SignInFailed("the provider's ID token has no whole times")
    signed_in, issued = (one * 1000 for one in times)
    if max(signed_in, issued) > now + skew:
        raise SignInFailed("the provider's ID token is from the future: one of the clocks is wrong")
    if min(signed_in, issued) < request.started - skew - 999:
        raise SignInFailed(
            "the provider did not have the person sign in again, or one of the clocks is wrong"
        )
    sub, acr, amr = claims["sub"], claims.get("acr", ""), claims.get("amr", [])
    if not _is_short(sub) or not sub or not _is_short(acr):
        raise SignInFailed("the provider's ID token names nobody")
    if not isinstance(amr, list) or len(amr) > 16 or not all(map(_is_short, amr)):
        raise SignInFailed("the provider's ID token does not say how the person signed in")
    if request.acr and acr not in request.acr:
        wanted = " or ".join(f"`{one}`" for one in request.acr)
        raise SignInFailed(
            f"the person has to sign in by {wanted}, and did by something else",
            hint="use a passkey or a security key, if your provider knows one of yours",
        )
    # An address that nobody verified may be anybody's.
    email = claims.get("email") if claims.get("email_verified") is True else ""
    told = str(email) if _is_short(email) else ""
    digest = sha256(id_token.encode()).hexdigest()
    return SignedIn(sub, told, signed_in, acr, tuple(amr), digest)


def _verify(id_token: str, keys: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that one of the keys signed, which is not one in the header."""
    try:
        signed = jws.parse(id_token)
        payload = canonical.parse_unique(signed.payload)
    except FormatError as error:
        raise SignInFailed(f"the provider's ID token cannot be read: {error}") from None
    if str(signed.header.get("typ", "JWT")).lower() != "jwt":
        raise SignInFailed("what the provider sent is no ID token but another kind")
    known = keys.get("keys")
    if not isinstance(payload, dict) or not isinstance(known, list):
        raise SignInFailed("the provider's ID token or its keys cannot be read")
    wanted = signed.header.get("kid")
    for one in known[:_MOST_KEYS]:
        if not isinstance(one, dict) or (wanted is not None and one.get("kid") != wanted):
            continue
        try:
            key = jwk.parse(one)
        except FormatError:
            continue  # of another kind: providers list keys for other uses beside it
        if jws.verify(signed, key):
            return signed.header, payload
    raise SignInFailed("none of the provider's keys signed its ID token")


async def _load() -> None:
    """Load Authlib beside the event loop, which it would keep for a while."""
    await run_in_threadpool(import_module, "bailment.control.oidc_messages")


async def _get(outbound: Outbound, url: str, what: str) -> dict[str, Any]:
    try:
        answer = await outbound.get(url)
        found = canonical.parse_unique(answer.body)
    except OutboundError as error:
        raise SignInFailed(f"the provider cannot be asked: {error}", hint=error.hint) from None
    except FormatError:
        found = None
    if answer.status != 200 or not isinstance(found, dict):
        raise SignInFailed(f"the provider at `{urlsplit(url).netloc}` tells no {what}")
    return found


def _texts(found: dict[str, Any], name: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    value = found.get(name, otherwise)
    return tuple(one for one in value if isinstance(one, str)) if value is not None else otherwise


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 255 and value.isprintable()
