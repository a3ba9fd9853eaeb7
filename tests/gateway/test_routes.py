"""The routes that an audit knows are those that the gateway answers, and no others."""

from __future__ import annotations

import pytest

from bailment.access.reasons import Refused
from bailment.access.routes import ROUTES, action_of
from bailment.gateway.dialects.base import Action
from bailment.gateway.dialects.catalogue import DIALECTS, MODELS, route

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD")
PATHS = (
    *DIALECTS,
    *(f"{path}/below" for path in DIALECTS),
    *(MODELS, f"{MODELS}/", f"{MODELS}/birch", f"{MODELS}/a/b", f"{MODELS}x"),
    *("", "/", "/v1", "/v1/embeddings", "/v1/files", "/v1/messages/batches"),
)


def test_the_routes_are_those_of_the_dialects_and_the_listing() -> None:
    assert {(method, path) for _, method, path in ROUTES} == {
        *(("POST", path) for path in DIALECTS),
        ("GET", MODELS),
    }
    assert {action for action, *_ in ROUTES} == {action.value for action in Action}


@pytest.mark.parametrize("path", PATHS)
def test_what_the_gateway_answers_has_an_action_and_nothing_else_has(path: str) -> None:
    for method in METHODS:
        answered = not isinstance(route(method, path, anthropic=False), Refused)
        assert bool(action_of(method, path)) == answered, method


_TALK = b'"messages":[{"role":"user","content":"x"}]}'
BODIES = {
    "/v1/chat/completions": b'{"model":"birch",' + _TALK,
    "/v1/responses": b'{"model":"birch","input":"x"}',
    "/v1/messages": b'{"model":"birch","max_tokens":1,' + _TALK,
    "/v1/messages/count_tokens": b'{"model":"birch",' + _TALK,
}


@pytest.mark.parametrize("path", DIALECTS)
def test_a_route_does_what_its_dialect_makes_of_it(path: str) -> None:
    ask = DIALECTS[path].parse(path, BODIES[path])
    assert not isinstance(ask, Refused), ask
    assert ask.action.value == action_of("POST", path)
