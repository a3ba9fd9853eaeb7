"""What the user of a request said last, for those who look for use off purpose.

System prompts are left out: one that an application sends with every request makes all its prompts
alike, and what is asked disappears in it (docs/drift.md has the figures). So are results of tools,
which nobody asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bailment.detect.wordpiece import MAX_CHARACTERS

#: How many messages are looked through, from the last, and how many parts of one.
_MESSAGES, _PARTS = 200, 50


def prompt_of(members: Mapping[str, Any]) -> str:
    """The last text of a user in any dialect, cut at what is read of it; empty where none is.

    Members may be of any type. Lone surrogates, which are no text, become question marks.
    """
    messages = members.get("messages", members.get("input"))
    if isinstance(messages, str):
        return _cut(messages) if messages.strip() else ""
    last: list[Any] = messages[-_MESSAGES:] if isinstance(messages, list) else []
    for message in reversed(last):
        if isinstance(message, dict) and message.get("role") == "user":
            said = " ".join(_texts(message.get("content")))
            if said.strip():
                return _cut(said)
    return ""


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content[:MAX_CHARACTERS]
    for part in content[:_PARTS] if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") in (None, "text", "input_text"):
            text = part.get("text")
            if isinstance(text, str):
                yield text[:MAX_CHARACTERS]


def _cut(text: str) -> str:
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()
