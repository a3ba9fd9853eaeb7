"""Write dpop.json: `python formats/vectors/generate_access.py [DIRECTORY]`.

The file is the same on every run; access.md, beside this directory, explains what it holds.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from access_keys import JSON, KEYS, b64, public, sign, thumbprint, unb64, without
from access_proof_cases import (
    BODY,
    DEVICE,
    ISSUER,
    NONCE,
    NOW,
    PERSON,
    TARGET,
    TOKEN,
    TOKEN_HEADER,
    proof_cases,
    token_claims,
)


def token_cases() -> list[JSON]:
    """Verified with the issuer's key at the time of the usual request unless `now_ms` is given."""
    claims = token_claims()
    head, body, mac = TOKEN.split(".")
    other = {"cnf": {"kid": thumbprint("device")}}

    def made(**members: Any) -> str:
        return sign(TOKEN_HEADER, claims | members, "issuer")

    cases: list[tuple[str, str, JSON, str]] = [
        ("a good token", TOKEN, {}, "accepted"),
        ("`act` is not read", made(act={"sub": "somebody else"}), {}, "accepted"),
        ("the last moment, with skew", TOKEN, {"now_ms": (NOW + 305) * 1000 - 1}, "accepted"),
        ("expired, skew and all", TOKEN, {"now_ms": (NOW + 305) * 1000}, "token-expired"),
        ("signed by another key", sign(TOKEN_HEADER, claims, "other"), {}, "token-untrusted"),
        (
            "claims exchanged",
            f"{head}.{b64(json.dumps(claims | {'sub': '0c' * 16}).encode())}.{mac}",
            {},
            "token-untrusted",
        ),
        (
            "another `typ`",
            sign(TOKEN_HEADER | {"typ": "JWT"}, claims, "issuer"),
            {},
            "token-untrusted",
        ),
        (
            "`alg` RS256",
            sign(TOKEN_HEADER | {"alg": "RS256"}, claims, "rsa"),
            {},
            "token-untrusted",
        ),
        ("another issuer", made(iss="https://other.example"), {}, "token-untrusted"),
        ("another audience", made(aud="https://other.example"), {}, "token-untrusted"),
        ("a life of 301 s", made(exp=NOW + 301), {}, "token-untrusted"),
        ("expiry before issue", made(exp=NOW), {}, "token-untrusted"),
        ("issued in the future", made(iat=NOW + 6, exp=NOW + 306), {}, "token-untrusted"),
        ("no `cnf`", sign(TOKEN_HEADER, without(claims, "cnf"), "issuer"), {}, "token-unbound"),
        (
            "a `cnf` of another kind",
            sign(TOKEN_HEADER, claims | other, "issuer"),
            {},
            "token-unbound",
        ),
        ("bound to a certificate", made(cnf={"x5t#S256": thumbprint("other")}), {}, "accepted"),
        (
            "bound to a key and a certificate",
            made(cnf=claims["cnf"] | {"x5t#S256": thumbprint("other")}),
            {},
            "token-unbound",
        ),
        ("no links", made(lnk=[]), {}, "token-malformed"),
        ("an unknown key class", made(key_class="hardware"), {}, "token-malformed"),
        (
            "two purposes",
            made(authorization_details=claims["authorization_details"] * 2),
            {},
            "token-malformed",
        ),
        (
            "a budget and networks of its own",
            made(
                authorization_details=[
                    claims["authorization_details"][0]
                    | {
                        "budget": {"tokens": 1000, "seconds": 60},
                        "networks": ["192.0.2.0/24", "2001:db8::/32"],
                    }
                ]
            ),
            {},
            "accepted",
        ),
        (
            "a budget without a window",
            made(
                authorization_details=[
                    claims["authorization_details"][0] | {"budget": {"tokens": 1}}
                ]
            ),
            {},
            "token-malformed",
        ),
        (
            "with an `act`, which is not read",
            made(act={"sub": "somebody", "act": {"sub": "else"}}),
            {},
            "accepted",
        ),
        (
            "details of another type",
            made(authorization_details=[{"type": "payment", "purpose": "p"}]),
            {},
            "token-malformed",
        ),
        (
            "`alg` none",
            f"{b64(json.dumps(TOKEN_HEADER | {'alg': 'none'}).encode())}.{body}.",
            {},
            "token-malformed",
        ),
        ("an API key", "sk-0123456789abcdef", {}, "token-malformed"),
    ]
    return [
        {"name": name, "token": token, "request": request, "expect": expect}
        for name, token, request, expect in cases
    ]


