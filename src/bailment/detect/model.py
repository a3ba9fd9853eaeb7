"""Boosted trees as data, evaluated in plain Python.

A model is JSON: `features` names its numbers in order, `base` is the logarithm of the odds before
any tree, each of `trees` is a list of nodes `[feature, limit, less, more]`: where the number is at
most the limit the node `less` follows, else `more`; a leaf is `[-1, value, 0, 0]`. How one is
trained and measured: `benchmarks/train_detection.py`, docs/model-card.md.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Sequence

import msgspec

from bailment.errors import FormatError

Node = tuple[int, float, int, int]


class Model(msgspec.Struct, frozen=True):
    """One model; `name` and `trained` are for people."""

    name: str
    trained: str
    features: tuple[str, ...]
    base: float
    trees: tuple[tuple[Node, ...], ...]

    def score(self, numbers: Sequence[float]) -> int:
        """How likely it is that this is somebody else, in millionths: a number to compare with a
        threshold, no probability in the field."""
        odds = self.base
        for nodes in self.trees:
            feature, value, less, more = nodes[0]
            while feature >= 0:
                feature, value, less, more = nodes[less if numbers[feature] <= value else more]
            odds += value
        return int(1e6 / (1 + math.exp(-max(-30.0, min(30.0, odds)))))


def model_of(data: bytes, features: Sequence[str]) -> Model:
    """The model that JSON states; FormatError if it is not for these features, or could lead
    nowhere: a node leads to later ones only."""
    try:
        model = msgspec.json.decode(data, type=Model)
    except msgspec.MsgspecError as error:
        raise FormatError(f"the model cannot be read: {error}") from None
    if model.features != tuple(features):
        raise FormatError(f"the model `{model.name}` is for other features than these")
    for nodes in model.trees:
        for place, (feature, _, less, more) in enumerate(nodes):
            ends = feature == -1
            goes = 0 <= feature < len(features) and place < min(less, more)
            if not (ends or (goes and max(less, more) < len(nodes))):
                raise FormatError(f"a node of the model `{model.name}` leads nowhere")
        if not nodes:
            raise FormatError(f"a tree of the model `{model.name}` is empty")
    return model


def shipped(name: str, features: Sequence[str]) -> Model:
    """The model that is part of this package: as much code as any module is."""
    return model_of(pkgutil.get_data(__package__, f"data/{name}.json") or b"", features)
