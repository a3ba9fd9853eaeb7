"""Requests: what is understood, what is sent upstream, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access.reasons import Reason, Refused
from bailment.errors import FormatError
from bailment.gateway.dialects.base import Action, Ask, Dialect
from bailment.gateway.dialects.body import MAX_OUTPUT, with_member
from bailment.gateway.dialects.catalogue import CHAT, MESSAGES, RESPONSES, Route, route, shape
from bailment.gateway.dialects.sse import Usage

DIALECTS = [CHAT, RESPONSES, MESSAGES]
QUESTION: dict[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
    "messages": {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
    },
}


def parse(dialect: Dialect, body: bytes) -> Ask | Refused:
    return dialect.parse(dialect.paths[0], body)


def ask(dialect: Dialect, **more: Any) -> Ask:
    result = parse(dialect, json.dumps({**QUESTION[dialect.name], **more}).encode())
    assert isinstance(result, Ask), result
    return result


def refusal(dialect: Dialect, **more: Any) -> Refused:
    result = parse(dialect, json.dumps({**QUESTION[dialect.name], **more}).encode())
    assert isinstance(result, Refused), result
    return result


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.BODY_MALFORMED),
        (b"{", Reason.BODY_MALFORMED),
        (b"[]", Reason.BODY_MALFORMED),
        (b'"model"', Reason.BODY_MALFORMED),
        (b'{"model":"m"} {}', Reason.BODY_MALFORMED),
        (b'{"model":"m","x":NaN}', Reason.BODY_MALFORMED),
        (b'{"model":"\xff"}', Reason.BODY_MALFORMED),
        (b'\xef\xbb\xbf{"model":"m"}', Reason.BODY_MALFORMED),
        (b'{"model":"m","x":' + b"[" * 100_000, Reason.BODY_MALFORMED),
        (b'{"model":"m","x":' + b"9" * 5000 + b"}", Reason.BODY_MALFORMED),
        (b'{"model":"m","model":"n"}', Reason.BODY_DUPLICATE_KEY),
        (b'{"model":"m","x":[{"y":1,"y":1}]}', Reason.BODY_DUPLICATE_KEY),
        (b'{"model":"m","mod\\u0065l":"n"}', Reason.BODY_DUPLICATE_KEY),
        (b'{"model":"m","\\ud800":1,"\\ud800":2}', Reason.BODY_DUPLICATE_KEY),
        (b"{}", Reason.MODEL_MISSING),
        (b'{"model":null}', Reason.MODEL_MISSING),
        (b'{"model":["m"]}', Reason.MODEL_MISSING),
        (b'{"model":""}', Reason.MODEL_MISSING),
        (b'{"model":"a\\nb"}', Reason.BODY_MALFORMED),
        (b'{"model":"\\ud800"}', Reason.BODY_MALFORMED),
        (b'{"model":"' + b"m" * 257 + b'"}', Reason.BODY_MALFORMED),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    dialect: Dialect, body: bytes, reason: Reason
) -> None:
    result = parse(dialect, body)
    assert isinstance(result, Refused)
    assert result.reason is reason
    assert result.detail.encode()


LIMITS = {
    "chat": ["max_tokens", "max_completion_tokens"],
    "responses": ["max_output_tokens"],
    "messages": ["max_tokens"],
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", [0, -1, True, "5", 5.5, MAX_OUTPUT + 1, 10**30, [], {}])
def test_a_limit_that_is_no_number_of_tokens_is_refused(dialect: Dialect, value: object) -> None:
    for name in LIMITS[dialect.name]:
        refused = refusal(dialect, **{name: value})
        assert refused.reason is Reason.BODY_MALFORMED
        assert f"`$.{name}`" in refused.detail


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", [0, 1, "true", [], {}])
def test_stream_is_true_or_false(dialect: Dialect, value: object) -> None:
    refused = refusal(dialect, stream=value)
    assert refused.reason is Reason.BODY_MALFORMED
    assert "`$.stream`" in refused.detail


@pytest.mark.parametrize("value", [0, 129, True, "2", 1.5])
def test_the_number_of_choices_is_bounded(value: object) -> None:
    refused = refusal(CHAT, n=value)
    assert refused.reason is Reason.BODY_MALFORMED
    assert "`$.n`" in refused.detail


@pytest.mark.parametrize("value", [True, [], "include_usage"])
def test_stream_options_are_an_object(value: object) -> None:
    refused = refusal(CHAT, stream=True, stream_options=value)
    assert refused.reason is Reason.BODY_MALFORMED
    assert "`$.stream_options`" in refused.detail


def test_null_is_as_good_as_absent() -> None:
    plain = ask(CHAT, stream=None, max_tokens=None, n=None, stream_options=None, store=None)
    assert (plain.stream, plain.max_output, plain.choices) == (False, None, 1)
    assert ask(RESPONSES, previous_response_id=None, background=None, conversation=None)
    assert ask(MESSAGES, container=None, mcp_servers=[], stream=None)


def test_the_reservation_covers_the_larger_of_two_limits() -> None:
    assert ask(CHAT, max_tokens=5, max_completion_tokens=9).max_output == 9
    assert ask(CHAT, max_tokens=9, max_completion_tokens=5).max_output == 9
    assert ask(CHAT, max_tokens=MAX_OUTPUT, n=128).choices == 128


def test_messages_must_state_a_limit() -> None:
    refused = refusal(MESSAGES, max_tokens=None)
    assert refused.reason is Reason.BODY_MALFORMED
    assert "`max_tokens`" in refused.detail
    counting = MESSAGES.parse(MESSAGES.paths[1], b'{"model":"m","messages":[]}')
    assert counting == Ask(
        Action.COUNT_TOKENS, "m", False, 0, 1, b'{"model":"m","messages":[]}', False
    )


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (CHAT, b' { "model" : "m", "future" : {"deep": [1e400, -0.0]}, "messages":[] }\n'),
        (CHAT, b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
        (CHAT, b'{"model":"m","stream":false,"stream_options":{}}'),
        (RESPONSES, b'{"model":"m","store":false,"metadata":{"file_id":"x"}}'),
        (MESSAGES, b'{"model":"m","max_tokens":5,"metadata":{"user_id":"u"},"stream":true}'),
    ],
)
def test_the_clients_own_bytes_go_upstream(dialect: Dialect, body: bytes) -> None:
    result = parse(dialect, body)
    assert isinstance(result, Ask)
    assert result.body == body
    assert not result.strip_usage


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'\n{"model":"m","stream":true}', {"include_usage": True}),
        (b'{"model":"m","stream":true,"stream_options":null}', {"include_usage": True}),
        (b'{"model":"m","stream":true,"stream_options":{"x":1}}', {"x": 1, "include_usage": True}),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
            {"include_usage": True},
        ),
    ],
)
def test_usage_is_requested_for_a_client_that_does_not_ask(body: bytes, sent: object) -> None:
    result = parse(CHAT, body)
    assert isinstance(result, Ask)
    assert result.strip_usage
    assert json.loads(result.body) == {"model": "m", "stream": True, "stream_options": sent}


def test_responses_are_never_stored_upstream() -> None:
    for more in ({}, {"store": None}, {"store": False}):
        assert json.loads(ask(RESPONSES, **more).body)["store"] is False


def test_a_number_that_cannot_be_written_again_is_refused() -> None:
    result = parse(RESPONSES, b'{"model":"m","store":null,"temperature":1e400}')
    assert isinstance(result, Refused)
    assert result.reason is Reason.BODY_MALFORMED


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(
    st.dictionaries(st.text(), json_values, max_size=5),
    st.sampled_from(["", " ", "\n\t "]),
    st.booleans(),
)
def test_a_spliced_member_changes_nothing_else(
    members: dict[str, Any], space: str, ascii_only: bool
) -> None:
    body = (space + json.dumps(members, ensure_ascii=ascii_only)).encode(errors="surrogatepass")
    sent = with_member(body, members, "store", False)
    assert isinstance(sent, bytes)
    assert json.loads(sent) == {**members, "store": False}
    if "store" not in members:
        assert sent.endswith(body.partition(b"{")[2])


STATEFUL = [
    (CHAT, "store", True),
    (CHAT, "store", 0),
    (CHAT, "store", "yes"),
    (CHAT, "web_search_options", {}),
    (CHAT, "n_predict", -1),
    (CHAT, "n_cmpl", 4),
    (CHAT, "models", ["m", "another"]),
    (RESPONSES, "store", True),
    (RESPONSES, "previous_response_id", "resp_1"),
    (RESPONSES, "conversation", {"id": "conv_1"}),
    (RESPONSES, "background", True),
    (RESPONSES, "prompt", {"id": "pmpt_1"}),
    (RESPONSES, "access_programs", {"cyber": "daybreak_red"}),
    (RESPONSES, "n", 2),
    (RESPONSES, "n_predict", 9),
    (MESSAGES, "store", True),
    (MESSAGES, "container", "container_1"),
    (MESSAGES, "mcp_servers", [{"type": "url", "url": "https://elsewhere.example"}]),
    (MESSAGES, "thread", {"type": "create"}),
    (MESSAGES, "fallbacks", "default"),
    (MESSAGES, "user_profile_id", "up_1"),
]


@pytest.mark.parametrize(("dialect", "name", "value"), STATEFUL)
def test_what_no_chain_covers_is_refused_by_name(
    dialect: Dialect, name: str, value: object
) -> None:
    refused = refusal(dialect, **{name: value})
    assert refused.reason is Reason.FEATURE_REFUSED
    assert refused.detail.startswith(f"`{name}` is refused: ")
    assert "; " in refused.detail  # and says what to do instead


@pytest.mark.parametrize(
    ("dialect", "name", "inner"),
    [
        (MESSAGES, "diagnostics", "previous_message_id"),
        (RESPONSES, "prompt_cache_options", "comparison_response_id"),
    ],
)
def test_another_answer_is_not_compared_with(dialect: Dialect, name: str, inner: str) -> None:
    assert refusal(dialect, **{name: {inner: "1"}}).detail.startswith(f"`{name}.{inner}` is")
    assert ask(dialect, **{name: {inner: None}})


def turn(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


FILE = {"type": "file", "file_id": "file_1"}
URL = "https://elsewhere.example/x.png"
CONTENT = [
    (CHAT, "messages", [turn([{"type": "file", "file": {"file_id": "file_1"}}])]),
    (CHAT, "messages", [turn([{"type": "image_url", "image_url": {"url": URL}}])]),
    (CHAT, "messages", [turn([{"type": "image_url", "image_url": {"url": "file:///etc/x"}}])]),
    (CHAT, "messages", [turn([{"type": "image_url", "image_url": URL}])]),
    (CHAT, "messages", [turn([{"type": "video_url", "video_url": {"url": URL}}])]),
    (CHAT, "messages", [{"role": "assistant", "audio": {"id": "audio_1"}}]),
    (RESPONSES, "input", [turn([{"type": "input_file", "file_id": "file_1"}])]),
    (RESPONSES, "input", [turn([{"type": "input_file", "file_url": URL}])]),
    (RESPONSES, "input", [turn([{"type": "input_image", "file_id": "file_1"}])]),
    (RESPONSES, "input", [turn([{"type": "input_image", "image_url": URL}])]),
    (RESPONSES, "input", [{"type": "item_reference", "id": "msg_1"}]),
    (RESPONSES, "input", [{"type": "item_reference", "id": "msg_1", "content": None}]),
    (RESPONSES, "input", [{"id": "msg_1"}]),
    (RESPONSES, "input", [{"id": "msg_1", "status": "completed"}]),
    (RESPONSES, "input", [{"type": "computer_call_output", "output": {"file_id": "file_1"}}]),
    (RESPONSES, "input", [{"type": "function_call_output", "output": [FILE]}]),
    (RESPONSES, "input", [{"role": "developer", "tools": [{"type": "mcp"}]}]),
    (MESSAGES, "messages", [turn([{"type": "image", "source": FILE}])]),
    (MESSAGES, "messages", [turn([{"type": "image", "source": {"type": "url", "url": URL}}])]),
    (MESSAGES, "messages", [turn([{"type": "container_upload", "file_id": "file_1"}])]),
    (
        MESSAGES,
        "messages",
        [turn([{"type": "tool_result", "content": [{"type": "document", "source": FILE}]}])],
    ),
    (
        MESSAGES,
        "messages",
        [
            turn(
                [{"type": "document", "source": {"type": "content", "content": [{"source": FILE}]}}]
            )
        ],
    ),
    (
        MESSAGES,
        "messages",
        [turn([{"type": "tool_addition", "tool": {"definition": {"type": "mcp_toolset"}}}])],
    ),
    (MESSAGES, "system", [{"type": "text", "source": FILE}]),
]


@pytest.mark.parametrize(("dialect", "name", "value"), CONTENT)
def test_content_comes_in_the_body_and_nowhere_else(
    dialect: Dialect, name: str, value: object
) -> None:
    refused = refusal(dialect, **{name: value})
    assert refused.reason is Reason.FEATURE_REFUSED
    assert "; " in refused.detail


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "member",
    [
        b'"messages":%b',
        b'"tools":%b',
        b'"tools":[{"type":%b}]',
        b'"stream":true,"stream_options":{"x":%b}',
        b'"stream_options":%b',
        b'"store":null,"x":%b',
        b'"model":%b',
        b'"max_tokens":%b',
        b'"n":%b',
        b'"lora":%b',
    ],
)
def test_nesting_however_deep_is_answered(dialect: Dialect, member: bytes) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"content":', b"}"), (b'[{"tools":', b"}]")):
        for depth in (*range(1, 1200, 97), *range(940, 1000, 2), 100_000):
            nest = opening * depth + b'{"file_id":"file_1"}' + closing * depth
            body = b'{"max_tokens":5,"model":"m",' + member % nest + b"}"
            assert isinstance(parse(dialect, body), Ask | Refused)


def test_content_is_looked_into_at_every_depth() -> None:
    nest: Any = {"file_id": "file_1"}
    for _ in range(150):
        nest = [{"content": nest}]
        assert refusal(CHAT, messages=nest).reason is Reason.FEATURE_REFUSED


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [
        (CHAT, None),
        (CHAT, "web_search"),
        (CHAT, "mcp"),
        (RESPONSES, None),
        (RESPONSES, "web_search"),
        (RESPONSES, "web_search_preview"),
        (RESPONSES, "file_search"),
        (RESPONSES, "code_interpreter"),
        (RESPONSES, "image_generation"),
        (RESPONSES, "mcp"),
        (RESPONSES, "shell"),
        (RESPONSES, "tool_search"),
        (RESPONSES, "programmatic_tool_calling"),
        (RESPONSES, "not_yet_invented"),
        (MESSAGES, "web_search_20260318"),
        (MESSAGES, "web_fetch_20260318"),
        (MESSAGES, "code_execution_20260521"),
        (MESSAGES, "mcp_toolset"),
        (MESSAGES, "advisor_20260301"),
        (MESSAGES, "tool_search_tool_bm25_20251119"),
        (MESSAGES, "not_yet_invented"),
        (MESSAGES, "\ud800"),
    ],
)
def test_a_tool_that_the_models_side_would_run_is_refused(dialect: Dialect, kind: object) -> None:
    tools = [{"type": kind, "name": "x"}]
    for refused in (
        refusal(dialect, tools=tools),
        refusal(dialect, tools=[{"type": "namespace", "name": "x", "tools": tools}]),
    ):
        assert refused.reason is Reason.FEATURE_REFUSED
        assert refused.detail.isascii()


def test_a_turn_may_carry_an_id_of_its_own() -> None:
    assert ask(CHAT, messages=[{"role": "assistant", "id": "1", "tool_calls": []}])
    assert ask(RESPONSES, input=[{"type": "reasoning", "id": "rs_1", "summary": []}])
    assert ask(RESPONSES, input=[{"id": "msg_1", "content": "hi"}])


def test_a_group_of_tools_holds_tools_and_no_groups() -> None:
    group = {"type": "namespace", "tools": [{"type": "function", "name": "x"}]}
    assert ask(RESPONSES, tools=[group])
    refused = refusal(RESPONSES, tools=[{"type": "namespace", "tools": [group]}])
    assert refused.reason is Reason.FEATURE_REFUSED


@pytest.mark.parametrize(
    ("dialect", "tool"),
    [
        (CHAT, {"type": "function", "function": {"name": "x"}}),
        (CHAT, {"type": "custom", "custom": {"name": "x"}}),
        (RESPONSES, {"type": "function", "name": "x"}),
        (RESPONSES, {"type": "apply_patch"}),
        (RESPONSES, {"type": "computer"}),
        (RESPONSES, {"type": "namespace", "tools": [{"type": "custom", "name": "x"}]}),
        (MESSAGES, {"name": "x", "input_schema": {"type": "object"}}),
        (MESSAGES, {"type": "custom", "name": "x"}),
        (MESSAGES, {"type": "text_editor_20250728", "name": "x"}),
        (MESSAGES, {"type": "memory_20250818", "name": "x"}),
        (MESSAGES, {"type": "computer_toolset_20260801"}),
    ],
)
def test_a_tool_that_the_client_runs_is_admitted(dialect: Dialect, tool: dict[str, Any]) -> None:
    assert ask(dialect, tools=[tool])
    assert ask(dialect, tools=[])
    assert ask(dialect, tools=None)


@pytest.mark.parametrize(
    "tools",
    [{}, "web_search", 7, ["web_search"], [[{"type": "mcp"}]], [{"type": {"type": "function"}}]],
)
def test_tools_of_no_known_shape_are_refused(tools: object) -> None:
    for dialect in DIALECTS:
        assert refusal(dialect, tools=tools).reason is Reason.BODY_MALFORMED


@pytest.mark.parametrize(
    "name", ["Model", "MODEL", "Stream", "\u017ftore", "Store", "Tools", "toolS", "N_Predict"]
)
def test_a_member_is_not_smuggled_past_in_other_letters(name: str) -> None:
    for dialect in DIALECTS:
        refused = refusal(dialect, **{name: True})
        assert refused.reason is Reason.BODY_MALFORMED
        assert f"`{name.casefold()}`" in refused.detail


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("IMAGE_URL", {"type": "image_url", "IMAGE_URL": {"URL": "http://169.254.169.254/"}}),
        ("URL", {"type": "image_url", "image_url": {"URL": "http://169.254.169.254/"}}),
        ("Source", {"type": "image", "Source": {"type": "url", "url": "http://a.example/"}}),
        ("File_ID", {"type": "input_file", "File_ID": "file_1"}),
        ("Type", {"Type": "item_reference", "id": "msg_1", "content": "", "type": "message"}),
        ("Tools", {"type": "tool_search_output", "Tools": [{"type": "mcp"}]}),
        ("Type", {"type": "x", "tools": [{"type": "function", "Type": "mcp"}]}),
        ("Content", {"type": "tool_result", "Content": [{"file_id": "file_1"}]}),
        ("\u017fource", {"type": "image", "\u017fource": {"url": "http://a.example/"}}),
    ],
)
def test_content_is_not_smuggled_past_in_other_letters(name: str, block: dict[str, Any]) -> None:
    for content in ([block], [{"type": "tool_result", "content": [block]}]):
        turn = [{"role": "user", "content": content}]
        for refused in (
            refusal(CHAT, messages=turn),
            refusal(RESPONSES, input=turn),
            refusal(MESSAGES, messages=turn),
        ):
            assert refused.reason is Reason.BODY_MALFORMED
            assert f"`{name.casefold()}`" in refused.detail


@pytest.mark.parametrize(
    "members",
    [
        {"tools": [{"type": "function", "TYPE": "web_search"}]},
        {"Diagnostics": {"previous_message_id": "msg_1"}},
        {"diagnostics": {"Previous_Message_Id": "msg_1"}},
    ],
)
def test_nothing_below_the_top_is_smuggled_past_in_other_letters(members: dict[str, Any]) -> None:
    for dialect in DIALECTS:
        assert refusal(dialect, **members).reason is Reason.BODY_MALFORMED


def test_what_a_tool_takes_may_be_spelt_as_its_author_likes() -> None:
    properties = {"URL": {"type": "string"}, "Type": {"type": "string"}}
    function = {"name": "x", "parameters": {"type": "object", "properties": properties}}
    assert ask(CHAT, tools=[{"type": "function", "function": function}])
    use = {"type": "tool_use", "id": "1", "name": "x", "input": {"URL": "http://a.example/"}}
    assert ask(MESSAGES, messages=[{"role": "assistant", "content": [use]}])


@given(st.dictionaries(st.text(max_size=9), json_values, max_size=5), st.sampled_from(DIALECTS))
def test_parsing_answers_whatever_is_asked(members: dict[str, Any], dialect: Dialect) -> None:
    result = parse(dialect, json.dumps({**QUESTION[dialect.name], **members}).encode())
    assert isinstance(result, Ask | Refused)


@given(st.binary(max_size=200), st.sampled_from(DIALECTS))
def test_parsing_refuses_noise(noise: bytes, dialect: Dialect) -> None:
    assert isinstance(parse(dialect, noise), Refused)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"{", b'{"usage":7}', b'{"usage":{"input_tokens":-1}}']
)
def test_an_answer_that_is_none_is_a_format_error(dialect: Dialect, body: bytes) -> None:
    with pytest.raises(FormatError):
        dialect.usage(body)


def test_usage_is_read_from_a_whole_answer() -> None:
    assert CHAT.usage(b'{"usage":{"prompt_tokens":3,"completion_tokens":2}}') == Usage(3, 2)
    assert RESPONSES.usage(b'{"usage":{"input_tokens":3,"output_tokens":2}}') == Usage(3, 2)
    cached = b'{"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":2}}'
    assert MESSAGES.usage(cached) == Usage(7, 2)
    assert MESSAGES.usage(b'{"input_tokens":33}') == Usage(0, 0)
    for dialect in DIALECTS:
        assert dialect.usage(b'{"id":"1"}') is None
        assert dialect.usage(b'{"usage":null}') is None


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/responses", RESPONSES),
        ("/v1/messages", MESSAGES),
        ("/v1/messages/count_tokens", MESSAGES),
    ],
)
def test_a_question_goes_to_its_dialect(path: str, dialect: Dialect) -> None:
    for anthropic in (True, False):
        assert route("POST", path, anthropic=anthropic) == Route(dialect)
        for method in ("GET", "HEAD", "PUT", "post"):
            refused = route(method, path, anthropic=anthropic)
            assert isinstance(refused, Refused)
            assert refused.reason is Reason.METHOD_NOT_ALLOWED


def test_models_are_listed_in_the_shape_of_the_api_that_asks() -> None:
    assert route("GET", "/v1/models", anthropic=False) == Route(CHAT, True)
    assert route("GET", "/v1/models", anthropic=True) == Route(MESSAGES, True)
    assert route("GET", "/v1/models/lab/one", anthropic=False) == Route(CHAT, True, "lab/one")
    refused = route("DELETE", "/v1/models/one", anthropic=False)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.METHOD_NOT_ALLOWED


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v1/files/file_1/content",
        "/v1/batches",
        "/v1/messages/batches/1/results",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/v1/chat/completions/1",
        "/v1/conversations",
        "/v1/vector_stores/vs_1",
        "/v1/assistants",
        "/v1/threads/1/runs",
        "/v1/uploads",
        "/v1/containers",
        "/v1/skills",
    ],
)
def test_a_route_that_keeps_state_is_refused_by_name(path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        refused = route(method, path, anthropic=False)
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.FEATURE_REFUSED
        assert refused.detail.startswith("`/v1/")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/models/",
        "/v1/modelsx",
        "/v1/filesystem",
        "/v1/embeddings",
        "/v1/messages/",
        "/v1/messages/count_tokens/",
        "/v1/responses/",
        "/v1/responses//",
        "/v1/chat/completions/",
        "/v1//messages",
        "/V1/messages",
        "/v1/messages/count_tokens/x",
        "/v1/completions",
        "/v1/chat/completions?x",
        "/metrics",
    ],
)
def test_any_other_route_is_unknown(path: str) -> None:
    refused = route("POST", path, anthropic=False)
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ROUTE_UNKNOWN


def test_a_refusal_has_the_shape_that_its_client_reads() -> None:
    assert shape("/v1/messages/batches", anthropic=False) is MESSAGES
    assert shape("/v1/files", anthropic=True) is MESSAGES
    assert shape("/v1/files", anthropic=False) is CHAT
    assert shape("/v1/responses/resp_1", anthropic=False) is RESPONSES
