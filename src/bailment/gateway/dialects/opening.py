"""How a request begins: digests of the system prompt, the tools and the user's first message.

They are made while the body is parsed, so that nothing of it is kept longer, and are keyed before
they are told anybody (`detect/context.py`). What clients change from turn to turn is left out:
cache marks, digits of the system prompt (dates, times, counters), and the line of accounts that
Claude Code puts before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from bailment.detect.context import UNOPENED, Opening

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_ACCOUNTS = "x-anthropic-billing-header:"
#: Of one text so many characters count, and its end does not.
_MOST = 1 << 17
_SYSTEM_ROLES = frozenset(("system", "developer"))


def opening_of(members: Mapping[str, Any]) -> Opening:
    """The opening of a request in any dialect, whatever the types of its members."""
    messages = members.get("messages", members.get("input"))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    system = [members.get("system"), members.get("instructions")]
    first: Any = None
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            if message.get("role") == "user":
                first = message.get("content")
                break
            if message.get("role") in _SYSTEM_ROLES:
                system.append(message.get("content"))
    try:
        ground = b"\0".join((*_parts(system), *_parts([members.get("tools")])))
        return Opening(
            _digest(ground.translate(_DIGITS)) if ground else b"",
            b"" if first is None else _digest(b"\0".join(_parts([first]))),
        )
    except (ValueError, RecursionError):  # nested as deeply as the parser just let pass
        return UNOPENED


def _parts(values: Iterable[Any]) -> Iterable[bytes]:
    for value in values:
        if isinstance(value, str):
            if not value.startswith(_ACCOUNTS):
                yield value[:_MOST].encode("utf-8", "surrogatepass")
        elif isinstance(value, list):
            yield from _parts(value)
        elif isinstance(value, dict):
            if isinstance(value.get("text"), str):
                yield from _parts([value["text"]])
            else:
                kept = {name: inner for name, inner in value.items() if name != "cache_control"}
                yield json.dumps(kept, separators=(",", ":")).encode("ascii")
        elif value is not None:
            yield json.dumps(value).encode("ascii")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
