"""A table that stands for MiniLM where that is not installed: a number of vectors, one for each
frequent word, of which a text's is the sum.

`benchmarks/static_table.py` makes it: each word was shown to the model alone, what that said was
brought down to a few dimensions, and weighed by how rare the word is. It is worth much less than
the model (docs/drift.md), and costs hardly anything.
"""

from __future__ import annotations

import json
from array import array
from struct import Struct

from bailment.detect.wordpiece import pieces
from bailment.errors import FormatError

#: Pieces of a text that are read at most: so many bytes add up within the 16 bits of a lane.
MOST_PIECES = 128
_UNKNOWN = -1


class StaticTable:
    """Vectors are kept as one large number each, 16 bits a lane, so that adding is cheap."""

    name = "static"

    def __init__(self, vocabulary: dict[str, int], lanes: list[int], size: int) -> None:
        self._vocabulary, self._lanes = vocabulary, lanes
        self._row = _row(size)

    def embed(self, text: str) -> list[float]:
        """What a text is about; all noughts where no word is known."""
        found = pieces(text, self._vocabulary, _UNKNOWN, MOST_PIECES)
        known = [self._lanes[number] for number in found if number != _UNKNOWN]
        summed = self._row.unpack(sum(known).to_bytes(self._row.size, "little"))
        bias = 128 * len(known)
        return [float(lane - bias) for lane in summed]


def parse(data: bytes) -> StaticTable:
    """The table in a file: a line of JSON with `size` and `words`, as many lines of a word each,
    and `size` signed bytes for each. FormatError if it is not."""
    try:
        head, _, rest = data.partition(b"\n")
        said = json.loads(head)
        size, count = int(said["size"]), int(said["words"])
        end = -1
        for _ in range(count):
            end = rest.index(b"\n", end + 1)
        names = rest[:end].decode().split("\n")
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"not a table of words: {error}") from None
    numbers = rest[end + 1 :]
    if len(names) != count or len(numbers) != size * count:
        raise FormatError("a table of words is cut short")
    lanes = []
    for number in range(count):
        row = array("b", numbers[number * size : (number + 1) * size])
        biased = _row(size).pack(*(value + 128 for value in row))
        lanes.append(int.from_bytes(biased, "little"))
    return StaticTable({name: number for number, name in enumerate(names)}, lanes, size)


def _row(size: int) -> Struct:
    return Struct(f"<{size}H")
