"""Makes the small tables of networks that ship with the package, and says what they answer.

    python formats/generate_networks.py FOLDER [DATE]

FOLDER holds the lists that docs/detection.md names; DATE (2026-11-23) is theirs, where the files'
own times are not.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from bailment.detect.network_lists import make_tables
from bailment.detect.networks import Tables
from bailment.store.network_files import found_in, read_files

OUT = Path(__file__).parents[1] / "src" / "bailment" / "detect" / "data" / "networks.bin"
#: The fewest addresses of a range that is kept: of networks, of countries, of kinds.
LEAST = (8192, 2048, 1)


def main() -> None:
    """Write the tables."""
    folder, *date = sys.argv[1:]
    when = (
        int(datetime.fromisoformat(date[0]).replace(tzinfo=UTC).timestamp() * 1000) if date else 0
    )
    full = make_tables(read_files(found_in(Path(folder)), when))
    small = full.reduced(LEAST)
    data = small.encode()
    OUT.write_bytes(data)
    sys.stdout.write(f"{len(data):,} bytes; the full ones have {len(full.encode()):,}\n")
    for index, name in enumerate(("asn", "country", "kind")):
        sys.stdout.write(
            f"{name:8} {_known(small, index) / _known(full, index):.1%} of the addresses\n"
        )


def _known(tables: Tables, index: int) -> int:
    return sum(last - first + 1 for first, last, _ in tables.ranges(index))


if __name__ == "__main__":
    main()