def assertion_cases() -> list[JSON]:
    """Verified with the device's key, for the device and the issuer, at the time of the request."""
    claims = {
        "iss": DEVICE,
        "sub": DEVICE,
        "aud": ISSUER,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "assertion-0001",
    }
    header = {"alg": "ES256", "typ": "JWT"}

    def made(**members: Any) -> str:
        return sign(header, claims | members, "device")

    cases: list[tuple[str, str, JSON, str]] = [
        ("a good assertion", made(), {}, "accepted"),
        ("RS256", sign(header | {"alg": "RS256"}, claims, "rsa"), {"key": "rsa"}, "accepted"),
        ("with a handle", made(ratchet="h4ndle-of_the-last-token"), {}, "accepted"),
        ("with an `act`, which is not read", made(act={"sub": PERSON}), {}, "accepted"),
        ("a handle of another form", made(ratchet="two words"), {}, "client-assertion"),
        ("an empty handle", made(ratchet=""), {}, "client-assertion"),
        ("by another key", sign(header, claims, "other"), {}, "client-assertion"),
        (
            "another `typ`",
            sign(header | {"typ": "dpop+jwt"}, claims, "device"),
            {},
            "client-assertion",
        ),
        ("no `typ`", sign(without(header, "typ"), claims, "device"), {}, "client-assertion"),
        ("another issuer", made(iss=PERSON), {}, "client-assertion"),
        ("another subject", made(sub=PERSON), {}, "client-assertion"),
        ("another audience", made(aud=f"{ISSUER}/oauth/token"), {}, "client-assertion"),
        ("audiences in an array", made(aud=[ISSUER]), {}, "client-assertion"),
        ("a life of 61 s", made(exp=NOW + 61), {}, "client-assertion"),
        ("expired, skew and all", made(), {"now_ms": (NOW + 65) * 1000}, "client-assertion"),
        ("issued in the future", made(iat=NOW + 6, exp=NOW + 66), {}, "client-assertion"),
        ("no `jti`", sign(header, without(claims, "jti"), "device"), {}, "client-assertion"),
    ]
    return [
        {"name": name, "assertion": assertion, "request": request, "expect": expect}
        for name, assertion, request, expect in cases
    ]


def jwk_cases() -> list[JSON]:
    """Public keys that must be refused."""
    device, rsa = public("device"), public("rsa")
    short = b64((2**2046 + 1).to_bytes(256, "big"))
    large = b64((2**4096 + 1).to_bytes(513, "big"))
    past = (2**256 - 2**224 + 2**192 + 2**96 - 1 + 5).to_bytes(32, "big")
    y5 = "RZJDuapYGAb-kTvOmYF63hHKUDxk2aPFM0FcCDJI-8w"
    return [
        {"name": name, "jwk": jwk}
        for name, jwk in (
            ("private EC", KEYS["device"]),
            ("private RSA", KEYS["rsa"]),
            ("symmetric", {"kty": "oct", "k": "AAAA"}),
            ("Ed25519", {"kty": "OKP", "crv": "Ed25519", "x": device["x"]}),
            ("P-384", device | {"crv": "P-384"}),
            ("no `kty`", without(device, "kty")),
            ("no `y`", without(device, "y")),
            ("off the curve", device | {"y": device["x"]}),
            ("the point at infinity", device | {"x": b64(bytes(32)), "y": b64(bytes(32))}),
            ("a coordinate beyond the field", device | {"x": b64(past), "y": y5}),
            ("a short coordinate", device | {"x": b64(unb64(device["x"])[1:])}),
            ("a long coordinate", device | {"x": b64(b"\0" + unb64(device["x"]))}),
            ("a padded coordinate", device | {"x": device["x"] + "="}),
            ("a coordinate that is a number", device | {"x": 1}),
            ("RSA of 2047 bits", rsa | {"n": short}),
            ("RSA of 4097 bits", rsa | {"n": large}),
            ("a modulus with a leading zero", rsa | {"n": b64(b"\0" + unb64(rsa["n"]))}),
            ("an even modulus", rsa | {"n": b64(unb64(rsa["n"])[:-1] + b"\0")}),
            ("e = 3", rsa | {"e": "Aw"}),
            ("e with a leading zero", rsa | {"e": b64(b"\0\1\0\1")}),
            ("for encryption", device | {"use": "enc"}),
            ("for another algorithm", device | {"alg": "RS256"}),
        )
    ]


