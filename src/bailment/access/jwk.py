"""Public keys: strict JWK (RFC 7517, 7518 §6) in, thumbprint (RFC 7638) and verification out.

Two kinds only: EC on P-256 (ES256) and RSA of 2048 to 4096 bits with e = 65537 (RS256, PS256).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bailment import canonical
from bailment.access import base64url
from bailment.errors import FormatError

ALGORITHMS = {"EC": frozenset({"ES256"}), "RSA": frozenset({"RS256", "PS256"})}

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = range(2048, 4097)
_RSA_EXPONENT = "AQAB"

_P256 = ec.SECP256R1()
_ECDSA = ec.ECDSA(SHA256())
_PKCS1 = padding.PKCS1v15()
_PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)  # RFC 7518 §3.5 fixes the salt
_SHA256 = SHA256()


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A parsed public key; two are equal when their thumbprints are."""

    thumbprint: str
    """RFC 7638 with SHA-256, base64url: 43 characters; the `jkt` of RFC 9449."""
    _members: tuple[tuple[str, str], ...] = field(repr=False, compare=False)
    _key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey = field(repr=False, compare=False)

    @property
    def jwk(self) -> dict[str, str]:
        """The required members and nothing else, in the order of RFC 7638."""
        return dict(self._members)

    @property
    def raw(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        """The same key as `cryptography` knows it."""
        return self._key

    @property
    def algorithms(self) -> frozenset[str]:
        """The JWS algorithms that this kind of key may sign with."""
        return ALGORITHMS["EC" if isinstance(self._key, ec.EllipticCurvePublicKey) else "RSA"]

    def verify(self, alg: str, signature: bytes, message: bytes) -> bool:
        """Whether `signature` (in JWS form, RFC 7518 §3) over `message` is by this key.

        False also when `alg` does not fit the key, so one key cannot be used as another kind.
        """
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                if alg != "ES256" or len(signature) != 64:
                    return False
                r = int.from_bytes(signature[:32], "big")
                s = int.from_bytes(signature[32:], "big")
                self._key.verify(encode_dss_signature(r, s), message, _ECDSA)
            elif alg == "RS256":
                self._key.verify(signature, message, _PKCS1, _SHA256)
            elif alg == "PS256":
                self._key.verify(signature, message, _PSS, _SHA256)
            else:
                return False
        except InvalidSignature:
            return False
        return True


def parse(jwk: object) -> PublicKey:
    """The key that a JWK (a decoded JSON value) describes; FormatError if it is not acceptable.

    Members that RFC 7517 does not require are ignored, as it demands, except that a private
    member is always refused, and `use` and `alg` must allow signatures by this kind of key.
    """
    if not isinstance(jwk, dict):
        raise FormatError("the `jwk` is not an object")
    if not _PRIVATE.isdisjoint(jwk):
        raise FormatError("the `jwk` holds private members")
    kty = jwk.get("kty")
    if kty == "EC":
        key = _parse_ec(jwk)
    elif kty == "RSA":
        key = _parse_rsa(jwk)
    else:
        raise FormatError("the `kty` is neither `EC` nor `RSA`")
    if jwk.get("use", "sig") != "sig":
        raise FormatError("the `use` of the `jwk` is not `sig`")
    if "alg" in jwk and jwk["alg"] not in list(ALGORITHMS[kty]):  # a list: `alg` may be unhashable
        raise FormatError("the `alg` of the `jwk` does not fit its `kty`")
    return key


def from_key(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> PublicKey:
    """The same for a key that `cryptography` holds; FormatError if its kind is not acceptable."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        if key.curve.name != _P256.name:
            raise FormatError("the curve is not `P-256`")
        x, y = (base64url.encode(n.to_bytes(32, "big")) for n in (point.x, point.y))
        return parse({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    numbers = key.public_numbers()
    n, e = (
        base64url.encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        for number in (numbers.n, numbers.e)
    )
    return parse({"kty": "RSA", "n": n, "e": e})


def _parse_ec(jwk: dict[str, object]) -> PublicKey:
    if jwk.get("crv") != "P-256":
        raise FormatError("the `crv` is not `P-256`")
    point = b"\x04" + _octets(jwk, "x", 32) + _octets(jwk, "y", 32)
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_P256, point)
    except ValueError:
        raise FormatError("the point of the `jwk` is not on P-256") from None
    return _public(key, jwk, ("crv", "kty", "x", "y"))


def _parse_rsa(jwk: dict[str, object]) -> PublicKey:
    if jwk.get("e") != _RSA_EXPONENT:
        raise FormatError("the `e` of the `jwk` is not 65537")
    octets = _octets(jwk, "n", _RSA_BITS[-1] // 8)
    modulus = int.from_bytes(octets, "big")
    if octets[:1] == b"\0" or modulus.bit_length() not in _RSA_BITS or modulus % 2 == 0:
        raise FormatError("the `n` of the `jwk` is not an odd number of 2048 to 4096 bits")
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    return _public(key, jwk, ("e", "kty", "n"))


def _octets(jwk: dict[str, object], name: str, most: int) -> bytes:
    """The bytes of one member: exactly `most` for a coordinate, at most that for a modulus."""
    text = jwk.get(name)
    if not isinstance(text, str):
        raise FormatError(f"the `{name}` of the `jwk` is not a string")
    if len(text) > (most * 8 + 5) // 6:
        raise FormatError(f"the `{name}` of the `jwk` is too long")
    octets = base64url.decode(text)
    if name != "n" and len(octets) != most:
        raise FormatError(f"the `{name}` of the `jwk` is not {most} octets")
    return octets


def _public(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    jwk: dict[str, object],
    required: tuple[str, ...],
) -> PublicKey:
    members = {name: str(jwk[name]) for name in required}
    thumbprint = base64url.encode(sha256(canonical.encode(members)).digest())
    return PublicKey(thumbprint, tuple(members.items()), key)
