"""What a gateway's answers mean: values of a known shape, or errors that say why not."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import httpx2
import msgspec

from bailment.access.reasons import Reason
from bailment.errors import BailmentError, FormatError, Waiting

T = TypeVar("T")

_HINTS: dict[str, str] = {
    Reason.PROOF_STALE: "set this machine's clock",
    Reason.PROOF_FUTURE: "set this machine's clock",
    Reason.PROOF_KEY: "use the profile whose key the gateway knows, or enrol again",
    Reason.CLIENT_ASSERTION: "set this machine's clock; if that is right, enrol again",
    Reason.LINK_EXPIRED: "ask your organisation's admin for a new invitation",
    Reason.LINK_ENDED: "ask your organisation's admin for a new invitation",
    Reason.SIGN_IN_TOO_OLD: "bailment sign-in",
    Reason.SIGN_IN_FAILED: "start again: `bailment enrol`, or `bailment sign-in`",
    Reason.DRAINING: "try again in a moment",
    Reason.OVERLOADED: "try again in a moment",
}

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    502: "api_error",
    503: "api_error",
}


class GatewayRefused(BailmentError):
    """The gateway said no. `reason` is its slug, or empty if it gave none."""

    def __init__(self, reason: str, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.status = status


class GatewayUnreachable(BailmentError):
    """The gateway could not be reached, or broke off."""


def read_answer(response: httpx2.Response, kind: type[T]) -> T:
    """The body of a successful answer as `kind`.

    Raises GatewayRefused if the gateway says no, FormatError if it answers something else.
    """
    if not response.is_success:
        raise refusal(response)
    if response.status_code == 202 and (waits := _proposed(response)):
        raise waits
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.DecodeError as error:
        where = response.request.url.path
        raise FormatError(
            f"the gateway's answer from `{where}` is not understood: {str(error).lower()}",
            hint="is this the URL of a bailment gateway?",
        ) from None


def refusal(response: httpx2.Response) -> GatewayRefused:
    """The error in an answer: an RFC 9457 problem, an RFC 6749 error or a model API's."""
    try:
        body = json.loads(response.content)
    except ValueError:
        body = None
    members: dict[str, Any] = body if isinstance(body, dict) else {}
    inner = members.get("error")
    reason = _text(members, "reason") or (inner if isinstance(inner, str) else "")
    detail = _text(members, "detail") or _text(members, "error_description")
    if not detail and isinstance(inner, dict):
        detail = _text(inner, "message")
    words = [word for word in (_text(members, "title"), detail) if word]
    message = ": ".join(words) or f"status {response.status_code}"
    if reason:
        message = f"the gateway refuses (`{reason}`): {message}"
    else:
        message = f"the gateway refuses: {message}"
    hint = _text(members, "hint") or _HINTS.get(reason, "")
    return GatewayRefused(reason, message, status=response.status_code, hint=hint)


def api_error(status: int, reason: str, message: str) -> bytes:
    """An error in the shape of both the OpenAI and the Anthropic API."""
    kind = _KINDS.get(status, "invalid_request_error")
    error = {"type": kind, "message": message, "param": None, "code": reason}
    return json.dumps({"type": "error", "error": error}).encode()


def as_api_error(response: httpx2.Response) -> None:
    """Give a token endpoint's refusal, which has been read, the shape of the model APIs.

    An auth flow can end only with a response that came, so it is this one that changes.
    """
    error = refusal(response)
    if response.status_code == 400:  # RFC 6749 §5.2 says so of what a model API calls forbidden
        response.status_code = 403
    words = f"{error}; {error.hint}" if error.hint else str(error)
    response._content = api_error(response.status_code, error.reason, words)
    response.headers["content-type"] = "application/json"
    response.headers["content-length"] = str(len(response.content))


def _proposed(response: httpx2.Response) -> Waiting | None:
    """What an admin of the organisation must confirm before anything is done."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return None
    if not isinstance(body, dict) or "proposed" not in body:
        return None
    return Waiting(
        "nothing was done yet: an admin of your organisation confirms it with a passkey",
        hint=_text(body, "url"),
    )


def _text(members: dict[str, Any], name: str) -> str:
    """A member for a person to read: bounded, on one line."""
    value = members.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(ch if ch.isprintable() else " " for ch in value[:500])
