"""Who asks the token endpoint: a device that proves its key, and what a token is bound to.

`private_key_jwt` (RFC 7523): a client assertion and a DPoP proof by the device's key; where no
token is asked for there need be no proof, and the assertion is good once. `tls_client_auth`
(RFC 8705 §2): a connection that was made with the device's certificate, which needs no assertion.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from msgspec import UNSET, UnsetType
from starlette.requests import Request

from bailment.access.assertion import MAX_LIFETIME_S, TYPE_URI, Assertion, verify_assertion
from bailment.access.certificate import certificate_of, presented_certificate
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.proof import Proof, check_time, replay_key
from bailment.access.reasons import Reason, Refused
from bailment.access.token import Confirmation
from bailment.clock import now_ms
from bailment.control.requests import Proven, bounded_body, proven
from bailment.ledger.records import EnrolmentRequested, KeyClass, Policy

#: RFC 6749 §4.4, RFC 7523 §2.1, RFC 8693 §2.1.
CLIENT_GRANT, JOB_GRANT = "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
#: Assertions that are remembered; one more, and the oldest is forgotten.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Client:
    """A device or a workload that is who it says, and the form that it sent.

    proof         its DPoP proof, to whose key a token is bound, or None
    certificate   that of its connection (`x5t#S256`), to which a token is bound, or empty
    thumbprint    that of the device's key
    shown         the handle that came with its last token, empty if it showed none
    job           of a workload: what its job token is known again by
    issued        what the answer says beside the token, by the grant that it came with
    """

    id: str
    key_class: KeyClass
    form: dict[str, str]
    body: bytes
    thumbprint: str
    proof: Proof | None = None
    certificate: str = ""
    shown: str = ""
    job: str | UnsetType = UNSET
    issued: dict[str, str] = field(default_factory=dict)

    @property
    def confirmation(self) -> Confirmation:
        """What a token is bound to (RFC 7800)."""
        if self.certificate:
            return Confirmation(certificate=self.certificate)
        return Confirmation(jkt=self.thumbprint)

    @property
    def replay(self) -> bytes:
        """The replay key of the proof; empty without one."""
        return b"" if self.proof is None else replay_key(self.thumbprint, self.proof.claims.jti)

    def stale(self, now: int, policy: Policy) -> Refused | None:
        """Why the proof is not of this moment any more, if there is one."""
        if self.proof is None:
            return None
        return check_time(
            self.proof, now_ms=now, lifetime_ms=policy.proof_ms, skew_ms=policy.skew_ms
        )


#: Who a workload is, by the job token in its form and its proof.
Job = Callable[[dict[str, str], Proven], Awaitable[Client | Refused]]


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """RFC 6749 §2.3, for every endpoint that takes a form from a device."""

    fold: Fold
    nonces: Nonces
    _seen: OrderedDict[bytes, int] = field(default_factory=OrderedDict)

    async def authenticate(self, request: Request, job: Job) -> Client | Refused:
        """The device, or by the grant of `job` the workload, behind a request for a token."""
        if (certificate := presented_certificate(request.scope)) and not _has_proof(request):
            return await self._connected(request, certificate)
        sent = await proven(request, self.fold, self.nonces, digest=False)
        if isinstance(sent, Refused):
            return sent
        form = read_form(sent.body)
        if isinstance(form, Refused):
            return form
        if form.get("grant_type") in (JOB_GRANT, EXCHANGE_GRANT):
            return await job(form, sent)
        return _other_grant(form) or self._prove(form, sent)

    def _prove(self, form: dict[str, str], sent: Proven) -> Client | Refused:
        """The device, if assertion and proof are by its key."""
        found = self._asserted(form, sent.proof)
        if isinstance(found, Refused):
            return found
        device, assertion = found
        self._use(device, assertion)
        shown = assertion.ratchet or ""
        thumbprint = sent.proof.thumbprint
        return Client(
            device.device, device.key_class, form, sent.body, thumbprint, sent.proof, shown=shown
        )

    async def _connected(self, request: Request, certificate: str) -> Client | Refused:
        """The device whose certificate the connection was made with."""
        body = await bounded_body(request)
        form = body if isinstance(body, Refused) else read_form(body)
        if isinstance(body, Refused):
            return body
        if isinstance(form, Refused):
            return form
        if (other := _other_grant(form)) is not None:
            return other
        device, shown = self._certified(form, certificate), form.get("ratchet", "")
        if isinstance(device, Refused):
            return device
        if "client_assertion" in form:
            found = self._asserted(form, None)
            if isinstance(found, Refused):
                return found
            shown = found[1].ratchet or ""
        thumbprint = self.fold.register.key(device.key).thumbprint
        return Client(
            device.device, device.key_class, form, body, thumbprint, None, certificate, shown
        )

    async def recognise(
        self, request: Request
    ) -> tuple[EnrolmentRequested, dict[str, str]] | Refused:
        """The device behind a request for no token, and its form.

        A DPoP proof is not needed; one that comes must hold.
        """
        sent: Proven | bytes | Refused
        if _has_proof(request):
            sent = await proven(request, self.fold, self.nonces, digest=False)
        else:
            sent = await bounded_body(request)
        if isinstance(sent, Refused):
            return sent
        form = read_form(sent if isinstance(sent, bytes) else sent.body)
        if isinstance(form, Refused):
            return form
        certificate = presented_certificate(request.scope)
        if certificate and "client_assertion" not in form:
            device = self._certified(form, certificate)
            return device if isinstance(device, Refused) else (device, form)
        found = self._asserted(form, None if isinstance(sent, bytes) else sent.proof)
        if isinstance(found, Refused):
            return found
        if not self._use(*found):
            return Refused(Reason.CLIENT_ASSERTION, "the assertion has been used")
        return found[0], form

    def _certified(self, form: dict[str, str], certificate: str) -> EnrolmentRequested | Refused:
        """The device that the form names, if this certificate is its."""
        register, name = self.fold.register, form.get("client_id", "")
        device = register.state.devices.get(name)
        if device is None or certificate_of(register, name, certificate) is None:
            return Refused(Reason.CERTIFICATE_OTHER, "the certificate is not this client's")
        return device

    def _asserted(
        self, form: dict[str, str], proof: Proof | None
    ) -> tuple[EnrolmentRequested, Assertion] | Refused:
        """The device that the assertion is by, as is the proof if there is one."""
        if form.get("client_assertion_type") != TYPE_URI:
            return Refused(Reason.CLIENT_ASSERTION, f"`client_assertion_type`: `{TYPE_URI}`")
        register = self.fold.register
        device = register.state.devices.get(form.get("client_id", ""))
        if device is None:
            return Refused(Reason.CLIENT_ASSERTION, "the client is unknown")
        key = register.key(device.key)
        if proof is not None and proof.thumbprint != key.thumbprint:
            return Refused(Reason.PROOF_KEY, "the proof is by another key than the device's")
        checked = verify_assertion(
            form.get("client_assertion", ""),
            key,
            device=device.device,
            audience=register.state.url,
            now_ms=now_ms(),
            skew_ms=register.policy.skew_ms,
        )
        return checked if isinstance(checked, Refused) else (device, checked)

    def _use(self, device: EnrolmentRequested, assertion: Assertion) -> bool:
        """Remember an assertion for as long as it is good; whether it is new.

        A process that starts has forgotten those of the one before: a replay within that minute
        reads a token's state, or revokes what is revoked.
        """
        now, skew = now_ms(), self.fold.register.policy.skew_ms
        while self._seen and (
            next(iter(self._seen.values())) <= now or len(self._seen) >= _REMEMBERED
        ):
            self._seen.popitem(last=False)
        name = replay_key(device.device, assertion.jti)
        new = name not in self._seen
        self._seen.setdefault(name, now + MAX_LIFETIME_S * 1000 + 2 * skew)
        return new


def _other_grant(form: dict[str, str]) -> Refused | None:
    if form.get("grant_type") == CLIENT_GRANT:
        return None
    return Refused(Reason.BODY_MALFORMED, f"`grant_type` must be `{CLIENT_GRANT}`")


def _has_proof(request: Request) -> bool:
    return "dpop" in request.headers


def read_form(body: bytes) -> dict[str, str] | Refused:
    """RFC 6749 §3.2: no parameter may come twice."""
    try:
        pairs = parse_qsl(body.decode(), strict_parsing=True, max_num_fields=20)
    except (ValueError, UnicodeDecodeError):
        return Refused(Reason.BODY_MALFORMED, "the body is not a form")
    form = dict(pairs)
    if len(form) != len(pairs):
        return Refused(Reason.BODY_MALFORMED, "a parameter comes twice")
    return form
