"""What OCSF events share: which records there are events of, and the small objects in them."""

from __future__ import annotations

from typing import Any, Literal

from bailment.ledger.context import Context
from bailment.ledger.detection_records import (
    FindingGrouped,
    FindingJudged,
    FindingRaised,
    StepUpAsked,
    StepUpEnded,
)
from bailment.ledger.evidence_records import EvidenceStaled
from bailment.ledger.facts import Facts
from bailment.ledger.identity_records import PersonSignedIn, SignInsEnded, TokenRevoked
from bailment.ledger.incident_records import INCIDENT_RECORDS
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    DelegationEnded,
    HoldAdded,
    HoldLifted,
    TokenIssued,
)

JSONObject = dict[str, Any]

VERSION = "1.8.0"

#: What a receiver may want: each is the records of these types.
Class = Literal["findings", "incidents", "accesses", "sign-ins", "delegations"]
CLASSES: dict[Class, tuple[type[Facts], ...]] = {
    "findings": (FindingRaised, FindingGrouped, FindingJudged),
    "incidents": (*INCIDENT_RECORDS, EvidenceStaled),
    "accesses": (AccessOpened, AccessClosed, AccessRefused),
    "sign-ins": (PersonSignedIn, SignInsEnded, TokenIssued, TokenRevoked),
    "delegations": (HoldAdded, HoldLifted, DelegationEnded, StepUpAsked, StepUpEnded),
}


def shortened(event: JSONObject, size: int) -> JSONObject:
    """What is left of an event of `size` bytes for a receiver that takes no event so long: what the
    schema asks for, said to be truncated."""
    kept = {
        name: value
        for name, value in event.items()
        if name not in {"unmapped", "resources", "message", "observables", "desc"}
    }
    for name in ("finding_info", "finding_info_list"):
        if name in kept:
            many = kept[name] if isinstance(kept[name], list) else [kept[name]]
            short = [{"uid": one["uid"]} for one in many[:1]]
            kept[name] = short if isinstance(kept[name], list) else short[0]
    kept["metadata"] = {**kept["metadata"], "is_truncated": True, "untruncated_size": size}
    return kept


def classified(uid: int, activity: int, severity: int) -> JSONObject:
    return {
        "class_uid": uid,
        "category_uid": uid // 1000,
        "activity_id": activity,
        "type_uid": uid * 100 + activity,
        "severity_id": severity,
    }


def resource(subject: str) -> JSONObject:
    return {"uid": subject, "type": subject.partition(":")[0]}


def endpoint(device: str, context: Context) -> JSONObject:
    found: JSONObject = {"uid": device} if device else {"name": "unknown"}
    if context.asn:
        found["autonomous_system"] = {"number": context.asn}
    if context.country:
        found["location"] = {"country": context.country}
    if context.address:
        found["network_scope_id"], found["network_scope"] = 99, context.address
    if context.prefix:
        found["subnet_uid"] = context.prefix
    return found
