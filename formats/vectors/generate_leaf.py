"""Write leaf.json and slots.json: `python formats/vectors/generate_leaf.py [DIRECTORY]`.

The files are the same on every run; README.md beside this file explains their members.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from leaf_cases import leaf_vectors, slots_vectors

FILES = {"leaf.json": leaf_vectors, "slots.json": slots_vectors}


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, make in FILES.items():
        text = json.dumps(make(), indent=1, ensure_ascii=False) + "\n"
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
