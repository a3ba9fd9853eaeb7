"""Who calls: the token that the log knows, and what proves that its holder shows it.

What a token is bound to decides what must be shown: a proof by the key over each request, or the
certificate on the connection that carries it. One for the other is refused, however good it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest

import msgspec
from msgspec import UNSET

from bailment.access.certificate import bound
from bailment.access.fold import Fold
from bailment.access.nonce import Nonces
from bailment.access.presentation import presented_token, read_presentation
from bailment.access.proof import Proof, ProofHeader, check_proof, read_proof, token_hash
from bailment.access.reasons import Reason, Refused
from bailment.access.token import verify_token
from bailment.gateway.intake import Arrival
from bailment.ledger.records import TokenIssued

_MAX_HEADERS = 4096


class Caller(msgspec.Struct, frozen=True):
    """A caller that proved its key: by a proof over everything but the body, which is checked
    later, or by its connection's `certificate`, and then there is none."""

    token: TokenIssued
    kind: str
    proof: Proof | None
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A caller that did not. `token` is the one it showed, if that is in the log: it names whose
    token is in whose hands."""

    refused: Refused
    token: TokenIssued | None


class Credentials:
    """Checks what a request presents against the tokens in the log."""

    def __init__(self, fold: Fold, nonces: Nonces) -> None:
        self._fold = fold
        self._nonces = nonces
        self._headers: dict[str, ProofHeader] = {}

    def check(self, arrival: Arrival, now: int) -> Caller | Stranger:
        """The caller behind a request. A token is looked up by its hash: one that the log does
        not hold is refused even if the issuer's key signed it."""
        presentation = read_presentation(arrival.headers, arrival.certificate)
        if isinstance(presentation, Refused):
            return self._without(presentation, arrival)
        shown = presentation.token
        token = self._fold.admission.token(token_hash(shown))
        if token is None:
            return Stranger(self._why_unknown(shown, now), None)
        if now >= token.until:
            return Stranger(Refused(Reason.TOKEN_EXPIRED), token)
        if presentation.kind == "mtls":
            return self._certified(token, arrival.certificate, now)
        if token.certificate is not UNSET:
            return Stranger(Refused(Reason.PROOF_KEY, "the token is bound to no key"), token)
        proof = read_proof(presentation.proof, self._headers)
        if isinstance(proof, Refused):
            return Stranger(proof, token)
        policy = self._fold.register.policy
        refused = check_proof(
            proof,
            method=arrival.method,
            target=self._fold.register.state.url + arrival.path,
            token=shown,
            nonces=self._nonces.accepted(now),
            now_ms=now,
            lifetime_ms=policy.proof_ms,
            skew_ms=policy.skew_ms,
            expected_thumbprint=token.thumbprint,
        )
        if refused is not None:
            return Stranger(refused, token)
        self._keep_header(proof)
        return Caller(token, presentation.kind, proof)

    def _certified(self, token: TokenIssued, certificate: str, now: int) -> Caller | Stranger:
        """The caller, if the token is bound to the certificate of its connection."""
        if token.certificate is UNSET:
            return Stranger(Refused(Reason.PROOF_MISSING), token)
        if not compare_digest(token.certificate, certificate):
            return Stranger(Refused(Reason.CERTIFICATE_OTHER), token)
        refused = bound(self._fold.register, token, now)
        return Stranger(refused, token) if refused else Caller(token, "mtls", None, certificate)

    def _without(self, refused: Refused, arrival: Arrival) -> Stranger:
        """Who shows a token and nothing else, or no token at all."""
        shown = presented_token(arrival.headers)
        if isinstance(shown, Refused):
            return Stranger(refused, None)
        token = self._fold.admission.token(token_hash(shown))
        if token is not None and token.certificate is not UNSET and not arrival.certificate:
            refused = Refused(Reason.CERTIFICATE_MISSING)
        return Stranger(refused, token)

    def _keep_header(self, proof: Proof) -> None:
        """Remember the header of an accepted proof: it is the same for every one by a key."""
        if proof.protected not in self._headers:
            if len(self._headers) >= _MAX_HEADERS:
                self._headers.clear()
            self._headers[proof.protected] = proof.header

    def _why_unknown(self, shown: str, now: int) -> Refused:
        register = self._fold.register
        claims = verify_token(
            shown,
            register.key(register.state.issuer),
            iss=register.state.url,
            aud=register.state.url,
            now_ms=now,
            skew_ms=register.policy.skew_ms,
        )
        return claims if isinstance(claims, Refused) else Refused(Reason.TOKEN_UNRECORDED)
