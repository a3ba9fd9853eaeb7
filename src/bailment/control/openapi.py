"""The control plane's public routes as an OpenAPI 3.1 document, made from one table.

    python formats/generate_openapi.py

writes `formats/openapi.json`. A test holds the table to the routes there are, and the document to
what a running issuer does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bailment.access.reasons import Reason
from bailment.control import schemas
from bailment.control.schemas import BEARER, FORM, HTML, JSON, OCTETS, PROBLEM, TEXT, Schema

PROOF = "DPoP"


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route does.

    answers   what comes in the good case, by status
    failure   what a refusal comes as; empty: there is none
    proof     a DPoP proof is asked for: `""`, `required` or `optional`
    bearer    a credential may be sent as a bearer token
    """

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, tuple[str, Schema]]
    body: tuple[str, Schema] | None = None
    failure: tuple[str, Schema] | None = (PROBLEM, schemas.PROBLEM_DETAILS)
    query: tuple[tuple[str, bool, Schema], ...] = ()
    proof: str = ""
    bearer: bool = False

    @property
    def parts(self) -> list[str]:
        """The names of the path's parameters."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """The OpenAPI document of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bailment control plane",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": (
                "Tokens, enrolment, delegation, standing and the log. Whoever calls proves a key "
                "by DPoP (RFC 9449), which this document can name and not describe: see "
                "`formats/access.md`."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Problem": schemas.PROBLEM_DETAILS_IN_FULL,
                "OAuthError": schemas.OAUTH_ERROR_IN_FULL,
                "Reason": {"type": "string", "enum": sorted(Reason)},
            },
            "securitySchemes": {
                PROOF: {"type": "apiKey", "in": "header", "name": PROOF, "description": "RFC 9449"},
                BEARER: {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "responses": {str(status): _answer(*told) for status, told in one.answers.items()},
    }
    if one.failure is not None:
        found["responses"]["4XX"] = _answer(*one.failure)
        found["responses"]["503"] = _answer(*one.failure)
    parameters = [_parameter(name, "path", True, schemas.PARTS[name]) for name in one.parts]
    parameters += [_parameter(name, "query", needed, said) for name, needed, said in one.query]
    if parameters:
        found["parameters"] = parameters
    if one.body is not None:
        media, schema = one.body
        found["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    security: list[dict[str, Any]] = [{PROOF: []}] if one.proof else []
    security += [{BEARER: []}] if one.bearer else []
    security += [{}] if one.proof == "optional" else []
    if security:
        found["security"] = security
    return found


def _answer(media: str, schema: Schema) -> dict[str, Any]:
    return {
        "description": _DESCRIPTIONS.get(media, "the answer"),
        "headers": {"DPoP-Nonce": {"description": "RFC 9449 §8", "schema": schemas.TEXT_VALUE}},
        "content": {media: {"schema": schema}},
    }


def _parameter(name: str, where: str, needed: bool, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": where, "required": needed, "schema": schema}


_DESCRIPTIONS = {
    PROBLEM: "refused, as a problem (RFC 9457) with its reason",
    HTML: "a page",
    OCTETS: "the bytes",
    TEXT: "text",
}

__all__ = ["FORM", "JSON", "Operation", "document"]
