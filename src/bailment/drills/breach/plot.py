"""A drill as a picture: how soon each variant was refused or noticed. SVG 1.1, without fonts."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from bailment.drills.breach.result import Outcome, Result

_ROW, _LEFT, _RIGHT, _TOP, _WIDTH = 34, 150, 300, 78, 900
_COLOURS = {"refused": "#1b7f4b", "contained": "#2563a8", "noticed": "#b7791f", "unseen": "#8a8a8a"}
_STATIC = "#b23a48"
#: The axis: labels and milliseconds.
_TICKS = (
    *(("0.1 s", 100), ("1 s", 1_000), ("10 s", 10_000), ("1 min", 60_000), ("10 min", 600_000)),
    *(("1 h", 3_600_000), ("10 h", 36_000_000), ("1 d", 86_400_000), ("7 d", 604_800_000)),
)


def draw(result: Result) -> str:
    """The picture, time on a logarithmic axis, the number of the request beside each mark."""
    signals = [s for one in result.variants for s in (one.signal, one.static) if s is not None]
    longest = max((signal.after for signal in signals), default=1_000)
    ticks = [tick for tick in _TICKS if tick[1] <= max(longest, 1_000) * 10]
    end = math.log10(ticks[-1][1])
    height = _TOP + _ROW * len(result.variants) + 40
    title = f"{result.name}, {'SIMULATED, ' if result.simulated else ''}{result.form}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 24, title, size=15),
        _text(16, 44, "from a group's first request until it was refused or noticed", "#555555"),
    ]
    bottom = _TOP + _ROW * len(result.variants)
    for label, ms in ticks:
        x = _x(ms, end)
        parts.append(f'<path d="M{x:.1f} {_TOP - 12}V{bottom}" stroke="#e3e3e3"/>')
        parts.append(_text(x, bottom + 16, label, "#555555", "middle"))
    for number, one in enumerate(result.variants):
        parts += _row(one, _TOP + _ROW * number + 12, end)
    if any(one.static is not None for one in result.variants):
        parts.append(f'<circle cx="24" cy="{bottom + 30}" r="4" fill="none" stroke="{_STATIC}"/>')
        parts.append(_text(34, bottom + 34, "with shared static keys", _STATIC))
    return "\n".join((*parts, "</svg>", ""))


def _row(one: Outcome, y: float, end: float) -> list[str]:
    colour = _COLOURS[one.outcome]
    parts = [_text(16, y + 4, one.variant)]
    if one.signal is not None:
        x = _x(one.signal.after, end)
        parts.append(f'<path d="M{_LEFT} {y}H{x:.1f}" stroke="{colour}" stroke-width="6"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"/>')
    if one.static is not None:
        x = _x(one.static.after, end)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="none" stroke="{_STATIC}" stroke-width="2"/>'
        )
    parts.append(_text(_WIDTH - _RIGHT + 24, y + 4, _says(one), colour))
    return parts


def _says(one: Outcome) -> str:
    if one.signal is None:
        return f"unseen in {one.requests} requests"
    return f"{one.outcome}, request {one.signal.request}: {one.signal.name}"


def _x(ms: float, end: float) -> float:
    begin = math.log10(_TICKS[0][1])
    share = (math.log10(max(ms, _TICKS[0][1])) - begin) / max(end - begin, 1e-9)
    return _LEFT + min(1.0, share) * (_WIDTH - _LEFT - _RIGHT)


def _text(
    x: float, y: float, text: str, colour: str = "#222222", anchor: str = "start", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
