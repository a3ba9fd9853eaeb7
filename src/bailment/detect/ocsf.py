"""Records as OCSF events (Open Cybersecurity Schema Framework 1.8.0, schema.ocsf.io/1.8.0).

Findings become Detection Finding [2004], incidents Incident Finding [2005], accesses API Activity
[6003] with the profiles `ai_operation` and `security_control`, sign-ins and tokens Authentication
[3002], what gives and takes access User Access Management [3005]. Other records have no event.
Everybody is named by the random ids of the log, unless the receiver is given names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bailment import __version__
from bailment.access.state import Indexed
from bailment.detect.event import Event, EventReader
from bailment.detect.ocsf_shapes import CLASSES, VERSION, JSONObject, classified, endpoint, resource
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
from bailment.ledger.incident_records import (
    IncidentClosed,
    IncidentOpened,
    NoticeAcknowledged,
    RotationDone,
)
from bailment.ledger.records import (
    AccessClosed,
    AccessOpened,
    AccessRefused,
    DelegationEnded,
    HoldAdded,
    HoldLifted,
    TokenIssued,
)

_DETECTION, _INCIDENT, _API, _AUTHENTICATION, _ACCESS = 2004, 2005, 6003, 3002, 3005
_SEVERITY = {"low": 2, "medium": 3, "high": 4, "critical": 5}
_INFORMATIONAL = 1
#: A person's verdict as `verdict_id`: true positive, benign, disregard.
_VERDICT = {"misuse": 2, "benign": 5, "known": 3}
_RULE, _LEARNED = 1, 4
_CREATE, _READ = 1, 2
_SUCCESS, _FAILURE = 1, 2
_ALLOWED, _DENIED = 1, 2
_BLOCKED = 2
_USER, _SERVICE = 1, 4
#: As many records as a finding cites here; the record has them all.
_CITED = 64
_REMEMBERED = 10_000


def _nobody(person: str) -> str:
    return ""


class Mapper:
    """Makes events of records that come in the log's order. It remembers what later ones refer to:
    the accesses and tokens of the last minutes, holds and incidents' notices; at most 10,000 each.

    issuer   the log's origin, which is the name of this log and of who provides the models
    name_of  the name of a person by id, for receivers that are given names
    authors  whether who acted, and what they wrote, is told too
    """

    def __init__(
        self, issuer: str, name_of: Callable[[str], str] = _nobody, *, authors: bool = False
    ) -> None:
        self._issuer = issuer
        self._name_of = name_of
        self._authors = authors
        self._reader = EventReader()
        self._refers: OrderedDict[str, str] = OrderedDict()

    def read(
        self, index: int, time: int, leaf_hash: str, facts: Facts, register: Indexed
    ) -> JSONObject | None:
        """The event of an entry; None where its record has none. Times in ms."""
        event = self._reader.read(index, time, facts, register)
        found = self._event(event or Event(index, time, "opened"), facts, register)
        if found is None:
            return None
        metadata = {
            "version": VERSION,
            "product": {"name": "bailment", "vendor_name": "bailment", "version": __version__},
            "log_name": self._issuer,
            "uid": f"{self._issuer}#{index}",
            "sequence": index,
            "event_code": facts.TYPE,
            **found.pop("metadata", {}),
        }
        if event is not None and event.recipient:
            metadata["tenant_uid"] = event.recipient
        unmapped = {"leaf_hash": leaf_hash, **found.pop("unmapped", {})}
        return {"time": time, "metadata": metadata, **found, "unmapped": unmapped}

    def _event(self, event: Event, facts: Facts, register: Indexed) -> JSONObject | None:
        match facts:
            case FindingRaised():
                return self._raised(event, facts)
            case FindingGrouped() | FindingJudged():
                return self._followed(facts)
            case AccessOpened() | AccessClosed() | AccessRefused():
                return self._access(event, facts)
            case PersonSignedIn() | TokenIssued() | TokenRevoked() | SignInsEnded():
                return self._sign_in(event, facts)
            case HoldAdded() | HoldLifted() | DelegationEnded() | StepUpAsked() | StepUpEnded():
                return self._given(facts, register)
            case _ if isinstance(facts, CLASSES["incidents"]):
                return self._incident(facts)
        return None

    def recall(self, register: Indexed) -> None:
        """Remember what the register still knows: what was set before, and is not lifted."""
        for hold in register.state.holds.values():
            self._remember(f"hold:{hold.hold}", hold.subject)
        for demanded in register.state.rotations.values():
            self._remember(f"rotation:{demanded.rotation}", demanded.incident)
        for name, noticed in register.state.notices.items():
            self._remember(f"notice:{name}", noticed.sent.incident)

    def lacks(self, facts: Facts) -> bool:
        """Whether a record refers to an earlier one that this has not seen, or not any more."""
        match facts:
            case HoldLifted():
                return f"hold:{facts.hold}" not in self._refers
            case RotationDone():
                return f"rotation:{facts.rotation}" not in self._refers
            case NoticeAcknowledged():
                return f"notice:{facts.notice}" not in self._refers
        return False

    # Findings

    def _raised(self, event: Event, facts: FindingRaised) -> JSONObject:
        subjects = [*((facts.subject,) if facts.subject else ()), *facts.others]
        info = {
            "uid": facts.finding,
            "title": facts.kind,
            "types": [facts.kind],
            "desc": facts.sentence,
            "analytic": {
                "name": facts.kind,
                "type_id": _LEARNED if facts.model else _RULE,
                **({"version": facts.model} if facts.model else {}),
            },
            "created_time": event.time,
            "first_seen_time": facts.since,
            "last_seen_time": facts.until,
            "related_events": [self._cited(entry) for entry in facts.records[-_CITED:]],
            "related_events_count": len(facts.records),
        }
        return {
            **classified(_DETECTION, _CREATE, _SEVERITY.get(facts.severity, 3)),
            "message": facts.sentence,
            "status_id": 1,
            "is_alert": facts.response != "record",
            "count": max(1, facts.count),
            "start_time": facts.since,
            "end_time": facts.until,
            "finding_info": info,
            "resources": [resource(one) for one in subjects if one],
            "metadata": {"correlation_uid": facts.finding},
            "unmapped": {"response": facts.response, "numbers": facts.numbers},
        }

    def _followed(self, facts: FindingGrouped | FindingJudged) -> JSONObject:
        judged = isinstance(facts, FindingJudged)
        name = facts.finding or "many"
        if isinstance(facts, FindingGrouped) and not facts.finding:
            name = f"many:{facts.kind}"
        found = {
            **classified(_DETECTION, 3 if judged else 2, 0),
            "finding_info": {"uid": name},
            "metadata": {"correlation_uid": name},
        }
        if isinstance(facts, FindingJudged):
            found["status_id"] = 4
            found["verdict_id"] = _VERDICT.get(facts.verdict, 99)
            found["verdict"] = facts.verdict
            found["metadata"] |= {"profiles": ["incident"]}
            if self._authors:
                found["comment"] = f"{facts.author}: {facts.reason}"
            return found
        info = {
            "last_seen_time": facts.until,
            "related_events": [self._cited(entry) for entry in facts.records[-_CITED:]],
        }
        if facts.kind:
            info["title"] = facts.kind
        found["finding_info"] |= info
        return found | {
            "status_id": 2,
            "count": max(1, facts.count),
            "start_time": facts.since,
            "end_time": facts.until,
            **({"unmapped": {"subjects": facts.subjects}} if facts.subjects else {}),
        }

    # Accesses

    def _access(
        self, event: Event, facts: AccessOpened | AccessClosed | AccessRefused
    ) -> JSONObject:
        denied = isinstance(facts, AccessRefused)
        failed = denied or (isinstance(facts, AccessClosed) and facts.outcome != "complete")
        reading = event.action == "list-models"
        found = {
            **classified(_API, _READ if reading else _CREATE, 2 if denied else _INFORMATIONAL),
            "action_id": _DENIED if denied else _ALLOWED,
            "status_id": _FAILURE if failed else _SUCCESS,
            "actor": {"user": self._user(event.person or event.device, event)},
            "api": {"operation": event.action or "unknown", "service": {"name": "bailment"}},
            "src_endpoint": endpoint(event.device, event.context),
            "metadata": {"profiles": ["ai_operation", "security_control"]},
            "unmapped": {"purpose": event.purpose} if event.purpose else {},
        }
        if event.model:
            found["ai_model"] = {"name": event.model, "ai_provider": self._issuer}
        if isinstance(facts, AccessRefused):
            since = {"start_time": facts.since, "end_time": facts.until}
            denial = {"disposition_id": _BLOCKED, "status_code": facts.reason}
            return found | denial | since | {"count": max(1, facts.count)}
        found["api"]["request"] = {"uid": facts.access}
        found["metadata"]["correlation_uid"] = facts.access
        context: JSONObject = {"uid": facts.access, "service": {"name": "bailment"}}
        if event.context.client:
            context["application"] = {"name": event.context.client}
            if event.context.version:
                context["application"]["version"] = event.context.version
        if isinstance(facts, AccessOpened):
            context["ai_role_id"] = _USER
            found["actor"]["session"] = {"uid": facts.token}
            if facts.method in ("GET", "POST"):
                found["http_request"] = {"http_method": facts.method}
        else:
            context["ai_role_id"] = 2
            if facts.measured:
                context |= {
                    "prompt_tokens": facts.input,
                    "completion_tokens": facts.output,
                    "total_tokens": facts.input + facts.output,
                }
            found["status_code"] = facts.outcome
            if facts.reason:
                found["status_detail"] = facts.reason
            if facts.status:
                found["http_response"] = {"code": facts.status}
        return found | {"message_context": context}

    # Sign-ins and tokens

    def _sign_in(
        self, event: Event, facts: PersonSignedIn | TokenIssued | TokenRevoked | SignInsEnded
    ) -> JSONObject:
        service = {"service": {"name": self._issuer}, "status_id": _SUCCESS, "is_remote": True}
        match facts:
            case PersonSignedIn():
                found = classified(_AUTHENTICATION, 1, _INFORMATIONAL)
                return found | {
                    **service,
                    "auth_protocol_id": 4,
                    "user": self._user(facts.person, event),
                    "is_mfa": "mfa" in facts.amr,
                    "session": {"uid": facts.token, "created_time": facts.auth_time},
                }
            case TokenIssued():
                found = classified(_AUTHENTICATION, 3, _INFORMATIONAL)
                return found | {
                    **service,
                    "auth_protocol_id": 6,
                    "user": self._user(facts.person or facts.device, event),
                    "session": {
                        "uid": facts.token,
                        "created_time": facts.issued,
                        "expiration_time": facts.until,
                        "credential_uid": facts.device,
                    },
                    "unmapped": {"purpose": facts.purpose, "key_class": facts.key_class},
                }
            case TokenRevoked():
                ended = {"session": {"uid": facts.token, "credential_uid": facts.device}}
                who = facts.device
            case _:
                ended, who = {}, facts.person
        found = classified(_AUTHENTICATION, 2, _INFORMATIONAL)
        return found | service | {"user": self._user(who, event)} | ended

    # What gives and takes access

    def _given(
        self,
        facts: HoldAdded | HoldLifted | DelegationEnded | StepUpAsked | StepUpEnded,
        register: Indexed,
    ) -> JSONObject:
        privilege = "access"
        match facts:
            case HoldAdded():
                subject = facts.subject
                self._remember(f"hold:{facts.hold}", subject)
            case HoldLifted():
                subject = self._refers.get(f"hold:{facts.hold}", f"hold:{facts.hold}")
            case DelegationEnded():
                link = register.links.get(facts.link)
                subject = f"{link.kind}:{link.subject}" if link else f"link:{facts.link}"
            case _:
                subject, privilege = f"person:{facts.person}", "access-without-a-new-sign-in"
        back = isinstance(facts, HoldLifted | StepUpEnded)
        found = {
            **classified(_ACCESS, 1 if back else 2, _INFORMATIONAL if back else 3),
            "status_id": _SUCCESS,
            "user": {"uid": subject, **self._named(subject)},
            "privileges": [privilege],
        }
        if self._authors:
            found["actor"] = {"user": {"name": facts.author}}
            found["status_detail"] = facts.reason
        return found

    # Incidents

    def _incident(self, facts: Facts) -> JSONObject | None:
        told: Mapping[str, Any] = msgspec.structs.asdict(facts)
        kind = "notice" if "notice" in told else "rotation"
        refers = f"{kind}:{told.get(kind, '')}"
        incident = told.get("incident") or self._refers.get(refers, "")
        if kind in told:
            self._remember(refers, incident)
        if not incident:
            return None
        opened, closed = isinstance(facts, IncidentOpened), isinstance(facts, IncidentClosed)
        title = {"title": facts.title} if isinstance(facts, IncidentOpened) else {}
        found = {
            **classified(_INCIDENT, 1 if opened else 3 if closed else 2, 0),
            "status_id": 1 if opened else 5 if closed else 2,
            "status_detail": facts.TYPE,
            "assignee_group": {"name": self._issuer},
            "finding_info_list": [
                {"uid": incident, **title},
                *({"uid": one} for one in told.get("findings", ())),
            ],
            "metadata": {"profiles": ["incident"], "correlation_uid": incident},
            "is_suspected_breach": True,
            "unmapped": {},
        }
        if isinstance(facts, IncidentOpened):
            found["desc"] = facts.title
        if subjects := told.get("subjects"):
            found["unmapped"]["subjects"] = list(subjects)
        if times := told.get("times"):
            found["unmapped"]["times"] = msgspec.structs.asdict(times)
            if times.occurred:
                found["start_time"] = times.occurred
        if isinstance(facts, EvidenceStaled):
            found["unmapped"]["kinds"] = list(facts.kinds)
        if organisation := told.get("organisation") or told.get("recipient"):
            found["metadata"]["tenant_uid"] = organisation
        if self._authors and told.get("author"):
            found["assignee"] = {"name": told["author"]}
        return found

    # Who and where

    def _user(self, who: str, event: Event) -> JSONObject:
        user: JSONObject = {"uid": who or "unknown", "type_id": _USER}
        if event.organisation:
            user["org"] = {"uid": event.organisation}
        if event.device:
            user["credential_uid"] = event.device
        return user | self._named(f"person:{who}")

    def _named(self, subject: str) -> JSONObject:
        kind, _, name = subject.partition(":")
        found = self._name_of(name) if kind == "person" else ""
        return {"name": found} if found else {}

    def _cited(self, entry: int) -> JSONObject:
        return {"uid": f"{self._issuer}#{entry}"}

    def _remember(self, name: str, what: str) -> None:
        self._refers[name] = what
        if len(self._refers) > _REMEMBERED:
            self._refers.popitem(last=False)
