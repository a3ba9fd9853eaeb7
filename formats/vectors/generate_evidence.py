"""Write evidence.json: `python formats/vectors/generate_evidence.py [DIRECTORY]`.

The file is the same on every run; evidence.md, beside this directory, explains what it holds. What
is expected of each case is written here by hand.
"""

from __future__ import annotations

import hashlib
import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

JSON = dict[str, Any]
Key = Ed25519PrivateKey | ec.EllipticCurvePrivateKey

NOON = 1_780_315_200_000  # 2026-06-01T12:00:00Z
TENANT = "0f2b5a6e-1c3d-4e5f-8a9b-0c1d2e3f4a5b"
ANN, BEN = "a" * 32, "b" * 32
STATEMENT, REPORT = "application/vnd.in-toto+json", "application/vnd.bailment.report+json"
ASSESSOR = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"assessor").digest())
EXECUTIVE = ec.derive_private_key(0xE1EC, ec.SECP256R1())


def user(number: int, name: str, **fields: Any) -> JSON:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": f"u-{number}",
        "userName": name,
        "active": True,
        "emails": [{"value": name, "type": "work"}],
        "meta": {"location": f"https://scim.acme.example/v2/Users/u-{number}"},
    } | fields


def page(*users: JSON, total: int | None = None) -> JSON:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": len(users) if total is None else total,
        "Resources": list(users),
    }


ROSTER: JSON = {
    "format": "bailment-roster/v1",
    "id": "roster-2026-06-01",
    "scope": TENANT.upper(),
    "collected": NOON,
    "pages": [page(user(1, "ann@acme.example"))],
}
ATTESTATION: JSON = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "acme", "digest": {"sha256": "5" * 64}}],
    "predicateType": "urn:bailment:attestation:v1",
    "predicate": {
        "id": "acme-t3-2026",
        "kind": "attest.executive",
        "statement": "Acme meets T3 of this spec, and I answer for it.",
        "attested": "2026-06-01T14:00:00+02:00",
        "expires": "2026-12-01T00:00:00Z",
        "tier": "T3",
    },
}
DOCUMENT: JSON = {
    "format": "bailment-document/v1",
    "id": "soc2-2026",
    "kind": "report.soc2",
    "title": "SOC 2 Type 2",
    "scope": ["acme"],
    "period": {"from": "2025-06-01", "to": "2026-05-31"},
    "issued": "2026-06-15",
    "auditor": {"name": "Example Assessors LLP"},
    "opinion": "unqualified",
    "report": {"sha256": "7" * 64},
    "exceptions": {"CC6.1": 0, "CC9.2": 1},
}
DRILL: JSON = {
    "format": "bailment-drill/v1",
    "id": "revocation-7",
    "kind": "drill.revoke",
    "scope": "acme",
    "started": NOON,
    "ended": NOON + 60_000,
    "timed": {
        "revoked_after_ms": [
            {"from": NOON, "until": NOON + 120},
            {"from": NOON + 1000, "until": NOON + 1450},
        ]
    },
}
OBSERVATION: JSON = {
    "format": "bailment-observation/v1",
    "id": "acme-2026-06-01",
    "kind": "gw.use",
    "scope": "acme",
    "from": NOON - 86_400_000,
    "until": NOON,
    "observed": 7,
    "counts": {"undelegated_requests": 0, "bound_ppm": 1_000_000},
    "people": [BEN, ANN],
}


