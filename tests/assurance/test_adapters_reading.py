"""Bytes that anybody may have written: read within bounds, or refused with the reason and place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bailment import canonical
from bailment.assurance.adapters import reading
from bailment.assurance.adapters.recognition import ADAPTERS
from bailment.assurance.reasons import EvidenceReason

from .reports import EVERY, data, maester, refused, report, scubagear, with_

BOM = b"\xef\xbb\xbf"


def nested(depth: int) -> bytes:
    return b'{"MetaData":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
def test_every_adapter_knows_its_own(adapter: str) -> None:
    found = report(EVERY[adapter])
    assert found.adapter == adapter
    assert len(found.digest) == 64
    assert found.notes == () or adapter in {"dsse-attestation/1", "document/1"}


def test_there_is_a_report_of_every_adapter_to_test_with() -> None:
    assert set(EVERY) == ADAPTERS


def test_a_file_over_the_limit_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(canonical, "parse_unique", lambda body: pytest.fail("parsed"))
    found = refused(b" " * (reading.MAX_SIZE + 1))
    assert found.reason == EvidenceReason.TOO_LARGE
    assert "longer than 64 MiB" in found.detail


def test_a_file_may_be_as_long_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SIZE", 10)
    assert refused(b"[        ]").reason == EvidenceReason.UNRECOGNISED
    assert refused(b"[         ]").reason == EvidenceReason.TOO_LARGE


def test_a_file_holds_two_million_values_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "parse_unique", lambda body: None)
    most = b"[" + b"1," * 1_999_999 + b"1]"
    assert refused(most).reason == EvidenceReason.UNRECOGNISED
    assert refused(most[:-1] + b",1]").reason == EvidenceReason.TOO_LARGE


def test_a_file_of_too_many_values_is_refused_before_it_is_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MAX_VALUES", 3)
    assert refused(b"[1,2,3]").reason == EvidenceReason.UNRECOGNISED
    monkeypatch.setattr(canonical, "parse_unique", lambda body: pytest.fail("parsed"))
    for body in (b"[1,2,3,4]", b"[[[[]]]]", b'[{},{"a":{}}]'):
        assert refused(body).reason == EvidenceReason.TOO_LARGE


def test_a_byte_order_mark_is_read_where_the_tool_writes_one_and_noted() -> None:
    for value in (scubagear(), maester()):
        found = report(BOM + data(value))
        assert found.notes == ("begins with a byte order mark, as this tool's files do",)
        assert found.checks == report(value).checks
        assert found.digest != report(value).digest


@pytest.mark.parametrize("adapter", sorted(ADAPTERS - {"scubagear/1", "maester/1"}))
def test_a_byte_order_mark_is_refused_where_the_tool_writes_none(adapter: str) -> None:
    found = refused(BOM + data(EVERY[adapter]))
    assert (found.reason, found.where) == (EvidenceReason.BYTE_ORDER_MARK, "byte 0")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "byte 0"),
        (b"\xff\xfe{\x00}\x00", "byte 0"),
        (b'{"MetaData": \xff}', "byte 13"),
        (b'{"a": 1}\n{"b": 2}', "line 2 column 1"),
        (b'{"a": nul}', "line 1 column 7"),
        (BOM + BOM + b"{}", "line 1 column 1"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place(body: bytes, where: str) -> None:
    found = refused(body)
    assert found.where == where
    assert found.reason in (EvidenceReason.MALFORMED, EvidenceReason.TRUNCATED)


def test_what_is_wrong_is_said_beside_the_place() -> None:
    found = refused(b'{"a": nul}')
    assert (found.detail, found.where) == ("not JSON: expecting value", "line 1 column 7")
    found = refused(b'{"a": NaN}')
    assert (found.detail, found.where) == ("`NaN` is not JSON", "")
    found = refused(with_(scubagear(), 1, "MetaData", "TenantId"))
    assert found.detail == "expected `str`, got `int`"
    found = refused(with_(scubagear(), 1, "MetaData", "\ud800"))
    assert (found.detail, found.where) == ("a string holds a lone surrogate", "$")


@pytest.mark.parametrize("body", [b'{"a": NaN}', b'{"a": Infinity}', b"[" + b"1" * 5000 + b"]"])
def test_numbers_that_are_none_are_refused(body: bytes) -> None:
    assert refused(body).reason == EvidenceReason.MALFORMED


def test_a_utf_16_file_is_called_one() -> None:
    found = refused(json.dumps(scubagear()).encode("utf-16"))
    assert (found.reason, found.detail) == (
        EvidenceReason.MALFORMED,
        "the file is UTF-16; write it as UTF-8",
    )


def test_a_file_that_was_cut_off_is_refused_wherever_it_was_cut() -> None:
    whole = data(EVERY["prowler-ocsf/1"])
    for length in range(1, len(whole)):
        found = refused(whole[:length])
        if whole[:length].endswith((b"}", b"]")):
            assert found.reason == EvidenceReason.MALFORMED
        else:
            assert (found.reason, found.where) == (EvidenceReason.TRUNCATED, f"byte {length}")


def test_a_file_that_is_nested_too_deep_is_refused_where_it_becomes_so() -> None:
    assert refused(nested(64)).reason == EvidenceReason.UNRECOGNISED
    assert refused(nested(64).replace(b"[]", b"[1]")).reason == EvidenceReason.UNRECOGNISED
    for depth in (65, 5000, 500_000):
        found = refused(nested(depth))
        assert (found.reason, found.where) == (
            EvidenceReason.TOO_DEEP,
            f"byte {len('{' + chr(34) + 'MetaData' + chr(34) + ':') + 63}",
        )


def test_only_what_is_open_at_once_is_deep() -> None:
    assert refused(b"[" + b"[]," * 100 + b"nul]").reason == EvidenceReason.MALFORMED
    before = b"[" + b"[]," * 10
    found = refused(before + nested(100) + b"]")
    at = len(before + b'{"MetaData":') + 62
    assert (found.reason, found.where) == (EvidenceReason.TOO_DEEP, f"byte {at}")


def test_brackets_within_strings_are_not_deep() -> None:
    value = {"a": "[" * 500, 'b"\\': ["{" * 500, "\\", '"']}
    assert refused(value).reason == EvidenceReason.UNRECOGNISED


def test_a_string_that_never_ends_is_seen_in_linear_time() -> None:
    found = refused(b'{"a": "' + b'\\"' * 1_000_000)
    assert found.reason == EvidenceReason.TRUNCATED


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"a": 1, "a": 1}', "$"),
        (b'{"a": [{}, {"b": {"c": 1, "c": 2}}]}', "$.a[1].b"),
        (b'{"a\xc3\xa9": {"b": 1, "b": 2}}', "$.a?"),
        (b'{"a": {"b": 1, "b": 2}, "c": nul}', ""),
        (b'{"x": 1, "y": "z", "a": {"b": 1, "b": 2}}', "$.a"),
        (b'{"x": 1, "y": "z", "a": {"b": {"c": 1, "c": 2}}}', "$.a.b"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_the_path(body: bytes, where: str) -> None:
    found = refused(body)
    assert (found.reason, found.where) == (EvidenceReason.DUPLICATE_KEY, where)


@pytest.mark.parametrize(
    "value",
    [
        None, 1, "x", [], {}, [None], [[]], {"format": "bailment-roster/v2"}, {"MetaData": {}},
        {"MetaData": {"Tool": ["ScubaGear"]}}, {"MetaData": {"Tool": "OtherGear"}},
        [{"metadata": {"product": {"name": "Other"}}}], {"schemas": ["urn:other"]},
        {"_type": "https://in-toto.io/Statement/v1", "predicateType": "other"},
        {"_type": "https://in-toto.io/Statement/v1", "predicateType": []},
        {**EVERY["dsse-attestation/1"], "_type": "https://in-toto.io/Statement/v0.1"},
        {"TenantId": "x", "ExecutedAt": "x", "Tests": "x"},
    ],
)  # fmt: skip
def test_what_no_adapter_knows_is_refused(value: Any) -> None:
    assert refused(value).reason == EvidenceReason.UNRECOGNISED


def test_a_report_that_says_nothing_is_refused() -> None:
    for value in ({**maester(), "Tests": []}, {**EVERY["drill/1"], "timed": {}}):
        assert refused(value).reason == EvidenceReason.EMPTY


def test_what_a_file_says_stands_in_a_record_short_and_printable() -> None:
    assert reading.plain("é\n" + "x" * 100) == "??" + "x" * 58


def test_what_is_cut_off_is_so_whatever_space_follows() -> None:
    for space in (b"", b" " * 63, b"\n" * 100):
        assert refused(b'{"a": [1, 2' + space).reason == EvidenceReason.TRUNCATED
        assert refused(b'{"a": nul}' + space).reason == EvidenceReason.MALFORMED


def test_guids_have_one_spelling_and_other_ids_stay_as_they_are() -> None:
    upper = "0F2B5A6E-1C3D-4E5F-8A9B-0C1D2E3F4A5B"
    assert reading.scope_id(upper, "") == upper.lower()
    assert reading.scope_id("C01ABC", "") == "C01ABC"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01.9999z", 1999),
        ("2026-06-01T12:00:00+02:00", 1_780_308_000_000),
        ("2026-06-01T12:00:00.1234567-00:30", 1_780_317_000_123),
        ("9999-12-31T23:59:59Z", 253402300799000),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
    ],
)
def test_times_are_rfc_3339(text: str, ms: int) -> None:
    assert reading.time_ms(text, "") == ms


@pytest.mark.parametrize(
    "text",
    ["", "2026-06-01", "2026-06-01T12:00Z", "2026-06-01 12:00:00Z", "2026-W01-1T00:00:00Z",
     "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.9999Z",
     "2026-02-30T00:00:00Z", "20260601T120000Z", "2026-06-01T12:00:00"],
)  # fmt: skip
def test_other_times_are_none(text: str) -> None:
    with pytest.raises(reading.Unreadable, match="no time"):
        reading.time_ms(text, "$.time")


def test_a_day_is_over_at_its_end_in_utc() -> None:
    assert reading.day_end_ms("1970-01-01", "") == 86_400_000 - 1
    bad = ("1970-1-1", "19700101", "1970-W01-1", "1970-01-01T00:00:00Z", "1969-12-31", "2026-02-30")
    for text in bad:
        with pytest.raises(reading.Unreadable):
            reading.day_end_ms(text, "")
