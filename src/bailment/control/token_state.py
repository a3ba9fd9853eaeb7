"""What becomes of a token once it was issued: introspection (RFC 7662), revocation (RFC 7009)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.decision import issuable
from bailment.access.proof import token_hash
from bailment.access.reasons import Reason, Refused
from bailment.access.token import Claims, read_claims
from bailment.control.actions import Actions, Denied
from bailment.control.client_auth import ClientAuth, read_form
from bailment.control.oauth_errors import oauth_error
from bailment.control.requests import answer, bears, bounded_body
from bailment.ledger.identity_records import TokenRevoked
from bailment.ledger.records import TokenIssued

#: Of an assertion that does not hold and of none at all the same is said.
_WHO = Refused(Reason.CLIENT_ASSERTION)


class TokenState:
    """`POST /oauth/introspect` and `POST /oauth/revoke`.

    `readers` are the SHA-256 (hex) of the credentials of resource servers and auditors, who may
    learn of every token; a device learns of its own alone.
    """

    def __init__(
        self,
        actions: Actions,
        clients: ClientAuth,
        readers: Iterable[str],
        available: Callable[[], Refused | None],
    ) -> None:
        self._actions = actions
        self._fold = actions.log.fold
        self._clients = clients
        self._readers = tuple(readers)
        self._available = available

    async def introspect(self, request: Request) -> Response:
        """Whether a token is good for anything now, and what it says."""
        asked = await self._asked(request)
        if isinstance(asked, Refused):
            return self._refusal(asked)
        who, token = asked
        issued = self._fold.admission.token(token_hash(token))
        if issued is None or (who and issued.device != who) or not self._good(issued):
            return answer({"active": False})
        claims = read_claims(token)
        return answer(_told(claims) if isinstance(claims, Claims) else {"active": False})

    async def revoke(self, request: Request) -> Response:
        """End a token. One that is unknown or over is as good as revoked: 200 as well."""
        asked = await self._asked(request, readers=False)
        if isinstance(asked, Refused):
            return self._refusal(asked)
        who, token = asked
        name = token_hash(token)
        issued = self._fold.admission.token(name)
        if issued is None or name in self._fold.register.state.revoked:
            return answer({})
        if issued.device != who:
            return self._refusal(Refused(Reason.TOKEN_UNTRUSTED, "the token is another client's"))
        facts = TokenRevoked(name, who, "its client asked for it", f"device:{who}")
        try:
            await self._actions.append(lambda now: facts, urgent=True)
        except Denied as denied:
            if name not in self._fold.register.state.revoked:  # by another request meanwhile
                return self._refusal(denied.refused)
        return answer({})

    async def _asked(self, request: Request, *, readers: bool = True) -> tuple[str, str] | Refused:
        """Who asks (empty: who may learn of every token) about which token."""
        if (closed := self._available()) is not None:
            return closed
        if "authorization" in request.headers:
            if not (readers and bears(request, self._readers)):
                return _WHO
            body = await bounded_body(request)
            form = body if isinstance(body, Refused) else read_form(body)
            who = ""
        else:
            found = await self._clients.recognise(request)
            if isinstance(found, Refused):
                return _WHO if found.reason is Reason.CLIENT_ASSERTION else found
            who, form = found[0].device, found[1]
        if isinstance(form, Refused):
            return form
        token = form.get("token", "")
        if not token or not token.isascii():
            return Refused(Reason.BODY_MALFORMED, "`token` is missing")
        return who, token

    def _good(self, issued: TokenIssued) -> bool:
        """Whether anything could be done by the token now from where it was asked for."""
        now = self._actions.log.sequencer.time
        return now < issued.until and not isinstance(
            issuable(issued, self._fold.register, now), Refused
        )

    def _refusal(self, refused: Refused) -> Response:
        response = oauth_error(refused, self._fold.register.policy.contact)
        if response.status_code == 401:
            response.headers["www-authenticate"] = "Bearer"
        return response


def _told(claims: Claims) -> dict[str, object]:
    """RFC 7662 §2.2, RFC 9449 §6.2, RFC 8705 §3.2, RFC 9396 §9.2."""
    return {
        "active": True,
        "token_type": "DPoP" if claims.cnf.certificate is UNSET else "Bearer",
        "iss": claims.iss,
        "aud": claims.aud,
        "sub": claims.sub,
        "client_id": claims.client_id,
        "iat": claims.iat,
        "exp": claims.exp,
        "jti": claims.jti,
        "cnf": claims.cnf,
        "lnk": claims.lnk,
        "key_class": claims.key_class,
        "authorization_details": claims.authorization_details,
    }
