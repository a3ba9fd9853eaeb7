"""Which program a request says it comes from.

The SDKs of OpenAI and Anthropic, which one generator makes, say `User-Agent: OpenAI/Python 3.51.0`
and, in `X-Stainless-*` headers, their version, operating system, processor, language and runtime.
Other programs say `name/version (comment)` (RFC 9110 §10.1.5). Anybody can say anything: what is
here tells programs apart that do not lie, and shows that a liar had to know what to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

#: What of a header is read, in bytes, and what a field holds at the most, in characters.
_MOST_READ, _MOST_KEPT = 512, 48
_WORD = r"[A-Za-z0-9][A-Za-z0-9._+~-]*"
_SDK = re.compile(rf"({_WORD}/[A-Za-z]+) ({_WORD})")
_PRODUCT = re.compile(rf"(?:(?<= )|\A)(@?{_WORD}(?:/{_WORD})??)(?:/({_WORD}))?(?=[ (;]|\Z)")
_COMMENT = re.compile(r"\(([^()]{1,200})\)")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:/~-]*")
#: Names behind which a browser, or what is built on one, tells its own.
_ENGINES = frozenset(("Mozilla", "AppleWebKit", "Gecko", "Version", "Mobile", "Safari"))
_SYSTEMS = (
    ("Android", re.compile("android", re.I)),
    ("iOS", re.compile("iphone|ipad|ios", re.I)),
    ("MacOS", re.compile("mac ?os|macintosh|darwin", re.I)),
    ("Windows", re.compile("windows|win32|win64", re.I)),
    ("Linux", re.compile("linux|ubuntu|debian|fedora|alpine", re.I)),
    ("FreeBSD", re.compile("freebsd", re.I)),
    ("OpenBSD", re.compile("openbsd", re.I)),
)
_PROCESSORS = (
    ("arm64", re.compile("arm64|aarch64", re.I)),
    ("x64", re.compile("x86_64|amd64|x64", re.I)),
    ("x32", re.compile("i[36]86|x86", re.I)),
)
_READ = frozenset(
    (
        b"user-agent",
        b"x-stainless-package-version",
        b"x-stainless-os",
        b"x-stainless-arch",
        b"x-stainless-runtime",
        b"x-stainless-runtime-version",
    )
)


class Client(msgspec.Struct, frozen=True):
    """A program's name and version, the system (`Linux x64`) and the runtime (`node 22.11.0`) that
    it runs on; empty where it does not say, or says what no program would."""

    name: str = ""
    version: str = ""
    system: str = ""
    runtime: str = ""


def client_of(headers: Iterable[tuple[bytes, bytes]]) -> Client:
    """The client of a request with these headers, whose names are in lower case."""
    said: dict[bytes, str] = {}
    for header, value in headers:
        if header in _READ:
            # What comes twice came from two.
            said[header] = "" if header in said else _text(value)
    agent = said.get(b"user-agent", "")
    name, version = _product(agent)
    version = _plain(said.get(b"x-stainless-package-version", "")) or version
    if agent.startswith("claude-cli/"):  # its own version, not that of the SDK inside
        version = _product(agent)[1]
    system = _joined(said, b"x-stainless-os", b"x-stainless-arch") or _system(agent)
    runtime = _joined(said, b"x-stainless-runtime", b"x-stainless-runtime-version")
    return Client(name, version, system, runtime)


def _text(value: bytes) -> str:
    text = value.decode("ascii") if len(value) <= _MOST_READ and value.isascii() else ""
    return text if text.isprintable() else ""


def _product(agent: str) -> tuple[str, str]:
    """Name and version of the first product that is more than an engine."""
    sdk = _SDK.match(agent)
    if sdk is not None:
        return _plain(sdk[1]), _plain(sdk[2])
    found = ("", "")
    for product in _PRODUCT.finditer(_COMMENT.sub("", agent)):
        found = _plain(product[1]), _plain(product[2] or "")
        if product[1] not in _ENGINES:
            break
    return found


def _system(agent: str) -> str:
    comment = _COMMENT.search(agent)
    if comment is None:
        return ""
    system = next((name for name, pattern in _SYSTEMS if pattern.search(comment[1])), "")
    processor = next((name for name, pattern in _PROCESSORS if pattern.search(comment[1])), "")
    return f"{system} {processor}".strip()


def _joined(said: dict[bytes, str], *names: bytes) -> str:
    return " ".join(filter(None, (_plain(said.get(name, "")) for name in names)))


def _plain(text: str) -> str:
    return text if len(text) <= _MOST_KEPT and _PLAIN.fullmatch(text) else ""
