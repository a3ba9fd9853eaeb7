"""What goes in and out of the control plane's public routes, as JSON Schemas (2020-12)."""

from __future__ import annotations

from typing import Any

from bailment.access.assertion import TYPE_URI
from bailment.control.client_auth import CLIENT_GRANT, EXCHANGE_GRANT, JOB_GRANT
from bailment.control.oauth_errors import CODES

Schema = dict[str, Any]

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PROBLEM, OCTETS = "application/problem+json", "application/octet-stream"
HTML, TEXT = "text/html", "text/plain"
BEARER = "credential"

TEXT_VALUE: Schema = {"type": "string"}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TIME: Schema = {"type": "integer", "minimum": 0, "description": "ms since 1970"}
TEXTS: Schema = {"type": "array", "items": TEXT_VALUE}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANYTHING: Schema = {"type": "object"}
_ROWS: Schema = {"type": "array", "items": ANYTHING}
_BY_TIER: Schema = {"type": "object", "additionalProperties": _ROWS}
BYTES: Schema = {"type": "string", "format": "binary"}
URL: Schema = {"type": "string", "maxLength": 512}


def struct(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these members, to which later versions may add."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **optional},
    }


def closed(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object with these members and no other."""
    return {**struct(required, **optional), "additionalProperties": False}


def short(most: int = 200) -> Schema:
    """A text that one person types and others read."""
    return {"type": "string", "minLength": 1, "maxLength": most}


PROBLEM_DETAILS_IN_FULL = struct(
    {
        "type": TEXT_VALUE,
        "title": TEXT_VALUE,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": TEXT_VALUE,
        "reason": {"$ref": "#/components/schemas/Reason"},
    }
)
OAUTH_ERROR_IN_FULL = struct(
    {
        "error": {"type": "string", "enum": sorted(CODES)},
        "error_description": TEXT_VALUE,
        "reason": {"$ref": "#/components/schemas/Reason"},
    }
)
PROBLEM_DETAILS: Schema = {"$ref": "#/components/schemas/Problem"}
OAUTH_ERROR: Schema = {"$ref": "#/components/schemas/OAuthError"}

#: The parameters of paths, by name.
PARTS: dict[str, Schema] = {
    "device": ID,
    "organisation": ID,
    "id": {"type": "string", "minLength": 1, "maxLength": 64},
    "kind": {"type": "string", "minLength": 1, "maxLength": 64},
    "path": {"type": "string", "minLength": 1, "description": "of C2SP tlog-tiles"},
}

DETAIL = struct(
    {"type": {"const": "bailment_access"}, "purpose": TEXT_VALUE, "models": TEXTS},
    budget=struct({"tokens": {"type": "integer"}, "seconds": {"type": "integer"}}),
    networks=TEXTS,
)
_AUTHENTICATION: dict[str, Schema] = {
    "client_id": ID,
    "client_assertion_type": {"const": TYPE_URI},
    "client_assertion": TEXT_VALUE,
}
TOKEN_FORM = struct(
    {
        "grant_type": {"enum": [CLIENT_GRANT, JOB_GRANT, EXCHANGE_GRANT]},
        "authorization_details": TEXT_VALUE,
    },
    **_AUTHENTICATION,
    assertion=TEXT_VALUE,
    subject_token=TEXT_VALUE,
    subject_token_type=TEXT_VALUE,
    ratchet=TEXT_VALUE,
)
STATE_FORM = struct(
    {"token": {"type": "string", "minLength": 1}},
    token_type_hint=TEXT_VALUE,
    **_AUTHENTICATION,
)
TOKEN = struct(
    {
        "access_token": TEXT_VALUE,
        "token_type": {"enum": ["DPoP", "Bearer"]},
        "expires_in": {"type": "integer", "minimum": 1, "maximum": 300},
        "authorization_details": {"type": "array", "items": DETAIL},
    },
    ratchet=TEXT_VALUE,
    issued_token_type=TEXT_VALUE,
)
STATE = struct({"active": {"type": "boolean"}}, authorization_details={"type": "array"})
KEYS = struct({"keys": {"type": "array", "items": ANYTHING}})
METADATA = struct({"issuer": TEXT_VALUE, "token_endpoint": TEXT_VALUE})

KEY_CLASS: Schema = {"enum": ["hw-attested", "hw-unattested", "software"]}
#: base64url without padding.
ENCODED: Schema = {"type": "string", "maxLength": 800}

ENROL = closed(
    {"invitation": short(), "name": short()},
    key_class=KEY_CLASS,
    attestation=closed({"attest": ENCODED, "signature": ENCODED}, activated=ENCODED),
)
SHOWN_TPM = closed(
    {"invitation": short(), "key": ENCODED, "attester": ENCODED},
    certificates={
        "type": "array",
        "maxItems": 4,
        "items": {"type": "string", "maxLength": 5465},
    },
)
CHALLENGE = struct(
    {"nonce": ENCODED, "credential": ENCODED, "secret": ENCODED, "unattested": TEXT_VALUE}
)
ENROLLED = struct(
    {
        "device": ID,
        "code": TEXT_VALUE,
        "status": {"const": "pending"},
        "person": ID,
        "key_class": KEY_CLASS,
        "expires": TIME,
    }
)
ENROLMENT = struct(
    {
        "device": ID,
        "status": {"enum": ["pending", "active", "expired"]},
        "links": {"type": "array", "items": ID},
        "models": TEXTS,
        "canaries": TEXTS,
        "purposes": TEXTS,
    }
)
PENDING = struct({"device": ID, "person": ID, "key": ANYTHING, "parent": ID, "expires": TIME})
CERTIFICATE = struct({"certificate": TEXT_VALUE, "x5t#S256": TEXT_VALUE, "until": TIME})
DELEGATION = closed({"link": {"type": "string", "maxLength": 16384}}, personal=ANYTHING)
DELEGATED = struct({"link": ID}, invitation=ANYTHING)
PROPOSED = struct({"proposed": ID, "act": TEXT_VALUE, "people": {"type": "integer"}, "until": TIME})
MINE = struct({"link": ANYTHING})
STANDING = struct(
    {
        "recipient": TEXT_VALUE,
        "spec": TEXT_VALUE,
        "at": TIME,
        "tier": {"type": ["string", "null"]},
        "phase": TEXT_VALUE,
        "since": TIME,
        "evaluated": TIME,
        "held_back": {"type": "boolean"},
        "ahead": _ROWS,
        "notices": _ROWS,
        "lacking": _BY_TIER,
        "holding": _BY_TIER,
        "evidence": _ROWS,
    }
)
TAKEN = struct({"items": {"type": "array", "items": ANYTHING}})

WEBHOOK = struct({"url": URL, "key": TEXT_VALUE})
_SUBJECTS: Schema = {"type": "array", "items": short(500), "maxItems": 64}
CUSTODY = closed(
    {"system": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}},
    kind=short(64),
    runs=short(200),
    reached=_SUBJECTS,
    stored=_SUBJECTS,
    since={**TIME, "description": "ms since 1970; 0 where nobody knows"},
    ended={"type": "boolean"},
)
MISUSE = closed(
    {
        "subject": {"type": "string", "pattern": "^(person|device|workload):[0-9a-f]{32}$"},
        "since": TIME,
        "text": short(2000),
        "salt": ID,
    },
    until={**TIME, "description": "ms since 1970; 0 for now"},
    access={"type": "string", "pattern": "^([0-9a-f]{32})?$"},
)
