"""The commands in the README run as written.

A fenced block opened with ```` ```console runnable ```` is part of a session: its lines that begin
with `$ ` are commands, those that follow with `> ` continue one, and all others are output that a
reader is promised. All runnable blocks run in order in one bash (`set -euo pipefail`), in an empty
folder, with the project's commands on the path. Every command must succeed, and what each block
shows must appear in what it prints, line by line and in that order; other lines may stand between,
and `...` within a shown line stands for anything.

Any other ```` ```console ```` block may only clone, change folder and call `make` targets that
exist, which CI does outside of the tests.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```console(?P<runnable> runnable)?\n(?P<body>.*?)^```$", re.M | re.S)
#: The port that readers are shown; the test takes one that is free.
PORT = "8765"
END_OF_BLOCK = "--- end of block ---"


@dataclass(frozen=True)
class Block:
    """One console block: what is typed, and what is shown to follow."""

    runnable: bool
    commands: str
    shown: list[str]


def _blocks(page: str) -> list[Block]:
    return [
        Block(
            bool(fence["runnable"]),
            "\n".join(line[2:] for line in lines if line.startswith(("$ ", "> "))),
            [line for line in lines if line and not line.startswith(("$ ", "> "))],
        )
        for fence in FENCE.finditer(page)
        for lines in [fence["body"].splitlines()]
    ]


def _run(page: str, folder: Path) -> None:
    """Run the page's session; an assertion fails where it is not as the page says."""
    blocks = [block for block in _blocks(page) if block.runnable]
    script = "\n".join(f"{block.commands}\necho '{END_OF_BLOCK}'" for block in blocks)
    with tempfile.TemporaryFile("w+") as output:  # a pipe would wait for servers left running
        bash = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env={
                "HOME": str(folder),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = bash.wait(timeout=300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)
        output.seek(0)
        printed = output.read()
    assert status == 0, printed
    for block, text in zip(blocks, printed.split(END_OF_BLOCK), strict=False):
        rest = iter(text.splitlines())
        for shown in block.shown:
            pattern = ".*".join(map(re.escape, shown.rstrip().split("...")))
            assert any(re.fullmatch(pattern, line.rstrip()) for line in rest), (shown, text)


@pytest.mark.journey
def test_the_readmes_session_runs_as_written(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    assert PORT in README
    _run(README.replace(PORT, port), tmp_path)


def test_other_commands_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    blocks = _blocks(README)
    assert blocks
    for block in blocks:
        for command in () if block.runnable else block.commands.splitlines():
            word, *arguments = command.partition("  #")[0].split()
            assert word in {"git", "cd", "make"}, command
            assert word != "make" or arguments[0] in targets, command


GOOD = """
```console runnable
$ printf 'leaf 1\\nleaf 2\\nroot abc\\n' > log
$ cat log |
> cat
leaf 1
root ...
```
and then, in the same folder and shell,
```console runnable
$ sleep 3600 &
$ wc -l < log
...3
```
```console
$ false
```
"""


def test_a_true_session_passes(tmp_path: Path) -> None:
    _run(GOOD, tmp_path)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("leaf 1\nroot ...", "leaf 3\nroot ..."),
        ("leaf 1\nroot ...", "root ...\nleaf 1"),
        ("...3", "...4"),
        ("$ wc", "$ false\n$ wc"),
        ("$ cat log", "$ cat gol"),
    ],
)
def test_a_false_session_fails(written: str, instead: str, tmp_path: Path) -> None:
    assert written in GOOD
    with pytest.raises(AssertionError):
        _run(GOOD.replace(written, instead), tmp_path)
