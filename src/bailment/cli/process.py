"""`python -m bailment.cli.process serve -d DIR`: what `bailment serve` becomes, and `… worker -d
DIR MEMORY SINCE`, which it starts.

The command line's own libraries are a fifth of the memory of a process that has parsed its
arguments with them; one that runs for months starts again without.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def become(directory: Path) -> NoReturn:
    """Serve from `directory` in this process's place: same id, same terminal, same limits."""
    # -P: what lies in the current folder is not ours to import.
    command = [sys.executable, "-P", "-m", __name__, "serve", "-d", str(directory)]
    os.execv(sys.executable, command)  # noqa: S606 - our own program


def _serve() -> None:
    import uvloop

    from bailment.cli import serve
    from bailment.cli.stderr import log_to_stderr
    from bailment.store.folder import Folder

    log_to_stderr()
    uvloop.run(serve.serve(Folder(Path(sys.argv[-1]))))


def _work() -> None:
    from bailment.cli.reach import answer
    from bailment.cli.stderr import log_to_stderr
    from bailment.store.folder import Folder
    from bailment.worker.process import run

    log_to_stderr()
    directory, memory, since = sys.argv[3:]
    run(Folder(Path(directory)), int(since), int(memory), answer)


if __name__ == "__main__":
    from bailment.cli.main import guarded

    guarded(_work if sys.argv[1] == "worker" else _serve)
