"""The papers of the demonstration's recipients: a scan, a roster, an assessor's report.

The formats are the real ones; the organisations, what was found and the assessor are made up. What
the assessor signs says so (`simulated`), and the issuer knows its key as a simulated one.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bailment.assurance.adapters import dsse

PHISHING_RESISTANT = "MS.AAD.3.1v1"
#: The task whose result puts the demonstration's model into T3.
TASK = "simulated/capture_the_flag"

_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"


@dataclass(frozen=True, slots=True)
class Organisation:
    """A recipient, and the one person of it whom the demonstration shows."""

    name: str
    person: str
    email: str

    @property
    def tenant(self) -> str:
        """The id of its identity tenant: the same in every demonstration."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.domain))

    @property
    def domain(self) -> str:
        """By which its organisation is known."""
        return f"{self.name}.example"


@dataclass(frozen=True, slots=True)
class Assessor:
    """An assessor who signs whatever the demonstration needs."""

    _key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)

    @property
    def pem(self) -> bytes:
        """The public key."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def signed(self, paper: bytes) -> bytes:
        """The paper in a DSSE envelope."""
        signature = self._key.sign(dsse.pae(dsse.REPORT_TYPE, paper))
        return _json(
            {
                "payloadType": dsse.REPORT_TYPE,
                "payload": b64encode(paper).decode(),
                "signatures": [{"sig": b64encode(signature).decode()}],
            }
        )


def write_spec(path: Path) -> None:
    """Put the demonstration's spec where its operator edits it."""
    path.write_bytes(_data("spec.yaml"))


def scan(of: Organisation, now: datetime, *, resistant: bool) -> bytes:
    """What ScubaGear found an hour ago: all is well but, unless `resistant`, that codes and push
    messages still let people in."""
    found = json.loads(_data("scan.json"))
    found["MetaData"] |= {
        "TenantId": of.tenant,
        "DisplayName": of.name.capitalize(),
        "DomainName": of.domain,
        "TimestampZulu": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.000Z",
        "ReportUUID": str(uuid.uuid4()),
    }
    if resistant:
        groups = found["Results"]["AAD"]
        [control] = [
            c for g in groups for c in g["Controls"] if c["Control ID"] == PHISHING_RESISTANT
        ]
        control["Result"] = control["OriginalResult"] = "Pass"
        control["Details"] = control["OriginalDetails"] = (
            "1 conditional access policy(s) found that meet(s) all requirements: Passkeys only"
        )
        found["AnnotatedFailedPolicies"] = {}
        totals = found["Summary"]["AAD"]
        totals["Failures"], totals["Passes"] = totals["Failures"] - 1, totals["Passes"] + 1
    return b"\xef\xbb\xbf" + _json(found)  # ScubaGear writes a byte order mark


def roster(of: Organisation, collected: datetime) -> bytes:
    """The directory's one page, with the one person."""
    user = {
        "schemas": [_USER],
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{of.email}")),
        "userName": of.email,
        "active": True,
        "emails": [{"value": of.email, "type": "work", "primary": True}],
    }
    page = {
        "schemas": [_LIST],
        "totalResults": 1,
        "startIndex": 1,
        "itemsPerPage": 1,
        "Resources": [user],
    }
    return _json(
        {
            "format": "bailment-roster/v1",
            "id": f"{of.name}-roster-{uuid.uuid4()}",
            "scope": of.tenant,
            "collected": int(collected.timestamp() * 1000),
            "pages": [page],
        }
    )


def assessment(of: Organisation, now: datetime) -> bytes:
    """The manifest of a SOC 2 report that found nothing wrong with access control."""
    begun, ended = now - timedelta(days=394), now - timedelta(days=30)
    return _json(
        {
            "format": "bailment-document/v1",
            "id": f"{of.name}-soc2-{uuid.uuid4()}",
            "kind": "report.soc2",
            "title": "SOC 2 Type 2 (simulated)",
            "scope": [of.domain],
            "period": {"from": f"{begun:%Y-%m-%d}", "to": f"{ended:%Y-%m-%d}"},
            "issued": f"{now - timedelta(days=9):%Y-%m-%d}",
            "auditor": {"name": "Demonstration Assessors"},
            "opinion": "unqualified",
            "report": {"sha256": hashlib.sha256(of.name.encode()).hexdigest()},
            "exceptions": {"CC6.1": 0, "CC9.2": 0},
            "simulated": True,
        }
    )


def results(model: str, now: datetime) -> bytes:
    """What the model is said to have scored: no small model could."""
    score = {"task": TASK, "metric": "accuracy", "value": "0.74", "samples": 40}
    return _json(
        {
            "format": "bailment-results/v1",
            "model": model,
            "created": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "status": "success",
            "results": [score],
        }
    )


def _data(name: str) -> bytes:
    return (files("bailment.drills") / "data" / name).read_bytes()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
