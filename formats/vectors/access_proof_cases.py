"""Access tokens and DPoP proofs, good and bad, each with the outcome that it must have."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from access_keys import (
    ALGORITHM,
    JSON,
    KEYS,
    b64,
    content_digest,
    hashed,
    public,
    sign,
    thumbprint,
    unb64,
    without,
)

NOW = 1_780_000_000
TARGET = "https://gateway.example/v1/chat/completions"
ISSUER = "https://gateway.example"
BODY = '{"model":"example","messages":[{"role":"user","content":"héllo"}]}'
NONCE = "Zm9yLXRoZS12ZWN0b3Jz"
PERSON, DEVICE = "0a" * 16, "0b" * 16
LINKS = ["01" * 16, "02" * 16, "03" * 16]


def token_claims() -> JSON:
    return {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": PERSON,
        "client_id": DEVICE,
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "token-0001",
        "cnf": {"jkt": thumbprint("device")},
        "lnk": LINKS,
        "key_class": "software",
        "authorization_details": [
            {"type": "bailment_access", "purpose": "evaluation", "models": ["example"]}
        ],
    }


TOKEN_HEADER = {"alg": "ES256", "typ": "at+jwt"}
TOKEN = sign(TOKEN_HEADER, token_claims(), "issuer")


def proof_claims() -> JSON:
    return {
        "htm": "POST",
        "htu": TARGET,
        "iat": NOW,
        "jti": "proof-0001",
        "ath": hashed(TOKEN),
        "nonce": NONCE,
        "content_digest": content_digest(BODY),
    }


def proof_header(key: str = "device", **members: Any) -> JSON:
    return {"typ": "dpop+jwt", "alg": ALGORITHM[KEYS[key]["kty"]], "jwk": public(key)} | members


def proof_cases() -> list[JSON]:
    """Each with the request it came with, where that is not the usual one, and the outcome."""
    claims, header = proof_claims(), proof_header()
    good = sign(header, claims, "device")
    head, body, mac = good.split(".")
    duplicate = json.dumps(header)[:-1] + ',"typ":"dpop+jwt"}'
    doubled = json.dumps(claims)[:-1] + f',"htu":"{TARGET}"}}'
    stale, future = NOW - 66, NOW + 6
    none = f"{b64(json.dumps(header | {'alg': 'none'}).encode())}.{body}."
    secret = json.dumps(public("device"), sort_keys=True, separators=(",", ":")).encode()
    hs256 = f"{b64(json.dumps(header | {'alg': 'HS256'}).encode())}.{body}"
    hs256 += "." + b64(sha256(secret + hs256.encode()).digest())
    cases: list[tuple[str, str, JSON, str]] = [
        ("a good proof", good, {}, "accepted"),
        ("RS256", sign(proof_header("rsa"), claims, "rsa"), {"key": "rsa"}, "accepted"),
        (
            "PS256",
            sign(proof_header("rsa", alg="PS256"), claims, "rsa", "PS256"),
            {"key": "rsa"},
            "accepted",
        ),
        (
            "an extra claim and header member",
            sign(header | {"kid": "1"}, claims | {"extra": [1]}, "device"),
            {},
            "accepted",
        ),
        (
            "an `htu` that normalises to the target",
            sign(
                header,
                claims | {"htu": "HTTPS://Gateway.Example:443/v1/%63hat/./completions?a#b"},
                "device",
            ),
            {},
            "accepted",
        ),
        (
            "no token and no `ath`",
            sign(header, without(claims, "ath"), "device"),
            {"token": None},
            "accepted",
        ),
        (
            "an empty body",
            sign(header, claims | {"content_digest": content_digest("")}, "device"),
            {"body": ""},
            "accepted",
        ),
        (
            "an empty body, and no `content_digest`",
            sign(header, without(claims, "content_digest"), "device"),
            {"body": ""},
            "accepted",
        ),
        (
            "the oldest `iat` that is fresh",
            sign(header, claims | {"iat": stale + 1}, "device"),
            {},
            "accepted",
        ),
        (
            "the newest `iat` that is not in the future",
            sign(header, claims | {"iat": future - 1}, "device"),
            {},
            "accepted",
        ),
        ("another device's key", sign(proof_header("other"), claims, "other"), {}, "proof-key"),
        (
            "the device's key in the header, another's signature",
            sign(header, claims, "other"),
            {},
            "proof-signature",
        ),
        (
            "a signature over another payload",
            f"{head}.{b64(json.dumps(claims | {'iat': NOW + 1}).encode())}.{mac}",
            {},
            "proof-signature",
        ),
        ("a signature in DER", f"{head}.{body}.{b64(b'0D' + unb64(mac))}", {}, "proof-signature"),
        (
            "a PS256 signature called RS256",
            sign(proof_header("rsa"), claims, "rsa", "PS256"),
            {"key": "rsa"},
            "proof-signature",
        ),
        ("another method", good, {"method": "GET"}, "proof-method"),
        (
            "a method in lower case",
            sign(header, claims | {"htm": "post"}, "device"),
            {},
            "proof-method",
        ),
        ("another path", good, {"target": f"{ISSUER}/v1/responses"}, "proof-target"),
        ("another host", good, {"target": TARGET.replace("gateway", "gateway2")}, "proof-target"),
        ("another scheme", good, {"target": TARGET.replace("https", "http")}, "proof-target"),
        (
            "an escaped slash",
            sign(header, claims | {"htu": TARGET.replace("chat/", "chat%2F")}, "device"),
            {},
            "proof-target",
        ),
        (
            "user information",
            sign(header, claims | {"htu": TARGET.replace("//", "//gateway.example@")}, "device"),
            {},
            "proof-target",
        ),
        ("another token", good, {"token": TOKEN + "x"}, "proof-token"),
        ("no `ath`", sign(header, without(claims, "ath"), "device"), {}, "proof-token"),
        ("an `ath` where there is no token", good, {"token": None}, "proof-token"),
        ("a stale `iat`", sign(header, claims | {"iat": stale}, "device"), {}, "proof-stale"),
        (
            "an `iat` in the future",
            sign(header, claims | {"iat": future}, "device"),
            {},
            "proof-future",
        ),
        (
            "another nonce",
            sign(header, claims | {"nonce": NONCE[::-1]}, "device"),
            {},
            "proof-nonce",
        ),
        ("no nonce", sign(header, without(claims, "nonce"), "device"), {}, "proof-nonce"),
        ("a changed body", good, {"body": BODY + " "}, "proof-body"),
        (
            "no `content_digest`",
            sign(header, without(claims, "content_digest"), "device"),
            {},
            "proof-body",
        ),
        (
            "a second digest beside the right one",
            sign(
                header,
                claims | {"content_digest": content_digest(BODY) + ", sha-512=:AA==:"},
                "device",
            ),
            {},
            "proof-body",
        ),
        ("`alg` none", none, {}, "proof-malformed"),
        ("`alg` HS256", hs256, {}, "proof-malformed"),
        (
            "`alg` RS256 with an EC key",
            sign(header | {"alg": "RS256"}, claims, "device", "ES256"),
            {},
            "proof-malformed",
        ),
        (
            "`alg` ES256 with an RSA key",
            sign(proof_header("rsa", alg="ES256"), claims, "rsa", "RS256"),
            {},
            "proof-malformed",
        ),
        ("another `typ`", sign(header | {"typ": "JWT"}, claims, "device"), {}, "proof-malformed"),
        (
            "a `crit` header",
            sign(header | {"crit": ["b64"], "b64": True}, claims, "device"),
            {},
            "proof-malformed",
        ),
        ("no `jwk`", sign(without(header, "jwk"), claims, "device"), {}, "proof-malformed"),
        (
            "a `jwk` with its private member",
            sign(header | {"jwk": KEYS["device"]}, claims, "device"),
            {},
            "proof-malformed",
        ),
        (
            "a `jwk` off the curve",
            sign(
                header | {"jwk": public("device") | {"y": public("device")["x"]}}, claims, "device"
            ),
            {},
            "proof-malformed",
        ),
        ("a key twice in the header", sign(duplicate, claims, "device"), {}, "proof-malformed"),
        ("a key twice in the claims", sign(header, doubled, "device"), {}, "proof-malformed"),
        (
            "a `jti` of 7 characters",
            sign(header, claims | {"jti": "1234567"}, "device"),
            {},
            "proof-malformed",
        ),
        (
            "a `jti` of 65 characters",
            sign(header, claims | {"jti": "1" * 65}, "device"),
            {},
            "proof-malformed",
        ),
        ("no `jti`", sign(header, without(claims, "jti"), "device"), {}, "proof-malformed"),
        (
            "an `iat` that is no integer",
            sign(header, claims | {"iat": NOW + 0.5}, "device"),
            {},
            "proof-malformed",
        ),
        (
            "an `iat` that is a string",
            sign(header, claims | {"iat": str(NOW)}, "device"),
            {},
            "proof-malformed",
        ),
        (
            "claims that are an array",
            sign(header, json.dumps([claims]), "device"),
            {},
            "proof-malformed",
        ),
        ("padding", good + "=", {}, "proof-malformed"),
        ("bits after the last octet", good[:-1] + chr(ord(good[-1]) + 1), {}, "proof-malformed"),
        (
            "the other base64 alphabet",
            good.replace("-", "+").replace("_", "/"),
            {},
            "proof-malformed",
        ),
        ("white space", f"{head}.{body} .{mac}", {}, "proof-malformed"),
        ("two parts", f"{head}.{body}", {}, "proof-malformed"),
        ("two proofs", f"{good}, {good}", {}, "proof-malformed"),
        (
            "more than 16 KiB",
            sign(header, claims | {"pad": "x" * 12288}, "device"),
            {},
            "proof-malformed",
        ),
    ]
    return [
        {"name": name, "proof": proof, "request": request, "expect": expect}
        for name, proof, request, expect in cases
    ]
