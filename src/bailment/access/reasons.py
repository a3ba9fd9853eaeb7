"""The closed list of reasons for which access is refused, cut or fails.

A reason is data: a slug that never changes its meaning once released. `access/answers.py` is
the only table from reason to HTTP, `docs/reasons.md` explains each to the person who meets it,
and a test holds the three together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why not. Grouped by who can mend it."""

    # The caller did not prove who it is (401).
    TOKEN_MISSING = "token-missing"
    TOKEN_MALFORMED = "token-malformed"
    TOKEN_UNTRUSTED = "token-untrusted"
    TOKEN_EXPIRED = "token-expired"
    TOKEN_UNBOUND = "token-unbound"
    TOKEN_UNRECORDED = "token-unrecorded"
    TOKEN_REVOKED = "token-revoked"
    CREDENTIALS_DISAGREE = "credentials-disagree"
    PROOF_MISSING = "proof-missing"
    PROOF_MALFORMED = "proof-malformed"
    PROOF_SIGNATURE = "proof-signature"
    PROOF_KEY = "proof-key"
    PROOF_METHOD = "proof-method"
    PROOF_TARGET = "proof-target"
    PROOF_TOKEN = "proof-token"
    PROOF_STALE = "proof-stale"
    PROOF_FUTURE = "proof-future"
    PROOF_NONCE = "proof-nonce"
    PROOF_REPLAYED = "proof-replayed"
    PROOF_BODY = "proof-body"
    CLIENT_ASSERTION = "client-assertion"
    CERTIFICATE_MISSING = "certificate-missing"
    CERTIFICATE_OTHER = "certificate-other"
    CERTIFICATE_EXPIRED = "certificate-expired"
    JOB_TOKEN = "job-token"
    RATCHET_FORKED = "ratchet-forked"

    # The caller is known and may not (403).
    HELD = "held"
    KILL_SWITCH = "kill-switch"
    CHAIN_BROKEN = "chain-broken"
    LINK_UNKNOWN = "link-unknown"
    LINK_ENDED = "link-ended"
    LINK_EXPIRED = "link-expired"
    LINK_EARLY = "link-early"
    MODEL_OUTSIDE_CHAIN = "model-outside-chain"
    PURPOSE_OUTSIDE_CHAIN = "purpose-outside-chain"
    NETWORK_OUTSIDE_CHAIN = "network-outside-chain"
    BUDGET_SPENT = "budget-spent"
    MODEL_UNTIERED = "model-untiered"
    STANDING_TOO_LOW = "standing-too-low"
    APPROVAL_MISSING = "approval-missing"
    PASSKEY_REFUSED = "passkey-refused"
    ATTESTATION_WRONG = "attestation-wrong"
    KEY_CLASS_TOO_LOW = "key-class-too-low"
    PRESENTATION_TOO_WEAK = "presentation-too-weak"
    SIGN_IN_TOO_OLD = "sign-in-too-old"
    SIGN_IN_NEEDED = "sign-in-needed"
    SIGN_IN_FAILED = "sign-in-failed"
    OWNER_GONE = "owner-gone"
    ROTATION_OVERDUE = "rotation-overdue"
    SIGNALS_SILENT = "signals-silent"
    SIGNALS_FAILED = "signals-failed"

    # The request itself is wrong (400 and its kin).
    REQUEST_MALFORMED = "request-malformed"
    REQUEST_SLOW = "request-slow"
    BODY_MALFORMED = "body-malformed"
    BODY_DUPLICATE_KEY = "body-duplicate-key"
    BODY_TOO_LARGE = "body-too-large"
    BODY_SLOW = "body-slow"
    HEADERS_TOO_LARGE = "headers-too-large"
    MODEL_MISSING = "model-missing"
    FEATURE_REFUSED = "feature-refused"
    ROUTE_UNKNOWN = "route-unknown"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    TOO_OFTEN = "too-often"

    # The model server failed (502, 504).
    UPSTREAM_UNREACHABLE = "upstream-unreachable"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    UPSTREAM_INVALID = "upstream-invalid"
    UPSTREAM_ABORTED = "upstream-aborted"
    UPSTREAM_REFUSED = "upstream-refused"

    # The gateway itself cannot serve now (503).
    LOG_UNAVAILABLE = "log-unavailable"
    DISK_RESERVE = "disk-reserve"
    CLOCK_BEHIND = "clock-behind"
    FEED_STALE = "feed-stale"
    DRAINING = "draining"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Refused:
    """Access is refused. `subject` names the held or failing thing, for verified callers only."""

    reason: Reason
    detail: str = ""
    subject: str = ""
