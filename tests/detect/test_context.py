"""Clients by their headers, and contexts: bounded, keyed, and without what was sent."""

from __future__ import annotations

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.detect.client import Client, client_of
from bailment.detect.context import Opening, context_of, opened
from bailment.detect.networks import layer_of, tables_of
from bailment.ledger.context import Context

KEY, OTHER = b"k" * 32, b"o" * 32
NONE = tables_of((), [layer_of(())] * 3 + [layer_of((), 64)] * 3)


def of(**headers: str) -> Client:
    return client_of([(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()])


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("curl/8.5.0", Client("curl", "8.5.0")),
        ("python-requests/2.32.3", Client("python-requests", "2.32.3")),
        ("python-httpx/0.28.1", Client("python-httpx", "0.28.1")),
        ("node", Client("node")),
        ("Go-http-client/1.1", Client("Go-http-client", "1.1")),
        ("axios/1.7.9", Client("axios", "1.7.9")),
        (
            "codex_cli_rs/0.46.0 (Mac OS 15.1.0; arm64) xterm",
            Client("codex_cli_rs", "0.46.0", "MacOS arm64"),
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/141.0.0.0 Safari/537.36",
            Client("Chrome", "141.0.0.0", "Windows x64"),
        ),
        ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", Client("node-fetch", "1.0")),
        ("", Client()),
        ("%s" * 3, Client()),
        ("x" * 600, Client()),
        ("a\x00b/1", Client()),
        ("curl/\u202e8", Client()),
    ],
)
def test_a_program_is_told_by_its_user_agent(agent: str, expected: Client) -> None:
    assert of(user_agent=agent) == expected


def test_claude_code_is_told_by_its_own_version() -> None:
    found = of(
        user_agent="claude-cli/2.1.36 (external, cli)",
        x_stainless_package_version="0.70.1",
        x_stainless_os="Linux",
        x_stainless_arch="x64",
        x_stainless_runtime="node",
        x_stainless_runtime_version="v24.3.0",
    )
    assert found == Client("claude-cli", "2.1.36", "Linux x64", "node v24.3.0")


@pytest.mark.parametrize("sdk", [openai.OpenAI, openai.AsyncOpenAI, anthropic.Anthropic])
def test_what_the_installed_sdks_send_is_read(sdk: type[openai.OpenAI]) -> None:
    headers = sdk(api_key="x", base_url="http://localhost").default_headers
    found = client_of(
        [(name.lower().encode(), str(value).encode()) for name, value in headers.items()]
    )
    module = anthropic if sdk is anthropic.Anthropic else openai
    assert (found.name, found.version) == (f"{sdk.__name__}/Python", module.__version__)
    assert found.system
    assert found.runtime.startswith("CPython 3.")


def test_a_header_that_comes_twice_says_nothing() -> None:
    agent = (b"user-agent", b"curl/8.5.0")
    assert client_of([agent, agent]) == Client()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"user-agent", b"x-stainless-os", b"x-stainless-arch", b"x-stainless-runtime"]
            ),
            st.binary(max_size=700) | st.from_regex(rb"[A-Za-z/(). 0-9;]{0,80}", fullmatch=True),
        ),
        max_size=6,
    )
)
def test_whatever_is_sent_the_fields_are_short_and_plain(
    headers: list[tuple[bytes, bytes]],
) -> None:
    found = client_of(headers)
    for field in (found.name, found.version, found.system, found.runtime):
        assert len(field) <= 100
        assert field.isascii()
        assert field.isprintable()


def test_a_prefix_is_the_networks_and_not_the_addresss() -> None:
    def prefix(address: str, key: bytes = KEY) -> str:
        return context_of(address, [], NONE, key).prefix

    assert prefix("192.0.2.1") == prefix("192.0.2.200") == prefix("::ffff:192.0.2.7")
    assert prefix("192.0.2.1") != prefix("192.0.3.1")
    assert prefix("2001:db8:1::1") == prefix("2001:db8:1:ffff::2") != prefix("2001:db8:2::1")
    assert prefix("192.0.2.1") != prefix("192.0.2.1", OTHER)
    assert prefix("") == prefix("no address") == ""
    assert len(prefix("10.0.0.1")) == 16


def test_hashes_tell_workspaces_and_conversations_apart_and_need_the_key() -> None:
    def of(workspace: bytes, first: bytes, key: bytes = KEY) -> Context:
        return opened(Context(), Opening(workspace, first), key)

    one = of(b"w" * 32, b"f" * 32)
    assert one.workspace == of(b"w" * 32, b"g" * 32).workspace
    assert one.conversation != of(b"w" * 32, b"g" * 32).conversation
    assert one.conversation != of(b"v" * 32, b"f" * 32).conversation
    assert one != of(b"w" * 32, b"f" * 32, OTHER)
    assert of(b"", b"") == Context()
    assert (of(b"", b"f" * 32).workspace, len(of(b"", b"f" * 32).conversation)) == ("", 16)