def text(value: JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def pae(kind: str, payload: bytes) -> bytes:
    parts = (b"DSSEv1", str(len(kind.encode())).encode(), kind.encode())
    return b" ".join((*parts, str(len(payload)).encode(), payload))


def envelope(value: JSON, kind: str, *keys: Key, der: bool = False, name: str = "") -> JSON:
    payload = text(value).encode()
    signatures: list[JSON] = []
    for key in keys:
        message = pae(kind, payload)
        if isinstance(key, Ed25519PrivateKey):
            made = key.sign(message)
        else:
            made = key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
            if not der:
                made = b"".join(one.to_bytes(32, "big") for one in decode_dss_signature(made))
        signatures.append({"sig": b64encode(made).decode()} | ({"keyid": name} if name else {}))
    return {"payload": b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}


def pem(key: Key) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_id(key: Key) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def read(adapter: str, report: str, scope: str, claimed: int | None, **more: Any) -> JSON:
    return {
        "read": {
            "adapter": adapter,
            "report": report,
            "kind": "",
            "claimed": claimed,
            "expires": None,
            "checks": {scope: {}},
            "claims": {},
            "people": [],
            "signers": [],
            "strangers": 0,
        }
        | more
    }


def refused(reason: str) -> JSON:
    return {"refused": reason}


SHAPE = refused("evidence-shape")
CONTRADICTORY = refused("evidence-contradictory")
UNRECOGNISED = refused("evidence-unrecognised")
EMPTY = refused("evidence-empty")
NO_SCOPE = refused("evidence-scope-missing")
INCOMPLETE = refused("evidence-incomplete")
ATTESTED: JSON = {
    "kind": "attest.executive",
    "expires": 1_796_083_200_000,
    "checks": {"acme": {"tier-attestation": "pass"}},
    "claims": {"tier": 3},
}
DOCUMENTED: JSON = {
    "kind": "report.soc2",
    "checks": {"acme": {"opinion": "pass"}},
    "claims": {"cc6_1_exceptions": 0, "cc9_2_exceptions": 1},
}
MAY_31 = 1_780_271_999_999  # its last ms, in UTC


def rosters() -> list[tuple[str, Any, JSON]]:
    ann, ben = user(1, "ann@acme.example"), user(2, "ben@acme.example")
    server = "https://scim.acme.example/v2"
    return [
        ("a roster file", ROSTER, read("scim/1", "roster-2026-06-01", TENANT, NOON)),
        ("a server's answer", page(ann), read("scim/1", "derived", server, None)),
        (
            "two pages",
            [page(ann, total=2), page(ben, total=2)],
            read("scim/1", "derived", server, None),
        ),
        ("a page is missing", [page(ann, total=2)], INCOMPLETE),
        ("a page twice", [page(ann, total=2)] * 2, INCOMPLETE),
        ("nobody", ROSTER | {"pages": [page()]}, EMPTY),
        ("a member too many", ROSTER | {"more": 1}, SHAPE),
        ("no scope", ROSTER | {"scope": "our tenant"}, NO_SCOPE),
        (
            "two servers",
            page(ann, user(2, "b", meta={"location": "https://other.example/Users/u-2"})),
            NO_SCOPE,
        ),
    ]


def own() -> list[tuple[str, Any, JSON]]:
    observed = {
        "kind": "gw.use",
        "claims": {"undelegated_requests": 0, "bound_ppm": 1_000_000, "observed": 7},
        "people": [ANN, BEN],
    }
    nothing = {"claims": {"alerts": 1, "observed": 0}, "kind": "gw.use", "people": [ANN, BEN]}
    drilled = {
        "kind": "drill.revoke",
        "claims": {"revoked_after_ms": 450, "trials": 2, "missed": 0},
    }
    second = [{"from": NOON, "until": NOON + 1}]
    never = [*second, {"from": NOON, "until": None}]
    quiet = {"timed": {}, "counts": {"unbound_accepted": 0}}
    period = {"period": {"from": "2025-06-01", "to": "2026-06-30"}}
    return [
        ("a document", DOCUMENT, read("document/1", "soc2-2026", "acme", MAY_31, **DOCUMENTED)),
        ("issued within its period", DOCUMENT | period, CONTRADICTORY),
        ("two spellings", DOCUMENT | {"exceptions": {"CC6.1": 0, "cc6-1": 0}}, SHAPE),
        ("the opinion twice", DOCUMENT | {"checks": {"opinion": "pass"}}, CONTRADICTORY),
        ("a drill", DRILL, read("drill/1", "revocation-7", "acme", NOON, **drilled)),
        (
            "a second, rounded up",
            DRILL | {"timed": {"told_after_s": second}},
            read("drill/1", "revocation-7", "acme", NOON, kind="drill.revoke",
                 claims={"told_after_s": 1, "trials": 1, "missed": 0}),
        ),
        (
            "a trial without effect",
            DRILL | {"timed": {"revoked_after_ms": never}},
            read("drill/1", "revocation-7", "acme", NOON, kind="drill.revoke",
                 claims={"trials": 2, "missed": 1}),
        ),
        ("no trial", DRILL | {"timed": {}}, EMPTY),
        ("a probe of nothing", DRILL | quiet, EMPTY),
        (
            "a probe of something",
            DRILL | quiet | {"observed": 3},
            read("drill/1", "revocation-7", "acme", NOON, kind="drill.revoke",
                 claims={"unbound_accepted": 0, "observed": 3}),
        ),
        ("a trial too early", DRILL | {"started": NOON + 1}, CONTRADICTORY),
        (
            "an observation",
            OBSERVATION,
            read("gateway/1", "acme-2026-06-01", "acme", NOON, **observed),
        ),
        (
            "nothing observed",
            OBSERVATION | {"observed": 0, "counts": {"undelegated_requests": 0, "alerts": 1}},
            read("gateway/1", "acme-2026-06-01", "acme", NOON, **nothing),
        ),
        ("a fraction", OBSERVATION | {"counts": {"share": 0.5}}, SHAPE),
        ("another version", OBSERVATION | {"format": "bailment-observation/v2"}, UNRECOGNISED),
    ]  # fmt: skip


def signed() -> list[tuple[str, Any, JSON]]:
    attested = read("dsse-attestation/1", "acme-t3-2026", "acme", NOON, **ATTESTED)
    executive = read("dsse-attestation/1", "acme-t3-2026", "acme", NOON, **ATTESTED, signers=[1])
    assessed = read("document/1", "soc2-2026", "acme", MAY_31, **DOCUMENTED, signers=[0])
    strange = read("document/1", "soc2-2026", "acme", MAY_31, **DOCUMENTED, strangers=1)
    other = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"other").digest())
    document = envelope(DOCUMENT, REPORT, ASSESSOR)
    named = envelope(DOCUMENT, REPORT, ASSESSOR, name=key_id(ASSESSOR))
    better = b64encode(text(DOCUMENT | {"exceptions": {}}).encode()).decode()
    twice = ATTESTATION | {"predicate": ATTESTATION["predicate"] | {"claims": {"tier": 4}}}
    return [
        ("an attestation, not signed yet", ATTESTATION, attested),
        ("r and s", envelope(ATTESTATION, STATEMENT, EXECUTIVE), executive),
        ("DER", envelope(ATTESTATION, STATEMENT, EXECUTIVE, der=True), executive),
        ("the tier twice", twice, CONTRADICTORY),
        ("a signed document", document, assessed),
        ("with a key id", named, assessed),
        ("with a wrong key id", envelope(DOCUMENT, REPORT, ASSESSOR, name="x"), assessed),
        ("by a stranger", envelope(DOCUMENT, REPORT, other), strange),
        ("changed, naming the key", named | {"payload": better}, refused("evidence-signature")),
        ("signed as another type", document | {"payloadType": STATEMENT}, SHAPE),
        ("of no type", document | {"payloadType": "application/json"}, UNRECOGNISED),
        ("by nobody", document | {"signatures": []}, refused("evidence-unsigned")),
        ("an envelope in an envelope", envelope(document, REPORT, ASSESSOR), UNRECOGNISED),
    ]  # fmt: skip


