"""A spec's text means one value to every reader, or is refused where it would not."""

from __future__ import annotations

import pytest

from bailment.canonical import MAX_INTEGER
from bailment.spec.reading import MAX_BYTES, MAX_DEPTH, read

from .example import ROOT, marked

IN_QUOTES = "write it in quotes"

# The text with « where the problem is; what is said; what to write instead.
REFUSED = {
    "date": ("day: «2026-05-01", "a date", '`"2026-05-01"`'),
    "time": ("day: «2026-05-01T10:00:00Z", "a date", '`"2026-05-01T10:00:00Z"`'),
    "yes": ("- a\n- «yes", "`yes` for a boolean", '`"yes"`'),
    "No": ("a: [1, «No]", "`No` for a boolean", '`"No"`'),
    "on": ("a: «on", "`on` for a boolean", '`"on"`'),
    "OFF": ("a: «OFF", "`OFF` for a boolean", '`"OFF"`'),
    "y": ("a: «y", "`y` for a boolean", '`"y"`'),
    "True": ("a: «True", "`True` for a boolean", IN_QUOTES),
    "on as a key": ("a:\n  «on: 1", "`on` for a boolean", '`"on"`'),
    "fraction": ("a: «0.2", "`0.2` is not a plain integer", '`"0.2"`'),
    "exponent": ("a: «1e3", "`1e3` is not a plain integer", '`"1e3"`'),
    "point alone": ("a: «.5", "`.5` is not", "in quotes"),
    "plus": ("a: «+5", "`+5` is not", "in quotes"),
    "underscore": ("a: «1_000", "`1_000` is not", '`"1_000"`'),
    "octal": ("a: «0644", "not a decimal number", '`"0644"`'),
    "octal of 1.2": ("a: «0o14", "not a decimal number", IN_QUOTES),
    "hexadecimal": ("a: «0xFF", "not a decimal number", IN_QUOTES),
    "sixty-based": ("a: «12:30", "sixty-based", '`"12:30"`'),
    "infinity": ("a: «-.inf", "is not a number", IN_QUOTES),
    "not a number": ("a: «.NaN", "is not a number", IN_QUOTES),
    "tilde": ("a: «~", "`~` for null", IN_QUOTES),
    "Null": ("a: «Null", "`Null` for null", IN_QUOTES),
    "nothing": ("a:«\nb: 1", "nothing stands here", "leave out its key"),
    "default": ("a: «=", "some readers take", IN_QUOTES),
    "merge key": ("a: 1\n«<<: {b: 1}", "a merge key", "write out"),
    "anchor": ("a: «&x 1", "the anchor `&x`", "remove it"),
    "anchor on a mapping": ("a: «&x\n  b: 1", "the anchor `&x`", "remove it"),
    "alias": ("a: 1\nb: «*x", "the alias `*x`", "write out"),
    "tag": ("a: «!!str 1", "the tag", "remove it"),
    "own tag": ("a: «!x {b: 1}", "the tag `!x`", "remove it"),
    "no specific tag": ("a: «! 1", "the tag `!`", "remove it"),
    "second document": ("a: 1\n«---\nb: 1", "a second document", "one in a file"),
    "directive": ("«%YAML 1.2\n---\na: 1", "a directive", "remove the line"),
    "duplicate": ("a: 1\nb: 2\n«a: 3", "`a` appears twice, first on line 1", "keep one"),
    "duplicate in quotes": ('a: 1\n«"a": 3', "`a` appears twice", "keep one"),
    "number as a key": ("«1: a", "the key `1` is not text", '`"1"`'),
    "list as a key": ("? «[a]\n: 1", "a key is not text", "a key of one word"),
    "key of letters beyond ASCII": ("«é: 1", "not ASCII", "in ASCII"),
    "large": ("a: «9007199254740992", "beyond 2^53 - 1", "smaller"),
    "very large": ("a: «-" + "9" * 5000, "beyond 2^53 - 1", "smaller"),
    "reordered text": ("a: x«\u202ey", "invisible character, U+202E", "remove it"),
    "reordered text by an escape": ('a: «"x\\u202ey"', "U+202E", "remove it"),
    "control by an escape": ('{"a": «"\\u001b[0m"}', "U+001B", "remove it"),
    "control after an empty line": ("\n«\x7f", "U+007F", "remove it"),
    "carriage return by an escape": ('a: «"\\r"', "U+000D", "remove it"),
    "line separator": ("a: x«\u2028y", "invisible character, U+2028", "remove it"),
    "control": ("a: «\x1b[0m", "U+001B", "remove it"),
    "carriage return": ("a: 1«\rb: 2", "U+000D", "remove it"),
    "tab": ("a:\n«\tb: 1", "not YAML", "indent by spaces"),
    "open bracket": ("a: [1,\n  2«", "not YAML", "the bracket that opens on line 1"),
    "tab before a key": ("a: 1\n«\tb: 1", "not YAML", "by spaces, not by tabs"),
    "open brace": ("a:\n  {b: 1\nc«: 2", "not YAML", "the bracket that opens on line 2"),
    "open quotes": ('a:\n  "b«', "not YAML", "the quotes that open on line 2"),
    "a sign": ("a: «@b", "not YAML", "begins with `@` in quotes"),
    "a wrong escape": ('a: "b«\\y"', "not YAML", "two backslashes"),
    "no value": ("a: 1\nbc\n«d: 1", "not YAML", "write `key: value`"),
    "a crooked line": ("a:\n  b: 1\n «c: 1", "not YAML", "like the lines beside it"),
    "colon in text": ("a: say«: this", "not YAML", "in quotes"),
    "empty": ("«", "the text is empty", "begin with `apiVersion"),
    "blanks": ("«  \n\n", "the text is empty", "begin with `apiVersion"),
    "comment alone": ("«# nothing", "no document", "begin with `apiVersion"),
    "deep": ("[" * MAX_DEPTH + "«[", "nested deeper than", "flatter"),
    "JSON fraction": ('{"a": «0.5}', "`0.5` is not an integer", '`"0.5"`'),
    "JSON NaN": ('{"a":\n «NaN}', "`NaN` is not an integer", '`"NaN"`'),
    "JSON duplicate": ('{"a": 1,\n «"a": 2}', "`a` appears twice, first on line 1", "keep one"),
    "JSON large": ('{"a": «9007199254740992}', "beyond 2^53 - 1", "smaller"),
    "JSON surrogate": ('{"a": «"\\ud800"}', "surrogate", "the character itself"),
    "JSON comma": ('{"a": 1,«}', "not JSON", "mend it"),
    "JSON and more": ('{"a": 1} «2', "not JSON", "mend it"),
    "YAML in braces": ("{«a: 1}", "not JSON", "without braces"),
    "JSON deep": ('«{"a":' + "[" * 100_000, "nested too deeply", "flatter"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_one_meaning_is_refused_where_it_stands(name: str) -> None:
    text, what, remedy = REFUSED[name]
    data, line, column = marked(text)
    found = read(data).problems
    # Of a list of problems the first is meant; an unclosed bracket is noticed at the text's end.
    if name == "open bracket":
        line, column = line + 1, 1
    assert (found[0].line, found[0].column) == (line, column)
    assert what in found[0].what
    assert remedy in found[0].remedy


def test_text_that_is_not_utf_8_is_refused_where_it_stops_being_so() -> None:
    for prefix in (b"", b"\xef\xbb\xbf"):
        (found,) = read(prefix + b"a: 1\r\nb: \xff").problems
        assert (found.line, found.column, found.what) == (2, 4, "the text is not UTF-8")
    assert read("a: 1".encode("utf-16")).problems


def test_a_text_that_is_too_long_is_not_read() -> None:
    assert not read(b"a: 1 #" + b"x" * (MAX_BYTES - 6)).problems
    (found,) = read(b"a: 1 #" + b"x" * (MAX_BYTES - 5)).problems
    assert "longer than 1024 KiB" in found.what
    assert (found.line, found.column) == (1, 1)


def test_the_format_states_the_bounds() -> None:
    text = " ".join((ROOT / "formats" / "spec.md").read_text().split())
    assert f"at most {MAX_BYTES >> 20} MiB, nested at most {MAX_DEPTH} deep" in text


def test_everything_refused_is_found_at_once() -> None:
    found = read(b"a: yes\nb: 1.5\na: [2026-01-01, on]\n").problems
    assert [(one.line, one.column) for one in found] == [(1, 4), (2, 4), (3, 1), (3, 5), (3, 17)]


def test_where_a_problem_is_stands_beside_it_as_a_json_pointer() -> None:
    paths = [one.path for one in read(b"a/b:\n  c~d: [1, on]\n  2: {e: 1.5}\n").problems]
    assert paths[:2] == ["/a~1b/c~0d/1", "/a~1b"]


def test_a_byte_order_mark_and_windows_line_ends_do_not_count() -> None:
    found = read(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n")
    assert (found.value, found.problems) == ({"a": 1, "b": "x\ny\n"}, [])


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        *(("true", True), ("false", False), ("null", None), ("0", 0), ("-7", -7), ("-0", 0)),
        *((str(MAX_INTEGER), MAX_INTEGER), (str(-MAX_INTEGER), -MAX_INTEGER)),
        *(
            (word, word)
            for word in ("P7D", "20%", "1.0.0", "T1", "a b", "yes no", "nul", "-", "x=")
        ),
        *((word, word) for word in ("MS.AAD.3.1v1", "12h", "1.2.3.4", "e5", "2026-05", "<", "a:b")),
        *((f'"{word}"', word) for word in ("yes", "2026-05-01", "0.5", "~", "<<", "", "07")),
        *((f"'{word}'", word) for word in ("on", "1", "null")),
        ("|\n  on\n", "on\n"),
        (">-\n  1\n  2\n", "1 2"),
    ],
)
def test_what_has_one_meaning_is_read(plain: str, value: object) -> None:
    if plain == "-":
        plain, value = '"-"', "-"
    found = read(f"a: {plain}".encode())
    assert (found.value, found.problems) == ({"a": value}, [])
    assert type(found.value["a"]) is type(value)
