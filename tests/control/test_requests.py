"""What is wrong with a request is said in words that a person can act on."""

from __future__ import annotations

import json
from typing import Annotated

import msgspec
import pytest

from bailment.access.reasons import Reason, Refused
from bailment.control.holding import LiftHold
from bailment.control.requests import refusal
from bailment.control.sink_acts import AddSink


@pytest.mark.parametrize(
    ("act", "change", "says"),
    [
        (LiftHold, {"reason": "x" * 501}, "`reason` is too long: it has more than 500 characters"),
        (LiftHold, {"reason": ""}, "`reason` is empty"),
        (AddSink, {"ca": [""] * 4001}, "`ca` is too long: it has more than 4000 members"),
        (AddSink, {"secret": "x" * 4097}, "more than 4096 characters"),
    ],
)
def test_what_is_too_long_is_named_with_its_bound(
    act: type[LiftHold | AddSink], change: dict[str, object], says: str
) -> None:
    asked = {
        "author": "me", "hold": "h", "reason": "r", "sink": "s", "kind": "http", "to": "x",
        "classes": [], "act": act.__struct_config__.tag,
    }  # fmt: skip
    wanted = {one.name for one in msgspec.structs.fields(act)} | {"act"}
    asked = {name: value for name, value in asked.items() if name in wanted}
    assert msgspec.convert(asked, act)
    with pytest.raises(msgspec.ValidationError) as wrong:
        msgspec.json.decode(msgspec.json.encode(asked | change), type=act)
    told = json.loads(bytes(refusal(Refused(Reason.BODY_MALFORMED, str(wrong.value))).body))
    assert says in told["detail"]
    assert "Expected" not in told["detail"]


def test_one_of_many_that_is_too_long_is_named_by_its_place() -> None:
    class Names(msgspec.Struct):
        names: list[Annotated[str, msgspec.Meta(min_length=2, max_length=3)]]

    for given, says in (("xxxx", "is too long: it has more than 3"), ("x", "has less than 2")):
        with pytest.raises(msgspec.ValidationError) as wrong:
            msgspec.json.decode(json.dumps({"names": [given]}), type=Names)
        told = json.loads(bytes(refusal(Refused(Reason.BODY_MALFORMED, str(wrong.value))).body))
        assert told["detail"].endswith(f"`names[0]` {says} characters")
