"""DPoP proofs (RFC 9449) over the body too: reading, checking, remembering, making.

The claim `content_digest`, which RFC 9449 §4.2 leaves room for, is the RFC 9530 Content-Digest
of the request body. So nobody but the holder of the key can say what was asked.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated, Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bailment import canonical
from bailment.access import base64url, jwk, jws
from bailment.access.reasons import Reason, Refused
from bailment.access.target import normalise
from bailment.errors import FormatError

TYP = "dpop+jwt"
_NO_BODY = sha256(b"").digest()


class ProofClaims(msgspec.Struct, frozen=True):
    """The claims that are read; others are allowed and ignored. `iat` in seconds."""

    htm: str
    htu: str
    iat: Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER)]
    jti: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{8,64}\Z")]
    ath: str | None = None
    nonce: str | None = None
    content_digest: str | None = None


class ProofHeader(NamedTuple):
    """What the protected header says: the same for every proof by one key."""

    alg: str
    key: jwk.PublicKey


class Proof(msgspec.Struct, frozen=True):
    """A proof that has been read and *not* checked.

    compact     the proof as it came, which is what the log commits to
    protected   its first part: under this text a caller may keep `header` once it trusts the key
    """

    compact: str
    protected: str
    header: ProofHeader
    claims: ProofClaims
    signing_input: bytes
    signature: bytes

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the key in the header."""
        return self.header.key.thumbprint


def read_proof(compact: str, known: Mapping[str, ProofHeader] | None = None) -> Proof | Refused:
    """Read the value of a `DPoP` header; PROOF_MALFORMED if it is not one.

    `known` maps protected headers, as text, to what reading them gave: it saves a quarter of the
    whole check. The caller must bound it and add only headers of proofs that were accepted.
    """
    try:
        parts = jws.split(compact)
        header = known.get(parts.protected) if known is not None else None
        if header is None:
            header = _read_header(parts.protected)
        claims = msgspec.convert(canonical.parse_unique(parts.payload), ProofClaims)
    except FormatError as error:
        return Refused(Reason.PROOF_MALFORMED, str(error))
    except msgspec.ValidationError:
        return Refused(
            Reason.PROOF_MALFORMED,
            "the claims are not `htm`, `htu`, integer `iat`, and `jti` of 8 to 64 characters",
        )
    return Proof(compact, parts.protected, header, claims, parts.signing_input, parts.signature)


def check_proof(
    proof: Proof,
    *,
    method: str,
    target: str,
    token: str | None,
    nonces: Collection[str] | None,
    now_ms: int,
    lifetime_ms: int,
    skew_ms: int,
    expected_thumbprint: str,
) -> Refused | None:
    """The checks of RFC 9449 §4.3 that need neither the body nor the log; None if all hold.

    `target` is the absolute URL of the request; `token` the access token as presented, None where
    there is none yet; `nonces` those accepted now, None only where a stored proof is checked again.
    Key and signature come first, so every later refusal is a statement about the key's holder;
    the nonce comes before the time, so a client that waited too long is told to sign again.
    """
    refused = check_key(proof, expected_thumbprint)
    if refused is not None:
        return refused
    ath = None if token is None else token_hash(token)
    refused = check_request(proof, method=method, target=target, ath=ath)
    if refused is not None:
        return refused
    if nonces is not None and not _accepted(proof.claims.nonce, nonces):
        return Refused(Reason.PROOF_NONCE, "`nonce` is not one that this server gave lately")
    return check_time(proof, now_ms=now_ms, lifetime_ms=lifetime_ms, skew_ms=skew_ms)


def check_key(proof: Proof, expected_thumbprint: str) -> Refused | None:
    """Whether the key of this thumbprint signed the proof."""
    if proof.thumbprint != expected_thumbprint:
        return Refused(Reason.PROOF_KEY, "the proof is by another key than the one bound")
    if not proof.header.key.verify(proof.header.alg, proof.signature, proof.signing_input):
        return Refused(Reason.PROOF_SIGNATURE, "the signature does not verify")
    return None


