"""Write formats/openapi.json: the control plane's public routes, as OpenAPI 3.1.

python formats/generate_openapi.py
"""

from __future__ import annotations

import json
from pathlib import Path

from bailment import __version__
from bailment.control.openapi import document
from bailment.control.operations import OPERATIONS

OUT = Path(__file__).with_name("openapi.json")


def text() -> str:
    """The text of the file."""
    return json.dumps(document(OPERATIONS, __version__), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OUT.write_text(text())
