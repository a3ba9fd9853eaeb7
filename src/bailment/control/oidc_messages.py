"""The messages of OpenID Connect Core 1.0 by Authlib: what we ask for, and what ID tokens claim.

For `oidc`, which loads this when somebody signs in.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from bailment.control.oidc import Credentials, Provider, Request, SignInFailed
from bailment.ledger.identity_records import ProviderRegistered

_FORM = "application/x-www-form-urlencoded"
#: In the ID token itself, and not where one would have to ask for it once more.
_EMAIL = '{"id_token":{"email":{"essential":true},"email_verified":{"essential":true}}}'


def authorization_url(provider: Provider, request: Request) -> str:
    """Where a browser asks for a code (section 3.1.2.1)."""
    url, _ = _client(provider, request).create_authorization_url(
        provider.authorize,
        state=request.state,
        code_verifier=request.verifier,
        nonce=request.nonce,
        prompt="login",
        max_age="0",
        acr_values=" ".join(request.acr) or None,
        claims=_EMAIL if provider.takes_claims and provider.registered.claim == "email" else None,
    )
    return str(url)


def token_request(
    provider: Provider, request: Request, code: str, credentials: Credentials, now: int
) -> tuple[str, dict[str, str], bytes]:
    """The request that exchanges a code (section 3.1.3.1): URL, headers and body."""
    form = prepare_token_request(
        "authorization_code",
        code=code,
        redirect_uri=request.redirect_uri,
        code_verifier=request.verifier,
    )
    auth, client = provider.registered.auth, _client(provider, request)
    if auth == "private_key_jwt":
        client.client_secret = key = ECKey.import_key(credentials.key)
        # The audience is the provider's own name alone (OpenID Foundation, January 2025).
        times, kid = {"iat": now // 1000, "exp": now // 1000 + 60}, {"kid": key.thumbprint()}
        method = PrivateKeyJWT(provider.registered.issuer, times, kid, alg="ES256")
        client.register_client_auth_method(method)
    elif auth == "client_secret_basic":  # which Authlib does not encode as RFC 6749, 2.3.1, says
        client.client_id = quote(client.client_id, safe="")
        client.client_secret = quote(credentials.secret, safe="")
    url, headers, body = client.client_auth(auth).prepare(
        "POST", provider.token, {"content-type": _FORM}, form
    )
    return str(url), dict(headers), body.encode()


def check_claims(
    registered: ProviderRegistered,
    request: Request,
    header: dict[str, Any],
    payload: dict[str, Any],
    now: int,
    skew: int,
) -> None:
    """SignInFailed unless an ID token says what it must (section 3.1.3.7); times in ms."""
    claims = CodeIDToken(
        payload,
        header,
        {
            "iss": {"essential": True, "value": registered.issuer},
            "aud": {"essential": True},
            "sub": {"essential": True},
            "nonce": {"essential": True, "value": request.nonce},
            "auth_time": {"essential": True},
        },
        {"nonce": request.nonce, "client_id": registered.client, "max_age": 1},
    )
    try:
        claims.validate(now // 1000, skew // 1000)
    except (JoseError, OAuth2Error, ValueError, TypeError) as error:
        what = getattr(error, "description", "") or type(error).__name__
        raise SignInFailed(
            f"the provider's ID token does not hold: {what[:80].lower()}",
            hint="if it is about a time, one of the two clocks is wrong",
        ) from None


def _client(provider: Provider, request: Request) -> OAuth2Client:
    """Authlib's client, which only makes messages here: it has no session to send them by."""
    registered = provider.registered
    return OAuth2Client(
        None,
        client_id=registered.client,
        token_endpoint_auth_method=registered.auth,
        scope="openid email" if registered.claim == "email" else "openid",
        redirect_uri=request.redirect_uri,
        code_challenge_method="S256",
    )
