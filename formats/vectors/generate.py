"""Write the test vectors: `python formats/vectors/generate.py [DIRECTORY]`.

The files are the same on every run; README.md beside this file explains their members.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import note_cases
import proof_cases
import tree_cases

FILES = {
    "tree.json": tree_cases.tree_vectors,
    "tiles.json": tree_cases.tiles_vectors,
    "note.json": note_cases.note_vectors,
    "checkpoint.json": note_cases.checkpoint_vectors,
    "cosignature.json": proof_cases.cosignature_vectors,
    "receipt.json": proof_cases.receipt_vectors,
}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, make in FILES.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
