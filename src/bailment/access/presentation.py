"""The credentials in the headers of a request: which token, proven how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Literal

from bailment.access.reasons import Reason, Refused

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI hands them over: lower-case names, in order, repeated where the client repeated them."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """An access token and what proves its possession, neither of them checked.

    kind    how possession is proven: `dpop-body`, a DPoP proof over the body; `mtls`, the
            certificate that the connection was made with, and then there is no proof
    """

    kind: Literal["dpop-body", "mtls"]
    token: str = field(repr=False)
    proof: str = field(default="", repr=False)


def read_presentation(headers: Headers, certificate: str = "") -> Presentation | Refused:
    """The credentials of a request to a resource, over a connection with this certificate."""
    headers = tuple(headers)
    token = presented_token(headers)
    if isinstance(token, Refused):
        return token
    proof = presented_proof(headers)
    if isinstance(proof, Refused):
        certified = certificate and proof.reason is Reason.PROOF_MISSING
        return Presentation("mtls", token) if certified else proof
    return Presentation("dpop-body", token, proof)


def presented_token(headers: Headers) -> str | Refused:
    """The one token in `authorization` (scheme DPoP or Bearer) and `x-api-key`.

    SDKs put what they take for an API key into either or both. By itself it also tells whose
    token came without a proof.
    """
    tokens: list[bytes] = []
    seen: set[bytes] = set()
    for name, value in headers:
        if name not in (b"authorization", b"x-api-key"):
            continue
        if name in seen:
            return Refused(Reason.TOKEN_MALFORMED, f"more than one `{name.decode()}` header")
        seen.add(name)
        if name == b"authorization":
            scheme, _, value = value.strip().partition(b" ")
            if scheme.lower() not in (b"dpop", b"bearer"):
                return Refused(Reason.TOKEN_MALFORMED, "the scheme is neither `DPoP` nor `Bearer`")
        tokens.append(value.strip())
    if not any(tokens):
        return Refused(Reason.TOKEN_MISSING, "no access token in `authorization` or `x-api-key`")
    if not all(compare_digest(tokens[0], token) for token in tokens):
        return Refused(Reason.CREDENTIALS_DISAGREE, "`authorization` and `x-api-key` disagree")
    if not tokens[0].isascii():
        return Refused(Reason.TOKEN_MALFORMED, "the token is not ASCII")
    return tokens[0].decode("ascii")


def presented_proof(headers: Headers) -> str | Refused:
    """The value of the one `dpop` header."""
    proofs = [value for name, value in headers if name == b"dpop"]
    if not proofs:
        return Refused(Reason.PROOF_MISSING, "no `DPoP` header")
    if len(proofs) > 1:
        return Refused(Reason.PROOF_MALFORMED, "more than one `DPoP` header")
    if not proofs[0].isascii():
        return Refused(Reason.PROOF_MALFORMED, "the proof is not ASCII")
    return proofs[0].strip().decode("ascii")
