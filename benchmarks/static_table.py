"""Makes `src/bailment/worker/data/words.table` of MiniLM's weights (`detect/static_table.py`).

    .venv/bin/python benchmarks/static_table.py

Each of the most frequent words, by their order in the vocabulary, is shown to the model alone. What
that says is brought down to a few dimensions (principal components), and weighed by the logarithm
of the word's rank. No prompt is looked at. It needs the extra `detect` and the group `embedding`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from bailment.worker.embedding import TABLE
from bailment.worker.minilm import load_minilm

#: Words and continuations that have a vector, and its size. With their names: 300 kB.
WORDS, PARTS, SIZE = 2_200, 150, 120
#: Before it in the vocabulary are marks and what is not used.
_FIRST_WORD = 999
_CLS, _SEP = 101, 102


def main() -> None:
    model = load_minilm()
    if model is None:
        sys.exit("MiniLM is not installed: `make test` installs it")
    plain = [
        name for name, number in model.vocabulary.items() if number >= _FIRST_WORD and _plain(name)
    ]
    names = [name for name in plain if not name.startswith("##")][:WORDS]
    names += [name for name in plain if name.startswith("##")][:PARTS]
    numbers = [model.vocabulary[name] for name in names]
    rows = [[[_CLS, one, _SEP] for one in numbers[at : at + 64]] for at in range(0, len(names), 64)]
    table = _small(np.concatenate([model.mean(batch) for batch in rows]))
    TABLE.parent.mkdir(exist_ok=True)
    head = json.dumps({"size": SIZE, "words": len(names)}).encode()
    TABLE.write_bytes(b"\n".join((head, *(name.encode() for name in names), table.tobytes())))
    print(f"{len(names)} words, {TABLE.stat().st_size} bytes: {TABLE.name}")


def _plain(name: str) -> bool:
    return name.isascii() and not name.startswith("[")


def _small(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of an axis is arbitrary: the largest part of each is made positive.
    axes = axes[:SIZE]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.sign(largest)
    weighed = (centred @ axes.T) * np.log(1 + np.arange(1, len(vectors) + 1))[:, None]
    scaled = weighed / np.percentile(np.abs(weighed), 99.9) * 127
    bounded: np.ndarray[Any, Any] = np.clip(np.round(scaled), -127, 127).astype(np.int8)
    return bounded


if __name__ == "__main__":
    main()
