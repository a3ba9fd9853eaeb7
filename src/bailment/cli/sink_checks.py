"""What `bailment doctor` makes of the issuer's sinks, and of recipients' webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from bailment.cli.checks import Finding
from bailment.cli.times import show_time
from bailment.errors import ConfigurationError
from bailment.store.folder import Folder
from bailment.store.outbox import standing
from bailment.store.sinks import Progress, Sink, stored


def examine_sinks(folder: Folder, size: int) -> Iterator[Finding]:
    """Whether each takes what it is sent; `size` is the log's."""
    try:
        found = stored(folder)
    except ConfigurationError as error:
        yield Finding("sinks", False, str(error), error.hint)
        return
    for sink, progress in found:
        check, behind = f"sink {sink.name}", size - progress.next
        if progress.paused:
            says = f"paused, {behind} entries behind"
            yield Finding(check, True, says, f"bailment sink resume {sink.name}")
        elif progress.error:
            says = f"{_since(progress)}, {behind} entries behind: {progress.error}"
            yield Finding(check, False, says, _mend(sink, progress, folder))
        else:
            yield Finding(check, True, f"took {progress.sent} events")


def _since(progress: Progress) -> str:
    since = f" since {show_time(progress.since)}" if progress.since else ""
    if progress.stopped:
        return f"stopped{since} by a mistake of ours"
    return f"takes nothing{since}, after {progress.attempts} attempts"


def _mend(sink: Sink, progress: Progress, folder: Folder) -> str:
    """What to do about one, by what is wrong with it."""
    test, secret = f"then bailment sink test {sink.name}", folder.secrets / f"sink-{sink.name}"
    if progress.stopped:
        again = f"bailment sink resume {sink.name}"
        return f"{again}; if it stops anew, see what the issuer wrote to standard error"
    if str(secret) in progress.error:
        return f"put it back, with mode 0600, {test}"
    _, refused, status = progress.error.partition("it answers with status ")
    if status in ("401", "403") and sink.secret:
        return f"its receiver wants another secret: put it into `{secret}`, {test}"
    if status in ("401", "403"):
        anew = f"remove it, and add it with --secret-file and --since {progress.next}"
        return f"its receiver wants a secret: {anew}"
    if refused:
        return f"see in its receiver's log why it refuses what it is sent, {test}"
    return f"start it, or mend the way to it, {test}"


def examine_webhooks(folder: Folder, many: int) -> Iterator[Finding]:
    """Whether recipients take what they are told; so `many` are told."""
    try:
        one = standing(folder.outbox)
    except ConfigurationError as error:
        yield Finding("webhooks", False, str(error), error.hint)
        return
    if not many:
        return
    late = f", the last {one.behind} entries of the log not read for one" if one.behind else ""
    says = f"{many} recipients are told, {one.waiting} messages wait, {one.given_up} given up{late}"
    if not one.failing:
        yield Finding("webhooks", True, says)
        return
    mend = "ask each that does not take them; `bailment webhook show` tells it why, `set` tries all"
    yield Finding("webhooks", False, f"{says}; {one.failing} do not take them", mend)
