"""Runs the sidecar of a profile as its own process: `agent_process.py FOLDER PURPOSE LISTEN`.

Prints what a user would copy, as one line of JSON, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import uvloop

from bailment.agent import profile
from bailment.agent.sidecar import Ready, run_agent


def tell(ready: Ready) -> None:
    path = str(ready.socket) if ready.socket else None
    sys.stdout.write(json.dumps({**ready.environment(), "socket": path}) + "\n")
    sys.stdout.flush()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    folder, purpose, listen = sys.argv[1:]
    runner.run(run_agent(profile.load(Path(folder)), purpose, listen, tell))
