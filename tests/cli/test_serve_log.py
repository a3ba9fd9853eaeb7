"""What a server writes to standard error: lines of one shape, whoever has something to say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

#: Whoever logs in the server's process: this project, uvicorn, asyncio, the interpreter.
SAID = """
import logging, warnings
import structlog
from bailment.cli.stderr import log_to_stderr
log_to_stderr()
structlog.get_logger("bailment.serve").info("serving", version="1")
logging.getLogger("uvicorn.error").warning("Invalid %s request received.", "HTTP")
logging.getLogger("uvicorn.error").info("Started server process")
try:
    raise ValueError("what went\\nwrong")
except ValueError:
    logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
logging.getLogger("asyncio").error("Task exception was never retrieved")
warnings.warn("an old way")
"""


def lines() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", SAID], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_of_a_server_is_json_of_one_shape() -> None:
    said = lines()
    assert all(line.keys() >= {"event", "level", "timestamp"} for line in said)
    assert [(line["level"], line.get("logger"), line["event"]) for line in said[:4]] == [
        ("info", None, "serving"),
        ("warning", "uvicorn.error", "Invalid HTTP request received."),
        ("error", "uvicorn.error", "Exception in ASGI application"),
        ("error", "asyncio", "Task exception was never retrieved"),
    ]
    assert "ValueError: what went\nwrong" in said[2]["exception"]
    assert (said[4]["logger"], "an old way" in said[4]["event"]) == ("py.warnings", True)
