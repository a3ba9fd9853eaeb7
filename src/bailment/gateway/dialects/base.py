"""What every dialect gives the journey: a question to put upstream, a count of tokens, errors.

A dialect is one model API as its unmodified SDK speaks it. It parses and formats; it does no I/O
and decides nothing: who may ask which model is `access.decision`'s affair.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from bailment.access.reasons import Reason, Refused
from bailment.detect.context import UNOPENED, Opening
from bailment.errors import FormatError
from bailment.gateway.dialects.sse import StreamReader, Usage

PROBLEM_TYPE = "urn:bailment:reason:"
"""RFC 9457 `type` of every refusal, followed by the reason's slug."""


class Action(StrEnum):
    """What an access does."""

    GENERATE = "generate"
    COUNT_TOKENS = "count-tokens"
    LIST_MODELS = "list-models"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, as far as the gateway must understand it.

    `max_output` is the client's own limit in tokens per choice, None if it set none; `choices` is
    how many answers it wants. `body` goes upstream: the client's bytes, except where usage must be
    requested or storing forbidden. `strip_usage` says that the client did not ask for the usage
    chunk which the answer will carry. `opening` and `prompt`, what the
    user said last, are for detectors.
    """

    action: Action
    model: str
    stream: bool
    max_output: int | None
    choices: int
    body: bytes
    strip_usage: bool = False
    opening: Opening = UNOPENED
    prompt: str = ""


class Dialect(ABC):
    """One model API. Instances hold no state and serve every request."""

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    """The paths it answers, here and upstream."""

    @abstractmethod
    def parse(self, path: str, body: bytes) -> Ask | Refused:
        """The question in `body`, sent to `path`, one of `paths`."""

    def usage(self, body: bytes) -> Usage | None:
        """Tokens used, from a complete JSON answer; None if it does not say.

        FormatError: the upstream's answer is not a JSON object, or its usage makes no sense.
        """
        try:
            return self._usage(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"not an answer in `{self.name}`: {str(error).lower()}") from None

    @abstractmethod
    def _usage(self, body: bytes) -> Usage | None: ...

    @abstractmethod
    def reader(self, strip_usage: bool) -> StreamReader:
        """A reader for one streamed answer."""

    def error_body(
        self, status: int, reason: Reason, title: str, detail: str, instance: str
    ) -> bytes:
        """The dialect's JSON error, with the RFC 9457 members beside the SDK's `error`.

        `error.code` and `error.details.error_code` are the reason's slug, and `error.details`
        holds the RFC 9457 members again, since an SDK may hand its user only `error`.
        """
        problem = _problem(status, reason, title, detail, instance)
        return _encode({**problem, **self._envelope(_error(self._kind(status), problem))})

    def error_event(
        self, status: int, reason: Reason, title: str, detail: str, instance: str
    ) -> bytes:
        """An SSE event at which the SDK raises; the connection must then be aborted.

        It may follow whatever a `StreamReader` released, which is always whole events.
        """
        problem = _problem(status, reason, title, detail, instance)
        return self._event(self._envelope(_error(self._kind(status), problem)))

    def _kind(self, status: int) -> str:
        """The dialect's name for an error of this status."""
        return _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")

    def _envelope(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"error": error}

    def _event(self, envelope: dict[str, Any]) -> bytes:
        return b"event: error\ndata: " + _encode(envelope) + b"\n\n"


_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


def _problem(
    status: int, reason: Reason, title: str, detail: str, instance: str
) -> dict[str, str | int]:
    return {
        "type": PROBLEM_TYPE + reason,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "reason": reason,
    }


def _error(kind: str, problem: dict[str, str | int]) -> dict[str, Any]:
    title, detail, slug = problem["title"], problem["detail"], problem["reason"]
    return {
        "message": f"{title}: {detail}" if detail else title,
        "type": kind,
        "param": None,
        "code": slug,
        "details": {"error_code": slug, **problem},
    }


def _encode(value: object) -> bytes:
    # ASCII, so that no text quoted from a request can break the encoding or an SSE line.
    return json.dumps(value, separators=(",", ":")).encode("ascii")
