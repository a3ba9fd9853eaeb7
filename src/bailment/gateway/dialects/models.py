"""GET /v1/models and /v1/models/{id}: what the asking chain may use, in either API's shape.

https://developers.openai.com/api/docs/api-reference/models
https://platform.claude.com/docs/en/api/models-list
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the chain admits; `created` in milliseconds since the epoch."""

    id: str
    created: int
    owner: str


def listing(models: Sequence[Model], *, anthropic: bool) -> bytes:
    """The body of GET /v1/models, on one page."""
    shape = _anthropic if anthropic else _openai
    page: dict[str, Any] = {"data": [shape(model) for model in models]}
    if anthropic:
        page["has_more"] = False
        page["first_id"] = models[0].id if models else None
        page["last_id"] = models[-1].id if models else None
    else:
        page["object"] = "list"
    return msgspec.json.encode(page)


def single(model: Model, *, anthropic: bool) -> bytes:
    """The body of GET /v1/models/{id}."""
    return msgspec.json.encode((_anthropic if anthropic else _openai)(model))


def _openai(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created // 1000,
        "owned_by": model.owner,
    }


def _anthropic(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "type": "model",
        "display_name": model.id,
        "created_at": datetime.fromtimestamp(model.created // 1000, UTC),
        "lifecycle": "active",
    }
