"""What Inspect wrote (`data/make_inspect_logs.py`), and the like of it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from bailment.assurance import archive

DATA = Path(__file__).with_name("data")
LOGS = sorted((*DATA.glob("*.eval"), *DATA.glob("*.json")))
PORTS, PORTS_JSON = (DATA / "ports.eval").read_bytes(), (DATA / "ports.json").read_bytes()
HEADER = archive.member(PORTS, "header.json", 1 << 20) or b""


def log(**changes: Any) -> dict[str, Any]:
    """The header of a real log, with members in place of others: `eval.task` as `eval__task`."""
    value: dict[str, Any] = json.loads(HEADER)
    for path, new in changes.items():
        *above, last = path.split("__")
        at = value
        for name in above:
            at = at[name]
        at[last] = new
    return value


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return stream.getvalue()
