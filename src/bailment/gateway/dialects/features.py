"""What the gateway refuses by name, because no chain covers it yet.

Three kinds. *Kept state*: anything stored under the issuer's account and named by an id (answers,
conversations, files, containers) is shared by every recipient until it is scoped to one. *Side
doors*: members that choose another model, or another limit than the one the budget reserves.
*Reaching out*: tools that the model's side runs, and addresses that it fetches, leave the chain
and the log; so only tools which the client itself runs are admitted, and content comes in the
body. New kinds of tool are therefore refused until they are known; other unknown members pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeVar

from bailment.access.reasons import Reason, Refused
from bailment.gateway.dialects.body import malformed, read, typed

Head = TypeVar("Head")

STATE = "nothing is kept between requests until it is scoped to a recipient; "
"""Why kept state is refused, to be followed by what to do instead."""

COMMON: dict[str, str] = {
    "store": STATE + "leave it out or send false",
    "container": STATE + "leave it out",
    "models": "the chain admits only the one in `model`; send one request for each",
    "fallbacks": "the chain admits only the one in `model`; leave it out",
    "lora": "the chain admits the model as it is served; leave it out",
    "n_predict": "it overrides the limit that the budget reserves; use the dialect's own limit",
    "n_cmpl": "it overrides the number of choices that the budget reserves; use `n`",
}
"""Top-level members that every dialect refuses, and why. None, false and [] are no request."""

_NESTED_IDS = {
    "diagnostics": "previous_message_id",
    "prompt_cache_options": "comparison_response_id",
}
_ADDRESSES = frozenset({"url", "image_url", "file_url", "audio_url", "video_url"})
_WATCHED = _ADDRESSES | {"file_id", "id", "tools", "definition"}
_INWARD = _ADDRESSES | {"content", "output", "source", "file", "audio", "input_audio", "tool"}
_OF_CONTENT = _WATCHED | _INWARD | {"type", "role"}
_OF_A_TOOL = frozenset({"type", "tools"})


@dataclass(frozen=True, slots=True)
class Rules:
    """`refused`: top-level members and why. `typed`: members that the dialect reads itself.
    `client_runs`: whether the client runs a tool of this type (None if it states none)."""

    refused: Mapping[str, str]
    typed: frozenset[str]
    client_runs: Callable[[str | None], bool]


def admit(body: bytes, head: type[Head], rules: Rules) -> tuple[dict[str, Any], Head] | Refused:
    """The members of a body that may go upstream, and those that `head` names, typed."""
    members = read(body)
    if isinstance(members, Refused):
        return members
    if refused := _feature(members, rules):
        return refused
    relied_on = typed(members, head)
    return relied_on if isinstance(relied_on, Refused) else (members, relied_on)


def _feature(members: dict[str, Any], rules: Rules) -> Refused | None:
    return (
        _names(members, rules)
        or _tools(members.get("tools"), rules)
        or _content([members.get(name) for name in ("messages", "input", "system")], rules)
    )


def _names(members: dict[str, Any], rules: Rules) -> Refused | None:
    for name, value in members.items():
        if name in rules.refused:
            if value is not None and value is not False and value != []:
                return _refused(name, rules.refused[name])
        elif name in _NESTED_IDS:
            inner = _NESTED_IDS[name]
            if isinstance(value, dict):
                if refused := _spelling(value, {inner}):
                    return refused
                if value.get(inner) is not None:
                    return _refused(f"{name}.{inner}", STATE + "leave it out")
    return _spelling(members, rules.typed | rules.refused.keys() | _NESTED_IDS.keys())


def _spelling(members: dict[str, Any], known: AbstractSet[str]) -> Refused | None:
    """Some servers match names without regard to case, and would see what we did not."""
    for name in members:
        folded = name.casefold()
        if folded != name and folded in known:
            return malformed(f"the member {name!a} must be spelt `{folded}`")
    return None


def _tools(tools: object, rules: Rules, *, grouped: bool = False) -> Refused | None:
    if tools is None:
        return None
    if not isinstance(tools, list):
        return malformed("`tools` must be an array")
    for tool in tools:
        if not isinstance(tool, dict):
            return malformed("each of `tools` must be an object")
        if refused := _spelling(tool, _OF_A_TOOL):
            return refused
        kind = tool.get("type")
        if not (kind is None or isinstance(kind, str)):
            return malformed("the `type` of a tool must be a string")
        if kind == "namespace" and not grouped:
            if refused := _tools(tool.get("tools"), rules, grouped=True):
                return refused
        elif not rules.client_runs(kind):
            return _refused(
                f"tools.type: {(kind or '')[:80]!a}",
                "only tools which the client itself runs stay within the chain; offer it as a "
                "function that you run",
            )
    return None


def _content(values: list[Any], rules: Rules) -> Refused | None:
    """Walk what the model reads; not what a tool was called with, whose shape is the client's."""
    while values:
        value = values.pop()
        if isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            if refused := _spelling(value, _OF_CONTENT):
                return refused
            for name, inner in value.items():
                if name in _WATCHED and (refused := _member(value, name, inner, rules)):
                    return refused
                if name in _INWARD:
                    values.append(inner)
    return None


def _member(block: dict[str, Any], name: str, value: object, rules: Rules) -> Refused | None:
    if name == "tools":
        return _tools(value, rules)
    if name == "definition":
        return _tools([value], rules)
    if name == "file_id":
        return None if value is None else _refused(name, STATE + "send the content itself")
    if name == "id":
        untyped = block.get("type") is None and block.keys().isdisjoint({"role", "content"})
        refers = untyped or block.get("type") == "item_reference"
        return _refused(name, STATE + "send the item itself") if refers else None
    if isinstance(value, str) and value[:5].lower() != "data:":
        return _refused(name, "the model fetches nothing; send the content as a data: URL")
    return None


def _refused(name: str, why: str) -> Refused:
    return Refused(Reason.FEATURE_REFUSED, f"`{name}` is refused: {why}")
