"""The unmodified SDKs read what the dialects write, and the dialects read what the SDKs send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from bailment.access.reasons import Reason
from bailment.gateway.dialects import models
from bailment.gateway.dialects.base import Action, Ask, Dialect
from bailment.gateway.dialects.catalogue import CHAT, MESSAGES, RESPONSES

FIXTURES = Path(__file__).parent / "fixtures"
Handler = Callable[[httpx2.Request], httpx2.Response]
Said = list[dict[str, Any]]
HELLO: Any = [{"role": "user", "content": "Say hello."}]


class Body(httpx2.SyncByteStream):
    """A body that ends as its last part says: cleanly, or by a lost connection."""

    def __init__(self, *parts: bytes, aborted: bool) -> None:
        self.parts = parts
        self.aborted = aborted

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts
        if self.aborted:
            raise httpx2.RemoteProtocolError("peer closed connection")


@contextmanager
def openai_client(handler: Handler) -> Iterator[openai.OpenAI]:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as http:
        yield openai.OpenAI(
            api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=http
        )


@contextmanager
def anthropic_client(handler: Handler) -> Iterator[anthropic.Anthropic]:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as http:
        yield anthropic.Anthropic(
            api_key="k", base_url="http://gateway", max_retries=0, http_client=http
        )


def ask_chat(handler: Handler, stream: bool, **more: Any) -> Any:
    with openai_client(handler) as client:
        answer = client.chat.completions.create(model="m", messages=HELLO, stream=stream, **more)
        return list(answer) if stream else answer


def ask_responses(handler: Handler, stream: bool, **more: Any) -> Any:
    with openai_client(handler) as client:
        answer = client.responses.create(model="m", input="Say hello.", stream=stream, **more)
        return list(answer) if stream else answer


def ask_messages(handler: Handler, stream: bool, **more: Any) -> Any:
    with anthropic_client(handler) as client:
        answer: Any = client.messages.create(
            model="m", messages=HELLO, max_tokens=6, stream=stream, **more
        )
        return list(answer) if stream else answer


def help_chat(handler: Handler) -> str:
    with (
        openai_client(handler) as client,
        client.chat.completions.stream(model="m", messages=HELLO) as stream,
    ):
        return stream.get_final_completion().choices[0].message.content or ""


def help_responses(handler: Handler) -> str:
    with (
        openai_client(handler) as client,
        client.responses.stream(model="m", input="Say hello.") as stream,
    ):
        return stream.get_final_response().output_text


def help_messages(handler: Handler) -> str:
    with (
        anthropic_client(handler) as client,
        client.messages.stream(model="m", messages=HELLO, max_tokens=6) as stream,
    ):
        return stream.get_final_text()


APIS = [
    pytest.param(CHAT, ask_chat, help_chat, id="chat"),
    pytest.param(RESPONSES, ask_responses, help_responses, id="responses"),
    pytest.param(MESSAGES, ask_messages, help_messages, id="messages"),
]
ERRORS = (openai.APIError, anthropic.APIError)


def refusing(dialect: Dialect, status: int) -> Handler:
    body = dialect.error_body(status, Reason.HELD, "on hold", "ask the lab", "/accesses/1")
    headers = {"content-type": "application/problem+json"}
    return lambda _: httpx2.Response(status, headers=headers, content=body)


def streaming(*parts: bytes, aborted: bool = False) -> Handler:
    headers = {"content-type": "text/event-stream"}
    return lambda _: httpx2.Response(200, headers=headers, stream=Body(*parts, aborted=aborted))


def relayed(dialect: Dialect, upstream: bytes) -> tuple[bytes, bytes]:
    """What is forwarded of an upstream's stream, and what is held."""
    reader = dialect.reader(strip_usage=True)
    return reader.feed(upstream), reader.held


def recording(dialect: Dialect) -> bytes:
    """A recorded answer, mended where its server strays from the API that the SDK was built for."""
    stream = (FIXTURES / f"{dialect.name}.sse").read_bytes()
    if dialect is RESPONSES:
        return stream.replace(b"data: {", b'data: {"output_index":0,"content_index":0,')
    return stream.replace(b'"finish_reason":"length"', b'"finish_reason":"stop"')


