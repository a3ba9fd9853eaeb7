"""`bailment why` on one screen: 24 lines of 80 columns, in ASCII but for what others named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import wrap
from unicodedata import east_asian_width

from bailment.assurance.explanation import Explanation, Row
from bailment.assurance.standing import Standing, Step, step_at

WIDTH, HEIGHT = 80, 24


def screen(found: Explanation, standing: Standing | None, now: int) -> str:
    """The page; `standing` is the one in force, None where there is none yet."""
    head = [_headline(found), *_in_force(standing, now), *_kept(found)]
    tail = _next(found)
    room = HEIGHT - len(head) - len(tail) - 2  # for the blank lines between
    body = _gaps(found.gaps, room) if found.gaps else _lapsing(found.kept, room)
    return "\n".join(line for part in (head, [""], body, [""], tail) for line in part)


def _headline(found: Explanation) -> str:
    tier = f"{found.recipient}  T{found.tier} {found.title}"
    count = len(found.gaps) + len(found.kept)
    if found.gaps:
        state = f"NOT HELD, {len(found.gaps)} of {count} block"
    else:
        state = "held" if found.lapses is None else f"held until {_time(found.lapses)}"
    return f"{_fit(tier, WIDTH - len(state) - 2)}  {state}"


def _in_force(standing: Standing | None, now: int) -> Iterator[str]:
    """What the gateway goes by, and what it will."""
    step = None if standing is None else step_at(standing, now)
    if standing is None or step is None:
        yield "in force: no tier yet"
        return
    yield _fit(f"in force: {_step(step)} since {_time(step.at)}{_for(step)}", WIDTH)
    for ahead in [one for one in standing.steps if one.at > now][:2]:
        yield _fit(f"ahead:    {_step(ahead)} at {_time(ahead.at)}{_for(ahead)}", WIDTH)


def _kept(found: Explanation) -> Iterator[str]:
    """What holds, by the class of its evidence."""
    classes = [f"{count} {name}" for name, count in found.classes.items()]
    excepted = sum(row.status == "excepted" for row in found.kept)
    classes += [f"{excepted} by exception"] if excepted else []
    simulated = sum(row.simulated for row in found.kept)
    shown = f" ({simulated} simulated)" if simulated else ""
    yield _fit(f"holds:    {len(found.kept)}{shown}: {', '.join(classes) or 'nothing'}", WIDTH)
    yield f"by:       {_fit(found.spec, 40)}, evaluated {_time(found.evaluated)}"


def _gaps(gaps: tuple[Row, ...], room: int) -> list[str]:
    """Two lines for each gap, as many as there is room for; the others by id."""
    shown = gaps if 2 * len(gaps) <= room else gaps[: (room - 1) // 2]
    lines = []
    for row in shown:
        fact = row.facts[0] if row.facts else ""
        more = f" (and {len(row.facts) - 1} more)" if len(row.facts) > 1 else ""
        lines += [_line(row, row.title), f"  {_fit(fact, WIDTH - 2 - len(more))}{more}"]
    if rest := gaps[len(shown) :]:
        ids = ", ".join(row.requirement for row in rest)
        lines.append(_fit(f"and {len(rest)} more: {ids}", WIDTH))
    return lines


def _lapsing(kept: tuple[Row, ...], room: int) -> list[str]:
    """A line for each requirement, the first to lapse first, as many as there is room for."""
    shown = kept if len(kept) <= room else kept[: room - 1]
    lines = []
    for row in shown:
        end = "no end" if row.lapses is None else _time(row.lapses)
        how = row.independence or f"exception {row.exception[:8]}"
        lines.append(_line(row, f"{end}  {how}{', simulated' if row.simulated else ''}"))
    return [*lines, f"and {len(kept) - len(shown)} more"] if len(shown) < len(kept) else lines


def _line(row: Row, text: str) -> str:
    return _fit(f"{row.requirement:<8} {row.status:<12} {text}", WIDTH)


def _next(found: Explanation) -> list[str]:
    """What to do first, in at most four lines."""
    if found.gaps:
        first = found.gaps[0]
        told = "; ".join(first.actions) + (f". {first.remedy}" if first.remedy else "")
        if first.status == "contradicted" and first.until is not None:
            told += f" (ends {_time(first.until)} if nothing more is seen)"
        told = f"{first.requirement}: {told}"
    elif found.lapses is not None:
        first = found.kept[0]
        told = f"renew {first.requirement} before {_time(found.lapses)}: {'; '.join(first.facts)}"
    else:
        told = "nothing"
    lines = wrap(_plain(f"next: {told}"), WIDTH, subsequent_indent="      ")
    if len(lines) > 4:
        lines = [*lines[:3], f"{lines[3]}{' ' * WIDTH}"]
    return [_fit(line, WIDTH) for line in lines]


def _step(step: Step) -> str:
    phase = "" if step.phase == "none" else f" ({step.phase})"
    return (f"T{step.tier}" if step.tier else "no tier") + phase


def _for(step: Step) -> str:
    return f" for {', '.join(step.requirements)}" if step.requirements else ""


def _time(ms: int) -> str:
    """UTC to the minute, rounded down; years beyond 9999 are shown as `later`."""
    if ms >= 253_402_300_800_000:
        return "later"
    return datetime.fromtimestamp(ms // 60_000 * 60, UTC).strftime("%Y-%m-%d %H:%MZ")


def _fit(text: str, width: int) -> str:
    """The text in at most so many columns, cut with dots; nothing in it commands a terminal."""
    text = _plain(text)
    if len(text) <= width and _columns(text) <= width:
        return text
    text = text[: width - 3]
    while _columns(text) > width - 3:
        text = text[:-1]
    return f"{text}..."


def _plain(text: str) -> str:
    return "".join(ch if ch.isprintable() else "?" for ch in text)


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(ch) in "WF" else 1 for ch in text)
