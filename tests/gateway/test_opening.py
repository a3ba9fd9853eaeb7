"""How a request begins: the same in every dialect's words, whatever is sent, and soon made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.detect.context import UNOPENED
from bailment.gateway.dialects.opening import opening_of

USER = {"role": "user", "content": "hello"}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("messages", "input", "system", "instructions", "tools"), ANY)
    )
)
def test_whatever_is_sent_there_is_an_opening(members: dict[str, Any]) -> None:
    found = opening_of(members)
    assert len(found.workspace) in (0, 32)
    assert len(found.first) in (0, 32)


def test_one_system_prompt_is_one_in_every_dialect() -> None:
    chat = {"messages": [{"role": "system", "content": "be kind"}, USER]}
    responses = {"instructions": "be kind", "input": "hello"}
    messages = {"system": [{"type": "text", "text": "be kind"}], "messages": [USER]}
    assert opening_of(chat) == opening_of(responses) == opening_of(messages) != UNOPENED


@pytest.mark.parametrize(
    "changed",
    [
        {"system": "be kind on day 17"},
        {"system": [{"type": "text", "text": "be kind on day 12", "cache_control": {"a": 1}}]},
        {"system": ["x-anthropic-billing-header: cch=1;", "be kind on day 12"]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}, USER]},
        {"temperature": 1},
    ],
)
def test_what_clients_change_from_turn_to_turn_is_left_out(changed: dict[str, Any]) -> None:
    given = {"system": "be kind on day 12", "messages": [USER], "tools": [{"name": "run"}]}
    assert opening_of({**given, **changed}) == opening_of(given)


@pytest.mark.parametrize(
    "changed", [{"system": "be cruel"}, {"tools": [{"name": "walk"}]}, {"tools": None}]
)
def test_another_workspace_is_another(changed: dict[str, Any]) -> None:
    given = {"system": "be kind", "messages": [USER], "tools": [{"name": "run"}]}
    assert opening_of({**given, **changed}).workspace != opening_of(given).workspace
    assert opening_of({**given, **changed}).first == opening_of(given).first


def test_what_is_nested_too_deeply_says_nothing() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert opening_of({"system": deep, "messages": [USER]}) == UNOPENED
