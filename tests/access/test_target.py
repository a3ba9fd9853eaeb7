"""`htu`: RFC 3986 normalisation, and what can never match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access.target import normalise
from bailment.errors import FormatError


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://a.example", "https://a.example/"),
        ("https://a.example/", "https://a.example/"),
        ("HTTPS://A.Example/Path", "https://a.example/Path"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example:/x", "https://a.example/x"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("http://a.example:0443/x", "http://a.example:443/x"),
        ("https://a.example:80/x", "https://a.example:80/x"),
        ("http://[2001:DB8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
        ("https://a.example/x?y=1#z", "https://a.example/x"),
        ("https://a.example?y=/1", "https://a.example/"),
        ("https://a.example/x#?", "https://a.example/x"),
        ("https://a.example/%7Ex/%61", "https://a.example/~x/a"),
        ("https://a.example/%2f%c3%a9", "https://a.example/%2F%C3%A9"),
        ("https://a.example/a/./b/../c", "https://a.example/a/c"),
        ("https://a.example/a/%2E%2e/b", "https://a.example/b"),
        ("https://a.example/../../b", "https://a.example/b"),
        ("https://a.example/a/b/..", "https://a.example/a/"),
        ("https://a.example/a/.", "https://a.example/a/"),
        ("https://a.example//a//", "https://a.example//a//"),
        ("https://a.example/.well-known/x", "https://a.example/.well-known/x"),
        ("https://a.example/...", "https://a.example/..."),
        ("https://a.example/%252e", "https://a.example/%252e"),
    ],
)
def test_a_target_is_normalised(url: str, normal: str) -> None:
    assert normalise(url) == normal


@pytest.mark.parametrize(
    "url",
    [
        *("", "/v1/x", "a.example/x", "https:/a.example", "https:a.example"),
        *("https://", "https:///", "https://?", "https://a.example\\x"),
        *("ftp://a.example/", "ws://a.example/", "javascript://a.example/"),
        *("https://user@a.example/", "https://user:pw@a.example/", "https://a.example@/"),
        *("https://a.example:99999999/", "https://a.example:x/", "https://a.example:-1/"),
        *("https://a exam.ple/", "https://a.example/\n", "https://é.example/"),
        *("https://a.example/é", "https://[::1/", "https://a]/", "https://a%41/"),
        *("https://a.example/%", "https://a.example/%4", "https://a.example/%+1"),
        "https://a.example/" + "x" * 2048,
    ],
)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    with pytest.raises(FormatError):
        normalise(url)


SEGMENTS = st.lists(st.sampled_from(["a", "B", ".", "..", "", "%2e", "%2F", "%7e", "...", "c.d"]))


@given(SEGMENTS.map("/".join))
def test_a_normal_form_is_its_own(path: str) -> None:
    once = normalise(f"https://a.example/{path}")
    assert normalise(once) == once
    assert not {".", ".."} & set(once.split("/"))


@given(st.text() | st.text("https:/.a%2e?#@[]", max_size=30).map("https://".__add__))
def test_any_text_is_normalised_or_refused(url: str) -> None:
    try:
        once = normalise(url)
    except FormatError:
        return
    assert normalise(once) == once
