"""Small reports in the real formats, of one recipient: values to change, and bytes of them."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from bailment.assurance.adapters import dsse
from bailment.assurance.adapters.recognition import read
from bailment.assurance.adapters.report import Report
from bailment.assurance.reasons import EvidenceRefused
from bailment.assurance.signers import Signer

TENANT = "0f2b5a6e-1c3d-4e5f-8a9b-0c1d2e3f4a5b"
ACCOUNT = "123456789012"
ORG = "acme"
#: 2026-06-01T12:00:00Z, when all of them were collected (ms).
THEN = 1_780_315_200_000
ZULU = "2026-06-01T12:00:00Z"
ALICE, BOB = "a" * 32, "b" * 32


def scubagear(**controls: Any) -> dict[str, Any]:
    """ScubaGear results with one control, whose fields are changed by keyword."""
    control = {
        "Control ID": "MS.AAD.3.1v1",
        "Requirement": "Phishing-resistant MFA SHALL be enforced for all users.",
        "Result": "Pass",
        "Criticality": "Shall",
        "Details": "",
        "OmittedEvaluationResult": "N/A",
        "IncorrectResult": "N/A",
        "OriginalResult": "Pass",
        "Comments": [],
    } | controls
    return {
        "MetaData": {
            "TenantId": TENANT,
            "DisplayName": "Acme",
            "ProductSuite": "Microsoft 365",
            "Tool": "ScubaGear",
            "ToolVersion": "1.8.0",
            "TimestampZulu": "2026-06-01T12:00:00.000Z",
            "ReportUUID": "fa0b1c2d-0000-4000-8000-000000000001",
        },
        "Summary": {"AAD": {"Manual": 0, "Passes": 1, "Failures": 0, "Warnings": 0}},
        "Results": {
            "AAD": [{"GroupName": "MFA", "GroupNumber": "3", "Controls": [control]}],
        },
        "Raw": {
            "report_uuid": "fa0b1c2d-0000-4000-8000-000000000001",
            "tenant_details": [{"DisplayName": "Acme", "TenantId": TENANT}],
        },
    }


def scubagoggles(**controls: Any) -> dict[str, Any]:
    """ScubaGoggles results, whose controls have fewer fields."""
    control = {
        "Control ID": "GWS.COMMONCONTROLS.1.1v1",
        "Requirement": "Phishing-resistant MFA SHALL be required.",
        "Result": "Pass",
        "Criticality": "Shall",
        "OriginalResult": "Pass",
    } | controls
    value = scubagear()
    value["MetaData"] |= {"Tool": "ScubaGoggles", "ToolVersion": "1.1.0", "TenantId": "C01abCd2e"}
    value["Results"] = {"commoncontrols": [{"GroupNumber": "1", "Controls": [control]}]}
    value["Summary"] = {"commoncontrols": {"Passes": 1, "Omit": 0}}
    value["Raw"] = {"report_uuid": value["MetaData"]["ReportUUID"]}
    return value


def finding(**fields: Any) -> dict[str, Any]:
    """One of Prowler's findings; `account` and `scan` say where it belongs."""
    account, scan = fields.pop("account", ACCOUNT), fields.pop("scan", "scan-1")
    return {
        "message": "CloudTrail validates its files.",
        "metadata": {
            "event_code": "cloudtrail_log_file_validation_enabled",
            "product": {"name": "Prowler", "uid": "prowler", "version": "5.9.0"},
            "version": "1.4.0",
        },
        "severity_id": 3,
        "status": "New",
        "status_code": "PASS",
        "status_id": 1,
        "unmapped": {"scan_id": scan, "provider_uid": account, "categories": []},
        "finding_info": {"uid": "finding-1", "title": "CloudTrail"},
        "resources": [{"uid": "arn:aws:cloudtrail:eu-west-1:1:trail/a", "region": "eu-west-1"}],
        "class_uid": 2004,
        "cloud": {"account": {"uid": account, "type_id": 10}, "provider": "aws"},
        "time": THEN // 1000,
        "time_dt": "2026-06-01T12:00:00.000000",
        "type_uid": 200401,
    } | fields


