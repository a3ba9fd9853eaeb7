"""How the breach drill goes: live, on an issuer that this starts, and in a lab.

    nice -n 19 python benchmarks/drill.py                      # both, in four minutes
    ... [--form live] [--form lab] [--write docs/drill.md]

It shows what `bailment drill run` prints, and how long that took. The live form is held at a
gateway on this machine with its worker, as `bailment init` and `bailment serve` make them; the
model's server always says the same, at once. With `--write` what is between the marks on the page
is written anew, and so are the pictures beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bailment.drills.breach.gate import canned
from bailment.drills.stage import free_port

PROGRAM = (sys.executable, "-m", "bailment")
DRILL = ("drill", "run", "breach-2026")
FORMS = ("live", "lab")
BEGIN, END = "<!-- {}: written by benchmarks/drill.py -->", "<!-- end -->"
CANARY = """
[models.canary]
url = "unix://{socket}"
context = 8192
output = 512
canary = true
"""


async def run(*arguments: str | Path) -> str:
    """What a command prints; one that does not end as it must ends this."""
    command = [*PROGRAM, *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"{told.decode()}`{' '.join(command[2:])}` ended with {process.returncode}")
    return told.decode()


async def held(form: str, *more: str | Path) -> str:
    """A drill: the command, what it prints and how long it took, it and what it started."""
    since, before = time.monotonic(), cpu()
    told = await run(*DRILL, f"--{form}", *more)
    took, busy = span(time.monotonic() - since), span(cpu() - before)
    lines = "\n".join(line.rstrip() for line in told.splitlines())
    return (
        f"```\n$ bailment {' '.join(DRILL)} --{form}\n{lines}\n```\n\n"
        f"It took {took} on {os.cpu_count()} cores that had other work too, and {busy} of CPU time."
    )


def cpu() -> float:
    """Seconds of CPU time of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def span(seconds: float) -> str:
    return "{} min {} s".format(*divmod(round(seconds), 60))


async def live(root: Path, plot: Path) -> str:
    issuer, port = root / "issuer", free_port()
    url = f"http://127.0.0.1:{port}"
    contact = ("--origin", "lab.example/log", "--contact", "security@lab.example")
    await run("init", issuer, *contact, "--url", url, "--port", str(port))
    with (issuer / "bailment.toml").open("a") as settings:
        settings.write(CANARY.format(socket=root / "model.sock"))
    async with canned(root / "model.sock"):
        serving = await asyncio.create_subprocess_exec(
            *PROGRAM, "serve", "-d", str(issuer), stderr=subprocess.DEVNULL
        )
        try:
            await run("status", "--wait", "60", "-d", issuer)
            return await held("live", "--plot", plot, "-d", issuer)
        finally:
            serving.terminate()
            await serving.wait()


def write(page: Path, name: str, text: str) -> None:
    """Put a text between its marks on a page."""
    before, mark, rest = page.read_text().partition(BEGIN.format(name))
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{mark}\n{text}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--form", action="append", choices=FORMS, help="only this one")
    parser.add_argument("--write", type=Path, help="the page that is written anew")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bailment-bench-") as folder:
        root = Path(folder)
        pictures = options.write.parent / "images" if options.write else root
        for form in options.form or FORMS:
            plot = pictures / f"drill-{form}.svg"
            told = asyncio.run(live(root, plot) if form == "live" else held("lab", "--plot", plot))
            print(told, end="\n\n", flush=True)
            if options.write:
                write(options.write, form, told)


if __name__ == "__main__":
    main()
