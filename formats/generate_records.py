"""Write formats/records.schema.json: the JSON Schema of every record's facts.

python formats/generate_records.py
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from bailment.access.chain import Link
from bailment.ledger.leaf import Leaf
from bailment.ledger.records import TYPES

OUT = Path(__file__).parent / "records.schema.json"


def schema() -> str:
    """The text of the file."""
    kinds = (Leaf, Link, *TYPES.values())
    references, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    types = dict(zip(("leaf", "link", *TYPES), references, strict=True))
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bailment's leaves, links and records",
        "description": "`types` maps each record type to the schema of its facts.",
        "types": types,
        "$defs": components,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    OUT.write_text(schema())
