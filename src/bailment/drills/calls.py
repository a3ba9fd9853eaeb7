"""Calls that the unmodified SDKs make in the demonstration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bailment.drills.local_model import NAME
from bailment.drills.stage import NotAsTold

_PROMPT = "Name three colours."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where `bailment agent` listens, the capability that it made for this user, and the model
    that is called."""

    openai_url: str
    anthropic_url: str
    capability: str = field(repr=False)
    model: str = NAME

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Endpoint:
        """From the variables that the agent prints."""
        return cls(
            environment["OPENAI_BASE_URL"],
            environment["ANTHROPIC_BASE_URL"],
            environment["OPENAI_API_KEY"],
        )

    def openai(self) -> Any:
        """The SDK's client, as anybody would make it."""
        import openai  # installed for the demonstration, not a dependency

        return openai.OpenAI(base_url=self.openai_url, api_key=self.capability)

    def anthropic(self) -> Any:
        """The SDK's client, as anybody would make it."""
        import anthropic  # installed for the demonstration, not a dependency

        return anthropic.Anthropic(base_url=self.anthropic_url, api_key=self.capability)


def _chat(to: Endpoint) -> str:
    answer = to.openai().chat.completions.create(
        model=to.model, max_tokens=24, messages=[{"role": "user", "content": _PROMPT}]
    )
    return str(answer.choices[0].message.content)


def _chat_stream(to: Endpoint) -> str:
    stream = to.openai().chat.completions.create(
        model=to.model, max_tokens=24, stream=True, messages=[{"role": "user", "content": _PROMPT}]
    )
    return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


def _responses(to: Endpoint) -> str:
    answer = to.openai().responses.create(model=to.model, input=_PROMPT, max_output_tokens=24)
    return str(answer.output_text)


def _responses_stream(to: Endpoint) -> str:
    stream = to.openai().responses.create(
        model=to.model, input=_PROMPT, max_output_tokens=24, stream=True
    )
    return "".join(e.delta for e in stream if e.type == "response.output_text.delta")


def _messages(to: Endpoint) -> str:
    answer = to.anthropic().messages.create(
        model=to.model, max_tokens=24, messages=[{"role": "user", "content": _PROMPT}]
    )
    return str(answer.content[0].text)


def _messages_stream(to: Endpoint) -> str:
    with to.anthropic().messages.stream(
        model=to.model, max_tokens=24, messages=[{"role": "user", "content": _PROMPT}]
    ) as stream:
        return "".join(stream.text_stream)


def _count(to: Endpoint) -> str:
    counted = to.anthropic().messages.count_tokens(
        model=to.model, messages=[{"role": "user", "content": _PROMPT}]
    )
    return f"{counted.input_tokens} tokens"


def _models(to: Endpoint) -> str:
    openai = {model.id for model in to.openai().models.list()}
    anthropic = {model.id for model in to.anthropic().models.list()}
    if openai != anthropic:
        raise NotAsTold(f"the two listings of models differ: {openai}, {anthropic}")
    return ", ".join(sorted(openai))


CALLS: tuple[tuple[str, Callable[[Endpoint], str]], ...] = (
    ("openai chat.completions", _chat),
    ("openai chat.completions, streaming", _chat_stream),
    ("openai responses", _responses),
    ("openai responses, streaming", _responses_stream),
    ("anthropic messages", _messages),
    ("anthropic messages, streaming", _messages_stream),
    ("anthropic count_tokens", _count),
    ("models, by both", _models),
)
#: One of each SDK, one of them streaming.
REHEARSAL = (CALLS[1], CALLS[4])


def made(name: str, call: Callable[[Endpoint], str], to: Endpoint) -> str:
    """What a call says, on one line."""
    import anthropic
    import openai

    try:
        said = " ".join(call(to).split())
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        raise NotAsTold(f"{name}: {type(error).__name__}: {error}") from error
    if not said:
        raise NotAsTold(f"{name} said nothing")
    return said


def stream_until_cut(to: Endpoint, cut: Callable[[], object]) -> str:
    """Begin a long stream, cut it from outside, and say what the SDK raised."""
    import openai

    seen = 0
    try:
        stream = to.openai().chat.completions.create(
            model=to.model,
            max_tokens=2000,
            stream=True,
            messages=[{"role": "user", "content": "Tell me a very long story."}],
            extra_body={"ignore_eos": True},  # the model's server goes on to the limit
        )
        for _ in stream:
            seen += 1
            if seen == 8:
                cut()
    except openai.APIError as error:
        if not seen:
            raise NotAsTold(f"the stream did not begin: {error}") from error
        return f"{type(error).__name__} after {seen} chunks: {error}"
    raise NotAsTold(f"the stream ended as if nothing had happened, after {seen} chunks")


def refusal(to: Endpoint) -> str:
    """What the SDK raises now; empty if it is answered."""
    import openai

    try:
        to.openai().chat.completions.create(
            model=to.model, max_tokens=1, messages=[{"role": "user", "content": _PROMPT}]
        )
    except openai.APIStatusError as error:
        return f"{type(error).__name__}, code {error.code!r}: {error.message}"
    return ""
