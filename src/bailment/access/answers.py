"""From reason to HTTP: the only table, and the only place that words a refusal.

`title` is for everybody. `detail` (which link, which subject, whom to ask) goes only to a caller
who proved its key; to anybody else the answer is the same whatever the register holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailment.access.reasons import Reason, Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a sentence. `told` tells the caller the refusal's own detail too."""

    status: int
    title: str
    told: bool = False


ANSWERS: dict[Reason, Answer] = {
    Reason.TOKEN_MISSING: Answer(401, "send an access token and a DPoP proof"),
    Reason.TOKEN_MALFORMED: Answer(401, "the access token is malformed"),
    Reason.TOKEN_UNTRUSTED: Answer(401, "the access token was not issued here"),
    Reason.TOKEN_EXPIRED: Answer(401, "the access token has expired; fetch another"),
    Reason.TOKEN_UNBOUND: Answer(401, "the access token is bound to no key"),
    Reason.TOKEN_UNRECORDED: Answer(401, "the access token is not in the log; fetch another"),
    Reason.TOKEN_REVOKED: Answer(401, "the access token was revoked; fetch another"),
    Reason.CREDENTIALS_DISAGREE: Answer(401, "authorization and x-api-key disagree"),
    Reason.PROOF_MISSING: Answer(401, "send a DPoP proof with the access token"),
    Reason.PROOF_MALFORMED: Answer(401, "the DPoP proof is malformed"),
    Reason.PROOF_SIGNATURE: Answer(401, "the DPoP proof's signature does not hold"),
    Reason.PROOF_KEY: Answer(401, "the DPoP proof is by another key than the one it must be by"),
    Reason.PROOF_METHOD: Answer(401, "the DPoP proof is for another method"),
    Reason.PROOF_TARGET: Answer(401, "the DPoP proof is for another URL"),
    Reason.PROOF_TOKEN: Answer(401, "the DPoP proof is for another access token"),
    Reason.PROOF_STALE: Answer(401, "the DPoP proof is too old"),
    Reason.PROOF_FUTURE: Answer(401, "the DPoP proof is from the future: check the clock"),
    Reason.PROOF_NONCE: Answer(401, "sign the DPoP proof with the nonce in this answer"),
    Reason.PROOF_REPLAYED: Answer(401, "the DPoP proof has been used"),
    Reason.PROOF_BODY: Answer(401, "the body is not the one that the DPoP proof was made for"),
    Reason.CLIENT_ASSERTION: Answer(401, "the client assertion does not hold"),
    Reason.CERTIFICATE_MISSING: Answer(
        401, "the connection was made without the certificate that the token is bound to"
    ),
    Reason.CERTIFICATE_OTHER: Answer(
        401, "the connection was made with another certificate than the one it must be"
    ),
    Reason.CERTIFICATE_EXPIRED: Answer(401, "the certificate has expired; ask for another"),
    Reason.JOB_TOKEN: Answer(401, "the job token does not hold"),
    Reason.RATCHET_FORKED: Answer(403, "the device's line of tokens is forked", told=True),
    Reason.HELD: Answer(403, "access is on hold", told=True),
    Reason.KILL_SWITCH: Answer(403, "all access is stopped"),
    Reason.CHAIN_BROKEN: Answer(403, "the delegation chain does not hold", told=True),
    Reason.LINK_UNKNOWN: Answer(403, "the delegation is unknown", told=True),
    Reason.LINK_ENDED: Answer(403, "the delegation was ended", told=True),
    Reason.LINK_EXPIRED: Answer(403, "the delegation has expired", told=True),
    Reason.LINK_EARLY: Answer(403, "the delegation has not begun", told=True),
    Reason.MODEL_OUTSIDE_CHAIN: Answer(403, "the model is outside the delegation", told=True),
    Reason.PURPOSE_OUTSIDE_CHAIN: Answer(403, "the purpose is outside the delegation", told=True),
    Reason.NETWORK_OUTSIDE_CHAIN: Answer(403, "the network is outside the delegation", told=True),
    Reason.BUDGET_SPENT: Answer(403, "the budget is spent", told=True),
    Reason.MODEL_UNTIERED: Answer(403, "the model belongs to no tier yet", told=True),
    Reason.STANDING_TOO_LOW: Answer(
        403, "the recipient's standing does not reach the model's tier", told=True
    ),
    Reason.APPROVAL_MISSING: Answer(403, "it takes more people who sign", told=True),
    Reason.PASSKEY_REFUSED: Answer(403, "the passkey does not prove who signs what", told=True),
    Reason.ATTESTATION_WRONG: Answer(
        403, "what is shown of the key does not prove where it lives", told=True
    ),
    Reason.KEY_CLASS_TOO_LOW: Answer(
        403, "the model's tier asks for a key that is better kept", told=True
    ),
    Reason.PRESENTATION_TOO_WEAK: Answer(
        403, "the model's tier asks for another way to present tokens", told=True
    ),
    Reason.SIGN_IN_TOO_OLD: Answer(
        403, "the model's tier asks for a newer or stronger sign-in", told=True
    ),
    Reason.SIGN_IN_NEEDED: Answer(
        403, "the person has to sign in at the organisation's identity provider", told=True
    ),
    Reason.SIGN_IN_FAILED: Answer(403, "the sign-in came to nothing", told=True),
    Reason.ROTATION_OVERDUE: Answer(403, "the credential was to be replaced by now", told=True),
    Reason.OWNER_GONE: Answer(403, "nobody answers for the workload any more", told=True),
    Reason.SIGNALS_SILENT: Answer(
        403, "the organisation's own systems have not been heard", told=True
    ),
    Reason.SIGNALS_FAILED: Answer(
        403, "the organisation's system cannot be set up as a source", told=True
    ),
    Reason.REQUEST_MALFORMED: Answer(400, "this is no request of HTTP/1.1"),
    Reason.REQUEST_SLOW: Answer(408, "the head of the request came too slowly"),
    Reason.BODY_MALFORMED: Answer(400, "the body is malformed", told=True),
    Reason.BODY_DUPLICATE_KEY: Answer(400, "the body names a key twice", told=True),
    Reason.BODY_TOO_LARGE: Answer(413, "the body is too large", told=True),
    Reason.BODY_SLOW: Answer(408, "the body came too slowly"),
    Reason.HEADERS_TOO_LARGE: Answer(431, "the headers are too large"),
    Reason.MODEL_MISSING: Answer(400, "name a model", told=True),
    Reason.FEATURE_REFUSED: Answer(400, "this feature is not offered here", told=True),
    Reason.ROUTE_UNKNOWN: Answer(404, "there is nothing here"),
    Reason.METHOD_NOT_ALLOWED: Answer(405, "this method is not allowed here"),
    Reason.TOO_OFTEN: Answer(429, "this is asked too often", told=True),
    Reason.UPSTREAM_UNREACHABLE: Answer(502, "the model server cannot be reached"),
    Reason.UPSTREAM_TIMEOUT: Answer(504, "the model server did not answer in time"),
    Reason.UPSTREAM_INVALID: Answer(502, "the model server's answer cannot be used", told=True),
    Reason.UPSTREAM_ABORTED: Answer(502, "the model server broke off"),
    Reason.UPSTREAM_REFUSED: Answer(502, "the model server refused the request", told=True),
    Reason.LOG_UNAVAILABLE: Answer(503, "the log cannot be written, so there is no access"),
    Reason.DISK_RESERVE: Answer(503, "the log's disk is almost full, so there is no access"),
    Reason.CLOCK_BEHIND: Answer(503, "the clock is behind the log, so there is no access"),
    Reason.FEED_STALE: Answer(503, "the gateway does not hear the log, so there is no access"),
    Reason.DRAINING: Answer(503, "the gateway is shutting down"),
    Reason.OVERLOADED: Answer(503, "the gateway is at its limit"),
}


def detail_for(refused: Refused, *, verified: bool, contact: str) -> str:
    """What the caller reads beside the title; empty where it may not know more."""
    answer = ANSWERS[refused.reason]
    if not (verified and answer.told):
        return ""
    ask = f"contact {contact}" if answer.status == 403 and contact else ""
    return "; ".join(part for part in (refused.detail, refused.subject, ask) if part)
