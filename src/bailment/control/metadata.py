"""Authorization server metadata (RFC 8414): what the routes do, in one place."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from bailment.access.state import Indexed
from bailment.control.client_auth import CLIENT_GRANT, EXCHANGE_GRANT, JOB_GRANT
from bailment.control.requests import answer

PATH = "/.well-known/oauth-authorization-server"
TOKEN, INTROSPECT, REVOKE = "/oauth/token", "/oauth/introspect", "/oauth/revoke"
KEYS = "/oauth/keys"

_ALGORITHMS = ("ES256", "RS256", "PS256")
GRANTS = (CLIENT_GRANT, JOB_GRANT, EXCHANGE_GRANT)
_DEVICE = "private_key_jwt"
_CERTIFICATE = "tls_client_auth"


def metadata(register: Indexed, *, tls: bool) -> dict[str, object]:
    """The document. `tls`: certificates of devices are taken, on the same host as all else, so that
    there are no `mtls_endpoint_aliases` (RFC 8705 §5)."""
    url = register.state.url
    devices = [_DEVICE, *([_CERTIFICATE] if tls else ())]
    return {
        "issuer": url,
        "jwks_uri": url + KEYS,
        "token_endpoint": url + TOKEN,
        "introspection_endpoint": url + INTROSPECT,
        "revocation_endpoint": url + REVOKE,
        "grant_types_supported": list(GRANTS),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": devices,
        "token_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        # RFC 8414 §2 takes access token types here too: a reader's credential is a bearer token.
        "introspection_endpoint_auth_methods_supported": [*devices, "Bearer"],
        "introspection_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": devices,
        "revocation_endpoint_auth_signing_alg_values_supported": _ALGORITHMS,
        "dpop_signing_alg_values_supported": _ALGORITHMS,
        "authorization_details_types_supported": ["bailment_access"],
        "tls_client_certificate_bound_access_tokens": tls,
    }


class Metadata:
    """`GET` of the metadata, and of the key that tokens are signed with."""

    def __init__(self, register: Indexed, *, tls: bool) -> None:
        self._register = register
        self._tls = tls

    async def describe(self, request: Request) -> Response:
        """RFC 8414."""
        return answer(metadata(self._register, tls=self._tls))

    async def keys(self, request: Request) -> Response:
        """RFC 7517 §5."""
        key = self._register.key(self._register.state.issuer)
        return answer({"keys": [{**key.jwk, "alg": "ES256", "use": "sig", "kid": key.thumbprint}]})
