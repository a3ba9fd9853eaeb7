"""The token endpoint: who proves a key gets a token bound to it, on the record.

OAuth 2 client credentials (RFC 6749 §4.4) with a client assertion (RFC 7523) and DPoP (RFC 9449),
or with a certificate (RFC 8705); authorization details (RFC 9396). A workload brings a job token
in place of an assertion (RFC 7523 §2.1). The token lives at most five minutes and is worthless
until the log holds its record.
"""

from __future__ import annotations

import hashlib
import os
import secrets as entropy
from collections import deque
from collections.abc import Callable

import msgspec
import structlog
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from bailment.access import ratchet
from bailment.access.address import caller_address
from bailment.access.chain import Link, networks_of
from bailment.access.decision import issuable
from bailment.access.details import granted, outside, person_of, read_details
from bailment.access.holds import held
from bailment.access.proof import token_hash
from bailment.access.reasons import Reason, Refused
from bailment.access.signing_in import how_signed_in
from bailment.access.token import AccessDetail, Claims, sign_token
from bailment.clock import now_ms
from bailment.control.actions import Actions
from bailment.control.client_auth import Client, ClientAuth
from bailment.control.oauth_errors import oauth_error
from bailment.control.requests import answer
from bailment.control.workloads import Workloads
from bailment.detect.consequence import reason_for
from bailment.errors import BailmentError
from bailment.ledger.detection_records import FindingRaised
from bailment.ledger.records import TokenIssued
from bailment.store.refusals import Refusals
from bailment.store.sequencer import Sequenced

logger = structlog.get_logger("bailment.tokens")

#: Tokens that one device may fetch in the life of one.
_TOKENS_A_LIFE = 60
_ATTEMPTS = 20


