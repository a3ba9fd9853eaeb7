"""Starts `bailment` many times at the price of one: `quick.py SOCKET`.

What the commands import is loaded once, and each command is a fork of that process: with its own
arguments, environment, folder, files and exit status, as if a shell had started it. What looks at
its terminal (`bailment.cli.output`) is loaded by the fork.

A request is one packet: three descriptors and the JSON of argv, folder and environment. The answer
is the exit status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from typing import TextIO, cast

_LOADED = (
    *(
        "typer.main",
        "typer._adapters",
        "rich.console",
        "rich.progress",
        "rich.table",
        "httpx2",
        "uvloop",
    ),
    *("bailment.cli.serve", "bailment.store.view", "bailment.store.export"),
    *("bailment.auditor.audit", "bailment.auditor.view"),
    *("bailment.agent.admin", "bailment.agent.sidecar", "bailment.access.enrolment"),
)


def serve(path: str) -> None:
    """Fork for each request, for ever. Returns in the forks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)  # where it is seen, it listens
        while True:
            connection, _ = listener.accept()
            with connection:
                message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
                if (child := os.fork()) == 0:
                    _become(json.loads(message), descriptors)
                    return
                for descriptor in descriptors:
                    os.close(descriptor)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                connection.send(str(status).encode())


def _become(request: dict[str, object], descriptors: list[int]) -> None:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    sys.argv = ["bailment", *request["arguments"]]  # type: ignore[misc]
    sys.stdin, sys.stdout, sys.stderr = _text(0, "r"), _text(1, "w"), _text(2, "w")


def _text(descriptor: int, mode: str) -> TextIO:
    return cast(TextIO, open(descriptor, mode, encoding="utf-8", closefd=False))


def _run() -> int:
    """The command's exit status; whatever else it raises, the interpreter prints."""
    try:
        runpy.run_module("bailment", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


for module in _LOADED:
    importlib.import_module(module)
gc.freeze()
serve(sys.argv[1])
status = _run()
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)  # taking a fork of all this apart would take longer than most commands