def texts() -> list[tuple[str, str, JSON]]:
    plain = text(OBSERVATION)
    return [
        ("a byte order mark", "\ufeff" + plain, refused("evidence-byte-order-mark")),
        ("cut off", plain[:-20], refused("evidence-truncated")),
        ("a key twice", plain[:-1] + ', "observed": 7}', refused("evidence-duplicate-key")),
        ("65 deep", "[" * 65 + "]" * 65, refused("evidence-too-deep")),
        ("64 deep", "[" * 64 + "]" * 64, UNRECOGNISED),
        ("not JSON", plain + plain, refused("evidence-malformed")),
    ]


def matched() -> list[JSON]:
    known = {ANN: ["ann@acme.example"], BEN: ["ben@acme.example", "00uBEN"]}

    def case(name: str, people: list[str], unmatched: int, inactive: int, *accounts: JSON) -> JSON:
        filled = [{"id": "0", "user_name": "?", "emails": [], "active": True} | a for a in accounts]
        return {
            "name": name,
            "known": known,
            "accounts": filled,
            "people": people,
            "accounts_claim": len(filled),
            "unmatched": unmatched,
            "inactive": inactive,
        }

    both = ["ann@acme.example", "ben@acme.example"]
    return [
        case("a user name", [ANN], 0, 0, {"user_name": "Ann@ACME.example"}),
        case("an email", [ANN], 0, 0, {"emails": ["x@y", "ann@acme.example"]}),
        case("an account id", [BEN], 0, 0, {"id": "00uBEN"}),
        case("an account id in another case", [], 1, 0, {"id": "00uben"}),
        case("a tag", [], 1, 0, {"user_name": "ann+x@acme.example"}),
        case("a space", [], 1, 0, {"user_name": "ann@acme.example "}),
        case("full width", [], 1, 0, {"user_name": "\uff41nn@acme.example"}),
        case("two people's", [], 1, 0, {"emails": both}),
        case("inactive", [], 0, 1, {"user_name": "ann@acme.example", "active": False}),
        case("nobody knows", [], 0, 0, {"user_name": "ann@acme.example", "active": None}),
        case("a stranger, nobody knows", [], 1, 0, {"user_name": "who", "active": None}),
    ]


def main(folder: Path) -> None:
    known = [pem(ASSESSOR), pem(EXECUTIVE)]
    values = [*rosters(), *own(), *signed()]
    cases = [(name, text(value), expected) for name, value, expected in values] + texts()
    vectors = {
        "files": [
            {"name": name, "text": body, "known": known} | expected
            for name, body, expected in cases
        ],
        "matched": matched(),
        "pae": [
            {
                "name": "DSSE's own example",
                "type": "http://example.com/HelloWorld",
                "payload": "hello world",
                "encoded": "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
            },
            {"name": "bytes count", "type": "é", "payload": "", "encoded": "DSSEv1 2 é 0 "},
        ],
    }
    out = json.dumps(vectors, indent=1) + "\n"
    (folder / "evidence.json").write_text(out, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