def maester(*tests: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Maester results with these tests, or one that passed."""
    listed = list(tests) or [maester_test()]
    return {
        "Result": "Passed",
        "FailedCount": sum(test["Result"] == "Failed" for test in listed),
        "PassedCount": sum(test["Result"] == "Passed" for test in listed),
        "SkippedCount": sum(test["Result"] == "Skipped" for test in listed),
        "TotalCount": len(listed),
        "ExecutedAt": "2026-06-01T22:00:00.0000000+10:00",
        "TenantId": TENANT,
        "TenantName": "Acme",
        "Account": "admin@acme.example",
        "CurrentVersion": "1.2.0",
        "Tests": listed,
        "Blocks": [],
        "EndOfJson": "EndOfJson",
    } | fields


def maester_test(result: str = "Passed", id: str = "MT.1007", **detail: Any) -> dict[str, Any]:
    return {
        "Id": id,
        "Title": "MFA for all users",
        "Name": f"{id}: MFA for all users",
        "Result": result,
        "ErrorRecord": [],
        "ResultDetail": {"TestTitle": id, "TestSkipped": "", "SkippedReason": None} | detail,
    }


def user(id: str = "u-1", name: str = "alice@acme.example", **fields: Any) -> dict[str, Any]:
    """A SCIM User."""
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": id,
        "userName": name,
        "active": True,
        "name": {"familyName": "A"},
        "emails": [{"value": name, "type": "work", "primary": True}],
        "meta": {"resourceType": "User", "location": f"https://scim.acme.example/v2/Users/{id}"},
    } | fields


def page(*users: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """A SCIM ListResponse."""
    listed = list(users)
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": len(listed) if total is None else total,
        "startIndex": 1,
        "itemsPerPage": len(listed),
        "Resources": listed,
    }


def roster(*users: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A roster file around one page."""
    return {
        "format": "bailment-roster/v1",
        "id": "roster-1",
        "scope": TENANT,
        "collected": THEN,
        "pages": [page(*(users or (user(),)))],
    } | fields


def oscal(state: str = "satisfied", **result: Any) -> dict[str, Any]:
    """OSCAL assessment results with one finding, on the control ac-2."""
    return {
        "assessment-results": {
            "uuid": "11111111-0000-4000-8000-000000000001",
            "metadata": {
                "title": "Assessment",
                "last-modified": ZULU,
                "version": "1",
                "oscal-version": "1.2.1",
            },
            "import-ap": {"href": "#ap"},
            "results": [
                {
                    "uuid": "22222222-0000-4000-8000-000000000002",
                    "title": "Results",
                    "description": "All of them.",
                    "start": ZULU,
                    "reviewed-controls": {"control-selections": [{"include-all": {}}]},
                    "observations": [observed("33333333-0000-4000-8000-000000000003")],
                    "findings": [oscal_finding("ac-2_obj", state)],
                }
                | result
            ],
        }
    }


def observed(uuid: str, **fields: Any) -> dict[str, Any]:
    """An OSCAL observation."""
    return {
        "uuid": uuid,
        "description": "Looked at.",
        "methods": ["TEST"],
        "subjects": [{"subject-uuid": TENANT, "type": "component"}],
        "collected": ZULU,
        "expires": "2026-07-01T00:00:00Z",
    } | fields


def oscal_finding(target: str, state: str = "satisfied", **fields: Any) -> dict[str, Any]:
    """An OSCAL finding, on the one observation."""
    return {
        "uuid": f"44444444-0000-4000-8000-{abs(hash(target)) % 10**12:012}",
        "title": "Finding",
        "description": "Found.",
        "target": {"type": "objective-id", "target-id": target, "status": {"state": state}},
        "related-observations": [{"observation-uuid": "33333333-0000-4000-8000-000000000003"}],
    } | fields


def statement(**predicate: Any) -> dict[str, Any]:
    """An in-toto statement of test results."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": ORG, "digest": {"sha256": "5" * 64}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [{"name": "scan.toml", "digest": {"sha256": "6" * 64}}],
            "passedTests": ["no-secrets"],
            "warnedTests": [],
            "failedTests": [],
            "finishedOn": ZULU,
        }
        | predicate,
    }


def attestation(**predicate: Any) -> dict[str, Any]:
    """The executive's statement that the organisation meets T3 of a spec."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": ORG, "digest": {"sha256": "5" * 64}}],
        "predicateType": "urn:bailment:attestation:v1",
        "predicate": {
            "id": "attestation-1",
            "kind": "attest.executive",
            "statement": "Acme meets T3 of this spec.",
            "attested": ZULU,
            "expires": "2026-12-01T00:00:00Z",
            "tier": "T3",
        }
        | predicate,
    }