@pytest.mark.parametrize(("dialect", "ask", "_"), APIS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (413, "APIStatusError"),
        (429, "RateLimitError"),
        (502, "InternalServerError"),
        (503, "InternalServerError"),
        (504, "InternalServerError"),
    ],
)
def test_a_refusal_raises_the_sdks_own_error_and_says_why(
    dialect: Dialect, ask: Any, _: Any, stream: bool, status: int, name: str
) -> None:
    sdk = anthropic if dialect is MESSAGES else openai
    with pytest.raises(getattr(sdk, name)) as caught:
        ask(refusing(dialect, status), stream)
    error = caught.value
    assert error.status_code == status
    assert "on hold: ask the lab" in str(error)
    whole = error.response.json()
    assert whole["error"]["code"] == "held"
    problem = {
        "type": "urn:bailment:reason:held",
        "title": "on hold",
        "status": status,
        "detail": "ask the lab",
        "instance": "/accesses/1",
    }
    assert problem.items() <= whole["error"]["details"].items()
    if isinstance(error, anthropic.APIStatusError):
        assert (error.error_code, error.api_message) == ("held", "on hold: ask the lab")
        assert whole["type"] == "error"
        del problem["type"]
    else:
        assert (error.code, error.body["details"]["title"]) == ("held", "on hold")
    assert problem.items() <= whole.items()


@pytest.mark.parametrize(
    ("status", "chat", "messages"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (405, "invalid_request_error", "invalid_request_error"),
        (502, "server_error", "api_error"),
    ],
)
def test_an_error_is_of_a_kind_that_the_api_knows(status: int, chat: str, messages: str) -> None:
    with pytest.raises(openai.APIStatusError) as one:
        ask_chat(refusing(CHAT, status), stream=False)
    with pytest.raises(anthropic.APIStatusError) as other:
        ask_messages(refusing(MESSAGES, status), stream=False)
    assert (one.value.type, other.value.type) == (chat, messages)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES])
def test_an_error_that_quotes_anything_at_all_can_be_sent(dialect: Dialect) -> None:
    wild = "\ud800\n\ndata: [DONE]\r\u2028é\x00"
    body = dialect.error_body(400, Reason.BODY_MALFORMED, "bad", wild, "/x")
    event = dialect.error_event(400, Reason.BODY_MALFORMED, "bad", wild, "/x")
    assert json.loads(body)["detail"] == wild
    assert event.count(b"\n") == event[:-2].count(b"\n") + 2
    assert json.loads(event.splitlines()[-2].partition(b": ")[2])["error"]["code"]


@pytest.mark.parametrize(("dialect", "ask", "assist"), APIS)
def test_an_answer_relayed_to_its_end_is_the_whole_answer(
    dialect: Dialect, ask: Any, assist: Any
) -> None:
    forwarded, held = relayed(dialect, recording(dialect))
    assert ask(streaming(forwarded, held), stream=True)
    assert assist(streaming(forwarded, held)) == "Hello! I'm here to"


