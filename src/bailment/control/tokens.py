"""The token endpoint: a device that proves its key gets a token bound to it, on the record.

OAuth 2 client credentials (RFC 6749 §4.4) with a client assertion (RFC 7523), DPoP (RFC 9449)
and authorization details (RFC 9396). The device's key must sign all of it; the token lives at
most five minutes and is worthless until the log holds its record.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bailment import canonical
from bailment.access.address import caller_address
from bailment.access.admission import Stale
from bailment.access.answers import ANSWERS, detail_for
from bailment.access.chain import Link, networks_of
from bailment.access.decision import issuable
from bailment.access.nonce import Nonces
from bailment.access.proof import check_time, replay_key, token_hash
from bailment.access.reasons import Reason, Refused
from bailment.access.token import AccessDetail, Claims, Confirmation, Details, sign_token
from bailment.clock import now_ms
from bailment.control.client_auth import Client, ClientAuth
from bailment.control.requests import answer
from bailment.errors import FormatError
from bailment.ledger.records import TokenIssued
from bailment.store.log import Log
from bailment.store.refusals import Refusals
from bailment.store.secrets import Secrets
from bailment.store.sequencer import Sequenced

#: Tokens that one device may fetch in the life of one.
_TOKENS_A_LIFE = 60
_ATTEMPTS = 20

#: RFC 6749 §5.2, RFC 9449 §5 and RFC 9396 §5 codes by reason; the rest is `invalid_grant`.
_ERRORS = {
    Reason.PROOF_NONCE: "use_dpop_nonce",
    Reason.CLIENT_ASSERTION: "invalid_client",
    Reason.BODY_MALFORMED: "invalid_request",
    Reason.BODY_TOO_LARGE: "invalid_request",
    Reason.PURPOSE_OUTSIDE_CHAIN: "invalid_authorization_details",
    Reason.MODEL_OUTSIDE_CHAIN: "invalid_authorization_details",
    Reason.LOG_UNAVAILABLE: "temporarily_unavailable",
    Reason.DISK_RESERVE: "temporarily_unavailable",
    Reason.CLOCK_BEHIND: "temporarily_unavailable",
    Reason.OVERLOADED: "slow_down",
}


class TokenEndpoint:
    """`POST /oauth/token`."""

    def __init__(
        self,
        log: Log,
        secrets: Secrets,
        nonces: Nonces,
        refusals: Refusals,
        available: Callable[[], Refused | None],
        proxies: tuple[str, ...],
    ) -> None:
        self._log = log
        self._secrets = secrets
        self._clients = ClientAuth(log.fold, nonces)
        self._refusals = refusals
        self._available = available
        self._proxies = proxies
        self._issued: dict[str, deque[int]] = {}

    async def issue(self, request: Request) -> Response:
        """Answer one token request."""
        issued = await self._issue(request)
        contact = self._log.fold.register.policy.contact
        return _error(issued, contact) if isinstance(issued, Refused) else answer(issued)

    async def _issue(self, request: Request) -> dict[str, object] | Refused:
        closed = self._available()
        if closed is not None:
            return closed
        client = await self._clients.authenticate(request)
        if isinstance(client, Refused):
            return client
        if client.form.get("grant_type") != "client_credentials":
            return Refused(Reason.BODY_MALFORMED, "`grant_type` must be `client_credentials`")
        detail = _detail(client.form.get("authorization_details", ""))
        if isinstance(detail, Refused):
            return detail
        if not self._within_rate(client.device.device):
            return Refused(Reason.OVERLOADED, "this device fetches tokens too often: reuse them")
        peer = request.client.host if request.client else ""
        address = caller_address(peer, request.scope["headers"], self._proxies)
        return await self._grant(client, detail, address)

    async def _grant(
        self, client: Client, detail: AccessDetail, address: str
    ) -> dict[str, object] | Refused:
        """Decide, sign, and put the token on the record."""
        register = self._log.fold.register
        for _ in range(_ATTEMPTS):
            now = self._log.sequencer.time
            path = register.path(register.link_of.get(client.device.device, ""))
            networks = networks_of(address, register.networks)
            token, facts = self._token(client, detail, now, path, networks)
            allowed = check_time(
                client.proof,
                now_ms=now,
                lifetime_ms=register.policy.proof_ms,
                skew_ms=register.policy.skew_ms,
            ) or issuable(facts, register, now)
            if isinstance(allowed, Refused):
                await self._refusals.record(allowed, facts, action="token")
                return allowed
            draft = self._log.sequencer.draft(
                facts,
                allowed.recipient,
                epoch=allowed.epoch,
                replay=replay_key(client.proof.thumbprint, client.proof.claims.jti),
            )
            appended = await self._log.sequencer.append(draft)
            if isinstance(appended, Sequenced):
                return {
                    "access_token": token,
                    "token_type": "DPoP",
                    "expires_in": (facts.until - facts.issued) // 1000,
                    "authorization_details": [detail],
                }
            if not isinstance(appended, Stale):
                return appended
        return Refused(Reason.LOG_UNAVAILABLE, "the register did not come to rest")

    def _token(
        self,
        client: Client,
        detail: AccessDetail,
        now: int,
        path: list[Link],
        networks: tuple[str, ...],
    ) -> tuple[str, TokenIssued]:
        """The signed token and the record that it will live by."""
        register, device = self._log.fold.register, client.device
        seconds = now // 1000
        until = seconds + register.policy.token_ms // 1000
        person = next((link.subject for link in path if link.kind == "person"), "")
        links = tuple(link.id for link in path)
        claims = Claims(
            iss=register.state.url,
            aud=register.state.url,
            sub=person,
            client_id=device.device,
            iat=seconds,
            exp=until,
            jti=os.urandom(16).hex(),
            cnf=Confirmation(client.proof.thumbprint),
            lnk=links,
            key_class=device.key_class,
            authorization_details=(detail,),
        )
        token = sign_token(claims, self._secrets.issuer)
        facts = TokenIssued(
            token_hash(token),
            device.device,
            person,
            links,
            tuple(detail.models),
            detail.purpose,
            device.key_class,
            client.proof.thumbprint,
            seconds * 1000,
            until * 1000,
            now,
            client.proof.compact,
            hashlib.sha256(client.body).hexdigest(),
            networks,
        )
        return token, facts

    def _within_rate(self, device: str) -> bool:
        now = now_ms()
        times = self._issued.setdefault(device, deque())
        while times and times[0] <= now - self._log.fold.register.policy.token_ms:
            times.popleft()
        if len(times) >= _TOKENS_A_LIFE:
            return False
        times.append(now)
        return True


def _detail(text: str) -> AccessDetail | Refused:
    try:
        return msgspec.convert(canonical.parse_unique(text.encode()), Details)[0]
    except (FormatError, msgspec.ValidationError) as error:
        return Refused(Reason.BODY_MALFORMED, f"`authorization_details` is wrong: {error}")


def _error(refused: Refused, contact: str) -> Response:
    """RFC 6749 §5.2: 400 for all but a client that is not authenticated, and for our own state."""
    error = _ERRORS.get(refused.reason)
    if error is None:
        error = "invalid_dpop_proof" if refused.reason.startswith("proof") else "invalid_grant"
    found = ANSWERS[refused.reason]
    detail = detail_for(refused, verified=True, contact=contact)
    own = error in ("invalid_client", "temporarily_unavailable", "slow_down")
    return answer(
        {
            "error": error,
            "error_description": f"{found.title}: {detail}" if detail else found.title,
            "reason": refused.reason.value,
        },
        found.status if own else 400,
    )
