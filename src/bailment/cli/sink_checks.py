"""What `bailment doctor` makes of the issuer's sinks."""

from __future__ import annotations

from collections.abc import Iterator

from bailment.cli.checks import Finding
from bailment.errors import ConfigurationError
from bailment.store.folder import Folder
from bailment.store.sinks import stored


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
            says = f"failed {progress.attempts} times, {behind} entries behind: {progress.error}"
            yield Finding(check, False, says, f"mend it, then bailment sink test {sink.name}")
        else:
            yield Finding(check, True, f"took {progress.sent} events")
