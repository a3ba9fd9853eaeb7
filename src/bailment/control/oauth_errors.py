"""Refusals in the words of OAuth 2.0 (RFC 6749 §5.2), for every endpoint below `/oauth/`."""

from __future__ import annotations

from starlette.responses import Response

from bailment.access.answers import ANSWERS, detail_for
from bailment.access.reasons import Reason, Refused
from bailment.control.requests import answer

#: RFC 6749 §5.2, RFC 9449 §5 and RFC 9396 §5 codes by reason; the rest is `invalid_grant`.
_ERRORS = {
    Reason.PROOF_NONCE: "use_dpop_nonce",
    Reason.CLIENT_ASSERTION: "invalid_client",
    Reason.CERTIFICATE_OTHER: "invalid_client",
    Reason.CERTIFICATE_EXPIRED: "invalid_client",
    Reason.TOKEN_UNTRUSTED: "unauthorized_client",
    Reason.BODY_MALFORMED: "invalid_request",
    Reason.BODY_TOO_LARGE: "invalid_request",
    Reason.PURPOSE_OUTSIDE_CHAIN: "invalid_authorization_details",
    Reason.MODEL_OUTSIDE_CHAIN: "invalid_authorization_details",
    Reason.NETWORK_OUTSIDE_CHAIN: "invalid_authorization_details",
    Reason.LOG_UNAVAILABLE: "temporarily_unavailable",
    Reason.DISK_RESERVE: "temporarily_unavailable",
    Reason.CLOCK_BEHIND: "temporarily_unavailable",
    Reason.FEED_STALE: "temporarily_unavailable",
    Reason.KILL_SWITCH: "temporarily_unavailable",
    Reason.OVERLOADED: "slow_down",
}
#: The codes of which the HTTP status says something too.
_STATUS = ("invalid_client", "temporarily_unavailable", "slow_down")
CODES = frozenset((*_ERRORS.values(), "invalid_dpop_proof", "invalid_grant"))


def oauth_error(refused: Refused, contact: str) -> Response:
    """400 for all but a client that is not authenticated, and for our own state."""
    error = _ERRORS.get(refused.reason)
    if error is None:
        error = "invalid_dpop_proof" if refused.reason.startswith("proof") else "invalid_grant"
    found = ANSWERS[refused.reason]
    detail = detail_for(refused, verified=True, contact=contact)
    told = {
        "error": error,
        "error_description": f"{found.title}: {detail}" if detail else found.title,
        "reason": refused.reason.value,
    }
    return answer(told, found.status if error in _STATUS else 400)