class TokenEndpoint:
    """`POST /oauth/token`."""

    def __init__(
        self,
        actions: Actions,
        clients: ClientAuth,
        workloads: Workloads,
        refusals: Refusals,
        available: Callable[[], Refused | None],
        proxies: tuple[str, ...],
    ) -> None:
        self._actions = actions
        self._log = actions.log
        self._clients = clients
        self._workloads = workloads
        self._refusals = refusals
        self._available = available
        self._proxies = proxies
        self._issued: dict[str, deque[int]] = {}

    async def issue(self, request: Request) -> Response:
        """Answer one token request."""
        issued = await self._issue(request)
        contact = self._log.fold.register.policy.contact
        return oauth_error(issued, contact) if isinstance(issued, Refused) else answer(issued)

    async def _issue(self, request: Request) -> dict[str, object] | Refused:
        closed = self._available()
        if closed is not None:
            return closed
        client = await self._clients.authenticate(request, self._workloads.prove)
        if isinstance(client, Refused):
            return client
        detail = read_details(client.form.get("authorization_details", ""))
        if isinstance(detail, Refused):
            return detail
        if not self._within_rate(client.id):
            return Refused(Reason.OVERLOADED, "this client fetches tokens too often: reuse them")
        peer = request.client.host if request.client else ""
        address = caller_address(peer, request.scope["headers"], self._proxies)
        return await self._grant(client, detail, address)

    async def _grant(
        self, client: Client, detail: AccessDetail, address: str
    ) -> dict[str, object] | Refused:
        """Decide, sign, and put the token on the record."""
        register = self._log.fold.register
        # A workload's key is as old as its job, so that nobody has held it for long enough to copy.
        handle = entropy.token_urlsafe(32) if _has_line(client) else ""
        for _ in range(_ATTEMPTS):
            now = self._log.sequencer.time
            path = register.path(register.link_of.get(client.id, ""))
            blocks = (*register.networks, *(detail.networks or ()))
            token, facts = self._token(client, detail, now, path, networks_of(address, blocks))
            facts = _with_handle(facts, client, handle)
            allowed = (
                client.stale(now, register.policy)
                or outside(detail, path)
                or issuable(facts, register, now)
            )
            if isinstance(allowed, Refused):
                await self._refusals.record(allowed, facts, action="token")
                return allowed
            draft = self._log.sequencer.draft(
                facts, allowed.recipient, epoch=allowed.epoch, replay=client.replay
            )
            appended = await self._log.sequencer.append(draft)
            if isinstance(appended, Sequenced):
                shown = granted(detail, facts, path, register, now)
                return {
                    "access_token": token,
                    "token_type": "Bearer" if client.certificate else "DPoP",
                    "expires_in": (facts.until - facts.issued) // 1000,
                    "authorization_details": [shown],
                    **({"ratchet": handle} if handle else {}),
                    **client.issued,
                }
            if isinstance(appended, Refused):
                await self._notice(appended, facts)
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
        register = self._log.fold.register
        seconds = now // 1000
        until = seconds + register.policy.token_ms // 1000
        person = person_of(path)
        links = tuple(link.id for link in path)
        claims = Claims(
            iss=register.state.url,
            aud=register.state.url,
            sub=client.id if _is_workload(client) else person,
            client_id=client.id,
            iat=seconds,
            exp=until,
            jti=os.urandom(16).hex(),
            cnf=client.confirmation,
            lnk=links,
            key_class=client.key_class,
            authorization_details=(detail,),
        )
        token = sign_token(claims, self._actions.secrets.issuer)
        facts = TokenIssued(
            token_hash(token),
            client.id,
            person,
            links,
            tuple(detail.models),
            detail.purpose,
            client.key_class,
            client.thumbprint,
            seconds * 1000,
            until * 1000,
            now,
            client.proof.compact if client.proof is not None else "",
            hashlib.sha256(client.body).hexdigest(),
            networks,
            certificate=client.certificate or UNSET,
            budget=detail.budget,
            within=detail.networks,
            job=client.job,
            signed_in=how_signed_in(register, path),
        )
        return token, facts

    async def _notice(self, refused: Refused, facts: TokenIssued) -> None:
        """Of a token that the log did not take: a fork of its line ends the line, and suspends the
        device, whoever holds its key."""
        if refused.reason is not Reason.RATCHET_FORKED:
            return
        await self._refusals.record(refused, facts, action="token")
        line = self._log.fold.admission.lines.get(facts.device)
        subject, now = f"device:{facts.device}", self._log.sequencer.time
        if line is None or line.forked:
            return
        sentence = (
            "a token was asked for with a handle that is not the last one given to the device: "
            "somebody else may hold its key"
        )
        told = (os.urandom(16).hex(), ratchet.FORKED, sentence, now, now)
        finding = FindingRaised(*told, subject=subject, severity="critical")  # held below
        try:
            await self._actions.append(lambda now: finding)
            if not held(self._log.fold.register, [subject], now):
                reason = f"{reason_for(finding)}: two may hold this device's key; it enrols anew"
                await self._actions.hold(subject, reason, "bailment")
        except BailmentError as error:  # the line is over all the same
            logger.error("a forked device is not on hold", device=facts.device, why=str(error))

    def _within_rate(self, device: str) -> bool:
        now = now_ms()
        times = self._issued.setdefault(device, deque())
        while times and times[0] <= now - self._log.fold.register.policy.token_ms:
            times.popleft()
        if len(times) >= _TOKENS_A_LIFE:
            return False
        times.append(now)
        return True


def _is_workload(client: Client) -> bool:
    return client.job is not UNSET


def _has_line(client: Client) -> bool:
    """Whether its tokens are one line: a key in a file can be copied, and so can one of which only
    the device itself says that it is not."""
    return client.key_class != "hw-attested" and not _is_workload(client)


def _with_handle(facts: TokenIssued, client: Client, handle: str) -> TokenIssued:
    if not handle:
        return facts
    return msgspec.structs.replace(
        facts,
        ratchet=_hash(handle),
        previous=_hash(client.shown) if client.shown else UNSET,
    )


def _hash(handle: str) -> str:
    return hashlib.sha256(handle.encode()).hexdigest()