def check_request(proof: Proof, *, method: str, target: str, ath: str | None) -> Refused | None:
    """Whether the proof is for just this request; `ath` is the token's hash, as logs keep it."""
    claims = proof.claims
    if claims.htm != method:
        return Refused(Reason.PROOF_METHOD, f"`htm` is not `{method}`")
    if claims.htu != target and not _same_target(claims.htu, target):
        return Refused(Reason.PROOF_TARGET, f"`htu` is not `{target}`")
    if claims.ath != ath:
        return Refused(Reason.PROOF_TOKEN, "`ath` is not the hash of the token presented")
    return None


def check_time(proof: Proof, *, now_ms: int, lifetime_ms: int, skew_ms: int) -> Refused | None:
    """Whether the proof was made lately.

    Asked when the request comes, and again when it is decided: a body may take its time.
    """
    issued = proof.claims.iat * 1000
    if issued < now_ms - lifetime_ms - skew_ms:
        return Refused(Reason.PROOF_STALE, "`iat` is too far in the past")
    if issued > now_ms + skew_ms:
        return Refused(Reason.PROOF_FUTURE, "`iat` is in the future")
    return None


def check_body(proof: Proof, body_sha256: bytes, *, demanded: bool = True) -> Refused | None:
    """Whether the proof is over the body with this SHA-256 (32 bytes).

    A client that knows only RFC 9449 makes proofs without `content_digest`: they are good where
    there is no body, and where one over it is not `demanded`.
    """
    if proof.claims.content_digest is None:
        if not demanded or body_sha256 == _NO_BODY:
            return None
        return Refused(Reason.PROOF_BODY, "the proof has no `content_digest`")
    if proof.claims.content_digest != content_digest(body_sha256):
        return Refused(Reason.PROOF_BODY, "`content_digest` is not that of the body received")
    return None


def replay_key(thumbprint: str, jti: str) -> bytes:
    """16 bytes under which a proof's one use is remembered."""
    return sha256(f"{thumbprint} {jti}".encode()).digest()[:16]


def replay_span(lifetime_ms: int, skew_ms: int) -> int:
    """How long after a proof was accepted its replay key must be remembered, ms.

    Skew counts twice: a proof may be accepted while its `iat` is ahead of our clock by the skew,
    and is acceptable until the lifetime and once more the skew after that `iat`.
    """
    return lifetime_ms + 2 * skew_ms


def make_proof(
    private_key: ec.EllipticCurvePrivateKey,
    public_key: jwk.PublicKey,
    *,
    method: str,
    target: str,
    body_sha256: bytes,
    token: str | None,
    nonce: str | None,
    jti: str,
    now_s: int,
) -> str:
    """The value of the `DPoP` header for one request; FormatError if `target` is no such URL.

    `jti` must be new for this key: 8 to 64 printable characters, at least 96 random bits.
    """
    claims: dict[str, Any] = {
        "content_digest": content_digest(body_sha256),
        "htm": method,
        "htu": normalise(target),
        "iat": now_s,
        "jti": jti,
    }
    if token is not None:
        claims["ath"] = token_hash(token)
    if nonce is not None:
        claims["nonce"] = nonce
    header = {"jwk": public_key.jwk, "typ": TYP}
    return jws.sign(header, canonical.encode(claims), private_key)


def content_digest(body_sha256: bytes) -> str:
    """RFC 9530 §2: the Content-Digest field value of a body with this SHA-256."""
    return f"sha-256=:{b64encode(body_sha256).decode()}:"


def token_hash(token: str) -> str:
    """RFC 9449 §4.2 `ath`: base64url of the SHA-256 of the token's ASCII characters."""
    return base64url.encode(sha256(token.encode()).digest())


def _read_header(protected: str) -> ProofHeader:
    header, alg = jws.read_header(protected)
    if header.get("typ") != TYP:
        raise FormatError(f"the `typ` is not `{TYP}`")
    key = jwk.parse(header.get("jwk"))
    if alg not in key.algorithms:
        raise FormatError("the `alg` does not fit the `jwk`")
    return ProofHeader(alg, key)


def _same_target(claimed: str, target: str) -> bool:
    try:
        return normalise(claimed) == normalise(target)
    except FormatError:
        return False


def _accepted(nonce: str | None, nonces: Collection[str]) -> bool:
    """How long it takes does not tell how near the nonce came."""
    if nonce is None or not nonce.isascii():
        return False
    return any(compare_digest(nonce, accepted) for accepted in nonces)