def manifest(**fields: Any) -> dict[str, Any]:
    """The manifest of a SOC 2 report."""
    return {
        "format": "bailment-document/v1",
        "id": "soc2-2026",
        "kind": "report.assessment",
        "title": "SOC 2 Type 2",
        "scope": [ORG],
        "period": {"from": "2025-06-01", "to": "2026-05-31"},
        "issued": "2026-06-01",
        "auditor": {"name": "Example Assessors LLP"},
        "opinion": "unqualified",
        "report": {"sha256": "7" * 64},
        "exceptions": {"CC6.1": 0, "CC9.2": 1},
    } | fields


def drill(**fields: Any) -> dict[str, Any]:
    """A revocation drill with three trials."""
    return {
        "format": "bailment-drill/v1",
        "id": "drill-1",
        "kind": "drill.revoke",
        "scope": ORG,
        "started": THEN,
        "ended": THEN + 60_000,
        "timed": {"revoked_after_ms": [trial(0, 120), trial(1000, 1450), trial(2000, 2300)]},
    } | fields


def trial(start: int, end: int | None) -> dict[str, int | None]:
    return {"from": THEN + start, "until": None if end is None else THEN + end}


def observation(**fields: Any) -> dict[str, Any]:
    """What the gateway saw of a day."""
    return {
        "format": "bailment-observation/v1",
        "id": "observation-1",
        "kind": "gw.use",
        "scope": ORG,
        "from": THEN - 86_400_000,
        "until": THEN,
        "observed": 7,
        "counts": {"undelegated_requests": 0, "bound_ppm": 1_000_000},
        "people": [ALICE, BOB],
    } | fields


ED25519 = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
P256 = ec.derive_private_key(7, ec.SECP256R1())
ASSESSOR = Signer("assessor", "third-party", ED25519.public_key())
EXECUTIVE = Signer("executive", "self", P256.public_key(), frozenset({"attest.executive"}))

Key = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def envelope(
    value: Any, *keys: Key, kind: str = "", key_ids: Sequence[str] = (), der: bool = False
) -> dict[str, Any]:
    """A DSSE envelope around a report, signed by these keys."""
    payload = value if isinstance(value, bytes) else data(value)
    is_statement = isinstance(value, dict) and "_type" in value
    kind = kind or (dsse.STATEMENT_TYPE if is_statement else dsse.REPORT_TYPE)
    signatures = [
        {"sig": b64encode(_sign(key, dsse.pae(kind, payload), der)).decode()} for key in keys
    ]
    for one, key_id in zip(signatures, key_ids, strict=False):
        one["keyid"] = key_id
    return {"payload": b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}


def _sign(key: Key, message: bytes, der: bool) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    signature = key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(signature)
    return signature if der else r.to_bytes(32, "big") + s.to_bytes(32, "big")


#: One of each format that adapters read as it is.
EVERY: dict[str, Any] = {
    "scubagear/1": scubagear(),
    "scubagoggles/1": scubagoggles(),
    "prowler-ocsf/1": [finding()],
    "maester/1": maester(),
    "scim/1": roster(),
    "oscal-ar/1": oscal(),
    "in-toto-test-result/1": statement(),
    "dsse-attestation/1": attestation(),
    "document/1": manifest(),
    "drill/1": drill(),
    "gateway/1": observation(),
}


def data(value: Any) -> bytes:
    return json.dumps(value).encode()


def report(value: Any, *known: Signer) -> Report:
    """The report of a value or of bytes; it must be one."""
    found = read(value if isinstance(value, bytes) else data(value), known)
    assert isinstance(found, Report), found
    return found


def refused(value: Any, *known: Signer) -> EvidenceRefused:
    """Why there is no report."""
    found = read(value if isinstance(value, bytes) else data(value), known)
    assert isinstance(found, EvidenceRefused), found
    return found


def only(checks: Any) -> Any:
    """The one value of a mapping."""
    (value,) = checks.values()
    return value


def without(value: Any, *path: str | int) -> Any:
    """The value without the member at the path."""
    copied = copy.deepcopy(value)
    at = copied
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return copied


def with_(value: Any, new: Any, *path: str | int) -> Any:
    """The value with another member at the path."""
    copied = copy.deepcopy(value)
    at = copied
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return copied


def ms(text: str) -> int:
    """A time in ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
