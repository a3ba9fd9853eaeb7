"""What to write in the place of what is not of its form: what was meant, else an example."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from bailment.errors import FormatError
from bailment.spec.quantity import number_ppm

_IN_QUOTES: Final = " in quotes"
_LONGEST: Final = 200
#: Units of time as people write them: how each is spelled in a duration, after how many of them.
_UNITS: Final = {
    **dict.fromkeys(("D", "DAY", "DAYS"), ("P{}D", 1)),
    **dict.fromkeys(("W", "WEEK", "WEEKS"), ("P{}D", 7)),
    **dict.fromkeys(("H", "HOUR", "HOURS"), ("PT{}H", 1)),
    **dict.fromkeys(("MIN", "MINS", "MINUTE", "MINUTES"), ("PT{}M", 1)),
    **dict.fromkeys(("S", "SEC", "SECOND", "SECONDS"), ("PT{}S", 1)),
}
_CALENDAR: Final = {
    **dict.fromkeys(("MONTH", "MONTHS", "MO"), ("months", 30)),
    **dict.fromkeys(("Y", "YEAR", "YEARS"), ("years", 365)),
}


def what_must(words: Mapping[str, Any], *, quoted: bool = False) -> str:
    """What text of a form is called, with its article, and with its quotes."""
    title: str = words["title"] if quoted else words["title"].removesuffix(_IN_QUOTES)
    return f"{'an' if title[0] in 'aeiou' else 'a'} {title}"


def instead(words: Mapping[str, Any], pattern: str, value: object) -> str:
    """What to write where `value` stands and text of a form must; `words` are its title and
    examples, and `pattern` is what it matches."""
    title = words["title"]
    text = value if isinstance(value, str) else json.dumps(value)
    is_plain = isinstance(value, str | int) and not isinstance(value, bool)
    if title == "duration" and is_plain and (span := _calendar(text, pattern)):
        return span
    meant = _meant(title, text) if is_plain else ""
    if meant and re.search(pattern, meant):
        if meant == value or (meant == text and not isinstance(value, str)):
            return f"write it in quotes: `{json.dumps(meant)}`"
        return f"write `{_shown(title, meant)}`"
    if title == "duration" and re.search(r"[0-9][.,][0-9]", text):
        return "write whole numbers, in a smaller unit: half a day is `PT12H`"
    if title == "share":
        return "write one from `0%` to `100%`"
    if title == "line of text" and isinstance(value, str) and len(value) > _LONGEST:
        return f"say it in at most {_LONGEST} characters"
    return f"write one like `{_shown(title, words['examples'][0])}`"


def integer_instead(text: str, path: tuple[str | int, ...]) -> str:
    """What to write where this text stands and an integer must."""
    if re.fullmatch(r"-?(?:0|[1-9][0-9]{0,15})", text):
        return f"write it without quotes: `{text}`"
    try:
        share = number_ppm(text)
    except FormatError:
        return "write an integer, without quotes or a unit"
    ppm = [part for part in path if str(part).endswith("_ppm")]
    if ppm or path[-1] in ("min", "max"):
        return f"write an integer; a claim in `_ppm` counts millionths, of which this is `{share}`"
    return "write an integer, such as `2`"


def _shown(title: str, text: str) -> str:
    return json.dumps(text) if title.endswith(_IN_QUOTES) else text


def _meant(title: str, text: str) -> str:
    """The form's own spelling of what the text seems to say."""
    text = text.strip()
    match title:
        case "duration":
            return _duration(text)
        case "share":
            return _share(text)
        case "date in quotes":
            found = re.match(r"([0-9]{4})[-/.]?([0-9]{1,2})[-/.]?([0-9]{1,2})(?![0-9])", text)
            return f"{found[1]}-{found[2]:>02}-{found[3]:>02}" if found else ""
        case "name":
            return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        case "kind of evidence":
            return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
        case "requirement's id":
            return re.sub(r"[^A-Z0-9]+", "-", text.upper()).strip("-")
        case "claim":
            return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
        case "check":  # as intake does
            return re.sub(r"[^!-~]+", "_", text)
        case "adapter":
            return text.lower() + ("" if "/" in text else "/1")
        case "semantic version":
            return ".".join([*re.findall("[0-9]+", text), "0", "0"][:3])
    return " ".join(text.split())


def _duration(text: str) -> str:
    spelled = text.upper().replace(" ", "")
    found = re.fullmatch(r"P?T?([0-9]{1,5})([A-Z]+)", spelled)
    if spelled.startswith("P") and "T" not in spelled and re.fullmatch(r"P[0-9]+[HS]", spelled):
        return "PT" + spelled[1:]
    if found is None or found[2] not in {*_UNITS, "M"}:
        return spelled
    form, count = _UNITS.get(found[2], ("PT{}M", 1))
    return form.format(int(found[1]) * count)


def _calendar(text: str, pattern: str) -> str:
    """What to write for months and years, which have no one length."""
    found = re.fullmatch(r"(P?)([0-9]{1,4})([A-Z]+)", text.strip().upper().replace(" ", ""))
    if found is None or not (found[3] in _CALENDAR or (found[1] and found[3] == "M")):
        return ""
    name, days = _CALENDAR.get(found[3], ("months", 30))
    meant = f"P{int(found[2]) * days}D"
    return f"write days, such as `{meant}`: {name} differ" if re.search(pattern, meant) else ""


def _share(text: str) -> str:
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%?", text)
    if found is None:
        return ""
    ppm = number_ppm(found[1])
    if "%" in text or ppm > 1_000_000:  # else a fraction of one
        ppm //= 100
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".") + "%"