@pytest.mark.parametrize(("dialect", "ask", "assist"), APIS)
@pytest.mark.parametrize("aborted", [True, False])
def test_a_cut_stream_raises_in_the_sdk_and_says_why(
    dialect: Dialect, ask: Any, assist: Any, aborted: bool
) -> None:
    stream = recording(dialect)
    for at in (0, 1, len(stream) // 2, len(stream) - 1):
        forwarded, _ = relayed(dialect, stream[:at])
        cut = dialect.error_event(403, Reason.HELD, "on hold", "ask the lab", "/accesses/1")
        for call in (lambda handler: ask(handler, stream=True), assist):
            with pytest.raises(ERRORS) as caught:
                call(streaming(forwarded, cut, aborted=aborted))
            error: Any = caught.value
            assert "on hold: ask the lab" in str(error)
            if isinstance(error, anthropic.APIStatusError):
                assert error.error_code == "held"
            else:
                assert error.code == "held"
                assert error.body["details"]["instance"] == "/accesses/1"


@pytest.mark.parametrize(("dialect", "ask", "assist"), APIS)
def test_a_stream_aborted_without_a_word_raises_too(
    dialect: Dialect, ask: Any, assist: Any
) -> None:
    forwarded, _ = relayed(dialect, recording(dialect))
    for call in (lambda handler: ask(handler, stream=True), assist):
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            call(streaming(forwarded, aborted=True))


def test_an_upstreams_error_in_the_stream_raises_once_released() -> None:
    said = b'data: {"error":{"code":500,"message":"out of memory","type":"server_error"}}\n\n'
    forwarded, held = relayed(CHAT, recording(CHAT).partition(b"\n\n")[0] + b"\n\n" + said)
    with pytest.raises(openai.APIError, match="out of memory"):
        ask_chat(streaming(forwarded, held), stream=True)


def test_the_usage_chunk_reaches_those_who_asked_and_nobody_else() -> None:
    for asked in (True, False):
        sent: list[httpx2.Request] = []

        def handler(request: httpx2.Request, sent: list[httpx2.Request] = sent) -> httpx2.Response:
            sent.append(request)
            ask = CHAT.parse(request.url.path, request.content)
            assert isinstance(ask, Ask)
            assert json.loads(ask.body)["stream_options"] == {"include_usage": True}
            reader = CHAT.reader(ask.strip_usage)
            return streaming(reader.feed(recording(CHAT)), reader.held)(request)

        options = {"stream_options": {"include_usage": True}} if asked else {}
        chunks = ask_chat(handler, stream=True, **options)
        assert [chunk.usage is not None for chunk in chunks].count(True) == asked
        assert sent


def parsed(dialect: Dialect, call: Callable[[Handler], Any]) -> Ask:
    """What the gateway makes of the request that an SDK sends."""
    asks: list[Any] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        asks.append(dialect.parse(request.url.path, request.content))
        return refusing(dialect, 401)(request)

    with pytest.raises(ERRORS):
        call(handler)
    (ask,) = asks
    assert isinstance(ask, Ask), ask
    return ask


def test_what_the_sdks_send_is_understood() -> None:
    chat = parsed(CHAT, lambda handler: ask_chat(handler, False, max_completion_tokens=9, n=2))
    assert (chat.action, chat.model, chat.stream) == (Action.GENERATE, "m", False)
    assert (chat.max_output, chat.choices, chat.strip_usage) == (9, 2, False)
    responses = parsed(RESPONSES, lambda handler: ask_responses(handler, True))
    assert (responses.action, responses.max_output) == (Action.GENERATE, None)
    assert json.loads(responses.body)["store"] is False
    messages = parsed(MESSAGES, lambda handler: ask_messages(handler, True))
    assert (messages.stream, messages.max_output, messages.choices) == (True, 6, 1)


def test_tools_and_pictures_of_the_sdks_are_admitted() -> None:
    schema: Any = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    function = {"name": "read", "parameters": schema}
    picture = "data:image/png;base64,iVBORw0KGgo="
    seen: Any = [{"type": "image_url", "image_url": {"url": picture}}]
    chat = {"tools": [{"type": "function", "function": function}]}
    parsed(CHAT, lambda handler: ask_chat(handler, False, **chat))
    with_picture = {"extra_body": {"messages": [{"role": "user", "content": seen}]}}
    parsed(CHAT, lambda handler: ask_chat(handler, False, **with_picture))
    responses = {
        "tools": [{"type": "function", **function}, {"type": "local_shell"}],
        "extra_body": {
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": picture}]},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
                {"type": "function_call", "name": "read", "call_id": "1", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "done"},
            ]
        },
    }
    parsed(RESPONSES, lambda handler: ask_responses(handler, False, **responses))
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    called = {"type": "tool_use", "id": "1", "name": "read", "input": {"file_id": "x", "url": "y"}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": ""}]}
    messages = {
        "tools": [
            {"name": "read", "input_schema": schema},
            {"type": "bash_20250124", "name": "bash"},
        ],
        "system": [{"type": "text", "text": "Be brief."}],
        "extra_body": {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": source}]},
                {"role": "assistant", "content": [called]},
                {"role": "user", "content": [result]},
            ]
        },
    }
    parsed(MESSAGES, lambda handler: ask_messages(handler, False, **messages))


def test_counting_tokens_asks_for_no_output() -> None:
    def count(handler: Handler) -> int:
        with anthropic_client(handler) as client:
            return client.messages.count_tokens(model="m", messages=HELLO).input_tokens

    ask = parsed(MESSAGES, count)
    assert (ask.action, ask.model, ask.max_output) == (Action.COUNT_TOKENS, "m", 0)
    answer = (FIXTURES / "count-tokens.json").read_bytes()
    assert count(lambda _: httpx2.Response(200, content=answer)) == 33


MODELS = [models.Model("lab/one", 1_775_600_000_999, "lab"), models.Model("two", 0, "lab")]


def test_the_openai_sdk_lists_and_finds_models() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, content=models.listing(MODELS, anthropic=False))
        return httpx2.Response(200, content=models.single(MODELS[0], anthropic=False))

    with openai_client(handler) as client:
        one, two = client.models.list()
        assert (one.id, one.created, one.owned_by) == ("lab/one", 1_775_600_000, "lab")
        assert (two.id, two.object) == ("two", "model")
        assert client.models.retrieve("lab/one").id == "lab/one"


def test_the_anthropic_sdk_lists_and_finds_models() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, content=models.listing(MODELS, anthropic=True))
        return httpx2.Response(200, content=models.single(MODELS[0], anthropic=True))

    with anthropic_client(handler) as client:
        one, two = client.models.list()
        assert (one.id, one.created_at.timestamp()) == ("lab/one", 1_775_600_000)
        assert (two.display_name, two.lifecycle) == ("two", "active")
        assert client.models.retrieve("lab/one").type == "model"


def test_an_empty_list_of_models_is_a_list() -> None:
    for anthropic_shape in (True, False):
        body = models.listing([], anthropic=anthropic_shape)
        assert json.loads(body)["data"] == []
    empty = models.listing([], anthropic=True)
    with anthropic_client(lambda _: httpx2.Response(200, content=empty)) as client:
        assert list(client.models.list()) == []
