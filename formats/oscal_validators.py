"""NIST's schema and compliance-trestle; run by `check_oscal.py` in the tools' environment.

Prints one line for each thing that is wrong.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema_rs
from trestle.cli import Trestle

FOLDERS = {"catalog": "catalogs", "profile": "profiles", "assessment-results": "assessment-results"}


def main(folder: Path, schema: Path) -> int:
    """0 where nothing is wrong, else 1."""
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    ours = {
        name: one for name, one in documents.items() if len(one) == 1 and set(one) & set(FOLDERS)
    }
    wrong = [*by_schema(ours, json.loads(schema.read_text())), *by_trestle(ours, folder)]
    if not ours:
        wrong.append("no document here is an OSCAL catalog, profile or assessment results")
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


def by_schema(documents: dict[str, Any], schema: Any) -> Iterator[str]:
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    for name, document in documents.items():
        for error in validator.iter_errors(document):
            yield f"{name}: {'/'.join(map(str, error.instance_path))}: {error.message[:200]}"


def by_trestle(documents: dict[str, Any], folder: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        yield from _ran("init", "--local")
        for name, document in documents.items():
            (model,) = document
            yield from _ran("import", "-f", str((folder / f"{name}.json").resolve()), "-o", name)
            kept = Path(FOLDERS[model], name, f"{model}.json")
            if not kept.exists():
                yield f"{name}: trestle does not take it"
            elif _in_utc(json.loads(kept.read_text())) != _in_utc(document):
                yield f"{name}: trestle writes it otherwise"
        yield from _ran("validate", "-a")
        for name, document in documents.items():
            if "profile" in document:
                yield from _resolved(name, document["profile"])


def _resolved(name: str, profile: Any) -> Iterator[str]:
    """The profile applied to the catalog has its controls, with its numbers."""
    source = "trestle://catalogs/catalog/catalog.json"
    yield from _ran("href", "-n", name, "-hr", source)
    yield from _ran("author", "profile-resolve", "-n", name, "-o", f"{name}-resolved")
    path = Path("catalogs", f"{name}-resolved", "catalog.json")
    if not path.exists():
        return
    groups = json.loads(path.read_text())["catalog"]["groups"]
    controls = {one["id"]: one for group in groups for one in group["controls"]}
    if set(controls) != set(profile["imports"][0]["include-controls"][0]["with-ids"]):
        yield f"{name}: resolved to other controls"
    values = {
        one["id"]: one["values"]
        for control in controls.values()
        for one in control.get("params", ())
    }
    for setting in profile.get("modify", {}).get("set-parameters", ()):
        if values.get(setting["param-id"]) != setting["values"]:
            yield f"{name}: resolved to other numbers for {setting['param-id']}"


def _ran(*arguments: str) -> Iterator[str]:
    """Nothing where trestle does it; else what it says."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with (
            patch.object(sys, "argv", ["trestle", *arguments]),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
        ):
            status = Trestle().run()
    finally:
        logging.getLogger().removeHandler(handler)
    if status:
        yield f"trestle {' '.join(arguments)}: {' '.join(said.getvalue().split())[-400:]}"


def _in_utc(value: Any) -> Any:
    """The same with every time in one spelling: trestle writes `+00:00` for `Z`."""
    if isinstance(value, dict):
        return {key: _in_utc(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_in_utc(one) for one in value]
    try:
        return datetime.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        return value


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
