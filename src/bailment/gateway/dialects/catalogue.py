"""The allow-list of routes, and the routes that are refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from bailment.access.reasons import Reason, Refused
from bailment.gateway.dialects.base import Dialect
from bailment.gateway.dialects.chat import Chat
from bailment.gateway.dialects.messages import Messages
from bailment.gateway.dialects.responses import Responses

CHAT, RESPONSES, MESSAGES = Chat(), Responses(), Messages()

DIALECTS: dict[str, Dialect] = {
    path: dialect for dialect in (CHAT, RESPONSES, MESSAGES) for path in dialect.paths
}
"""Every path that takes a question, POST only."""

MODELS = "/v1/models"

_KEPT = "what it keeps is not yet scoped to a recipient; "
_REFUSED = {
    "/v1/chat/completions": _KEPT + "answers are given once and not stored",
    "/v1/responses": _KEPT + "answers are given once and not stored",
    "/v1/messages/batches": _KEPT + "send each request by itself",
    "/v1/batches": _KEPT + "send each request by itself",
    "/v1/files": _KEPT + "send the content in the request",
    "/v1/uploads": _KEPT + "send the content in the request",
    "/v1/containers": _KEPT + "run tools yourself",
    "/v1/skills": _KEPT + "send instructions in the request",
    "/v1/conversations": _KEPT + "send the earlier turns in the request",
    "/v1/assistants": _KEPT + "send instructions in the request",
    "/v1/threads": _KEPT + "send the earlier turns in the request",
    "/v1/vector_stores": _KEPT + "search yourself and send what you found",
}
"""Routes and all below them, with the reason."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes. `model` is the one named by the path of GET /v1/models/{id}."""

    dialect: Dialect
    listing: bool = False
    model: str = ""


def route(method: str, path: str, *, anthropic: bool) -> Route | Refused:
    """The route of a request; `path` is as it was sent, `anthropic` says that it carries that
    API's version header."""
    if path in DIALECTS:
        if method != "POST":
            return _method(method, "POST")
        return Route(DIALECTS[path])
    if path == MODELS or (path.startswith(MODELS + "/") and len(path) > len(MODELS) + 1):
        if method != "GET":
            return _method(method, "GET")
        return Route(shape(path, anthropic=anthropic), True, unquote(path[len(MODELS) + 1 :]))
    if path.rstrip("/") in DIALECTS:  # not a route, nor something below one
        return Refused(Reason.ROUTE_UNKNOWN, "no such route")
    for prefix, why in _REFUSED.items():
        if path == prefix or path.startswith(prefix + "/"):
            return Refused(Reason.FEATURE_REFUSED, f"`{prefix}` is refused: {why}")
    return Refused(Reason.ROUTE_UNKNOWN, "no such route")


def shape(path: str, *, anthropic: bool) -> Dialect:
    """The dialect in which to refuse a request that may have no route."""
    if anthropic or path.startswith(MESSAGES.paths[0]):
        return MESSAGES
    return RESPONSES if path.startswith(RESPONSES.paths[0]) else CHAT


def _method(method: str, allowed: str) -> Refused:
    return Refused(Reason.METHOD_NOT_ALLOWED, f"use {allowed}, not {method[:16]!a}")