def link_cases() -> list[JSON]:
    """A recipient's link, which the issuer signs, for a recipient registered with `device`."""
    header = {"alg": "ES256", "kid": thumbprint("issuer"), "typ": "bailment-link+jwt"}
    link: JSON = {
        "id": "1a" * 16,
        "parent": "",
        "kind": "recipient",
        "subject": "2b" * 16,
        "start": NOW * 1000,
        "until": (NOW + 86_400) * 1000,
        "key": public("device"),
        "models": ["example"],
        "purposes": ["evaluation"],
    }
    cases: list[tuple[str, JSON, JSON | str, str, str]] = [
        ("a good link", header, link, "issuer", "accepted"),
        ("no `kid`", without(header, "kid"), link, "issuer", "chain-broken"),
        (
            "another key's `kid`",
            header | {"kid": thumbprint("other")},
            link,
            "issuer",
            "chain-broken",
        ),
        ("signed by another key", header, link, "other", "chain-broken"),
        ("another `typ`", header | {"typ": "at+jwt"}, link, "issuer", "chain-broken"),
        (
            "`alg` RS256",
            header | {"alg": "RS256", "kid": thumbprint("rsa")},
            link,
            "rsa",
            "chain-broken",
        ),
        (
            "a payload with spaces",
            header,
            json.dumps(link, sort_keys=True),
            "issuer",
            "chain-broken",
        ),
        ("an unknown member", header, link | {"colour": "red"}, "issuer", "chain-broken"),
        ("no purposes", header, without(link, "purposes"), "issuer", "chain-broken"),
        ("an end before the start", header, link | {"until": 1}, "issuer", "chain-broken"),
        (
            "a name for an organisation",
            header,
            link | {"personal": "ab" * 32},
            "issuer",
            "chain-broken",
        ),
        (
            "another key than registered",
            header,
            link | {"key": public("other")},
            "issuer",
            "chain-broken",
        ),
    ]
    return [
        {"name": name, "link": sign(head, payload, key), "expect": expect}
        for name, head, payload, key, expect in cases
    ]


def person_cases() -> list[JSON]:
    """Who a person is, and what the person's link says of it."""
    people: list[dict[str, str]] = [
        {"name": "Maria Silva", "salt": "0f" * 16},
        {"name": "Maria Silva", "email": "maria@acme.example", "salt": "0f" * 16},
        {"name": 'Zoë "Z" Łukasz-O\'Neill 李', "salt": "00112233445566778899aabbccddeeff"},
    ]
    return [{"personal": one, "commitment": commitment(one)} for one in people]


def commitment(personal: dict[str, str]) -> str:
    text = json.dumps(personal, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(b"bailment.person.v1\0" + text.encode()).hexdigest()


def vectors() -> JSON:
    return {
        "keys": {
            name: {"private": key, "public": public(name), "thumbprint": thumbprint(name)}
            for name, key in KEYS.items()
        },
        "request": {
            "method": "POST",
            "target": TARGET,
            "issuer": ISSUER,
            "token": TOKEN,
            "body": BODY,
            "nonces": [NONCE, "YW5vdGhlci1nb29kLW9uZQ"],
            "now_ms": NOW * 1000,
            "lifetime_ms": 60_000,
            "skew_ms": 5_000,
            "key": "device",
            "device": DEVICE,
        },
        "proofs": proof_cases(),
        "tokens": token_cases(),
        "assertions": assertion_cases(),
        "links": link_cases(),
        "people": person_cases(),
        "bad_jwks": jwk_cases(),
    }


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    text = json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"
    (directory / "dpop.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
