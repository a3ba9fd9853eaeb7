"""What long-running processes write to standard error: lines of one shape."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def log_to_stderr() -> None:
    """Standard output is for results; what happens goes to standard error, as JSON for machines.

    What libraries log, uvicorn above all, has the same shape, and says in `logger` whose it is.
    """
    as_json = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback  # the other shows what variables hold: secrets, names
    rendered = (
        [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
        if sys.stderr.isatty()
        else as_json
    )
    shape: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shape, *rendered], logger_factory=structlog.WriteLoggerFactory(sys.stderr)
    )
    foreign = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shape],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(foreign)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
