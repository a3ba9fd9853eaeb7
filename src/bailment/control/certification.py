"""`POST /enrol/certificates`: a device asks for a certificate over its key, for mTLS (RFC 8705).

The key that asks is the key that is certified, so there is no certificate request to parse: the
DPoP proof says it. The record comes before the certificate goes out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.certificate import certification_body, thumbprint
from bailment.access.nonce import Nonces
from bailment.access.reasons import Reason, Refused
from bailment.clock import now_ms
from bailment.control.actions import Actions, Denied
from bailment.control.requests import Proven, answer, proven, refusal
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import DeviceCertified
from bailment.ledger.records import EnrolmentRequested
from bailment.store.authority import Authority

#: Certificates that one device gets in an hour: each is a record, and there is use for one a day.
_MOST, _HOUR = 10, 3_600_000


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str


@dataclass(frozen=True, slots=True)
class Certification:
    """The handler. Without an authority no listener of ours ends TLS, and nobody is certified."""

    actions: Actions
    nonces: Nonces
    authority: Authority | None
    _made: dict[str, deque[int]] = field(default_factory=dict)

    async def certify(self, request: Request) -> Response:
        """A certificate for a device that proves its key: for as long as spec and chain have it."""
        register = self.actions.log.fold.register
        contact = register.policy.contact
        sent = await proven(request, self.actions.log.fold, self.nonces)
        if isinstance(sent, Refused):
            return refusal(sent, contact)
        if self.authority is None:
            return refusal(Refused(Reason.ROUTE_UNKNOWN))
        device = self._device(sent)
        if isinstance(device, Refused):
            return refusal(device, contact)
        path = register.path(register.link_of.get(device.device, ""))
        if not path:
            return refusal(
                Refused(Reason.LINK_UNKNOWN, "the device waits to be confirmed"), contact
            )
        now = now_ms()
        if not self._within_rate(device.device, now):
            told = "this device asks for certificates too often: use the one it has"
            return refusal(Refused(Reason.TOO_OFTEN, told), contact)
        life = now + register.conditions.certificate_ms
        until = min(life, *(link.until for link in path)) // 1000 * 1000
        if until <= now:
            return refusal(Refused(Reason.LINK_EXPIRED, "the chain has expired"), contact)
        made = self.authority.certify(device.device, register.key(device.key), now, until)
        name = thumbprint(made.public_bytes(Encoding.DER))

        def make(now: int) -> Facts:
            return DeviceCertified(device.device, name, until, sent.proof.compact)

        try:
            await self.actions.append(make)
        except Denied as denied:
            return refusal(denied.refused, contact)
        pem = made.public_bytes(Encoding.PEM).decode()
        return answer({"certificate": pem, "x5t#S256": name, "until": until}, 201)

    def _device(self, sent: Proven) -> EnrolmentRequested | Refused:
        """The device that asks; its proof, which goes into the log, is over this one body."""
        try:
            body = msgspec.json.decode(sent.body, type=_Body)
        except msgspec.DecodeError as error:
            return Refused(Reason.BODY_MALFORMED, str(error))
        if sent.body != certification_body(body.device):
            return Refused(Reason.BODY_MALFORMED, 'write `{"device":"…"}`, without any space')
        register = self.actions.log.fold.register
        device = register.state.devices.get(body.device)
        if device is None or register.key(device.key).thumbprint != sent.proof.thumbprint:
            # The same answer, whether there is such a device or not.
            return Refused(Reason.PROOF_KEY, "the key is not the device's")
        return device

    def _within_rate(self, device: str, now: int) -> bool:
        times = self._made.setdefault(device, deque())
        while times and times[0] <= now - _HOUR:
            times.popleft()
        if len(times) >= _MOST:
            return False
        times.append(now)
        return True
