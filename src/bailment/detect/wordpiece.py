"""Word pieces, as BERT's models read text: lower case, no accents, the longest piece first.

Devlin et al. 2018 (arXiv:1810.04805) and the reference tokenizer of its uncased models. A text is
read up to a bound, so that a megabyte costs no more than a page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

#: Characters of a text that are read at most; more than any model's tokens take.
MAX_CHARACTERS = 2_000
#: A longer word is unknown as a whole.
_MAX_WORD = 100
_IDEOGRAPHS = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_ASCII_MARKS = r"!-/:-@\[-`{-~"
#: Marks and ideographs are words of their own.
_WORDS = re.compile(rf"[{_IDEOGRAPHS}{_ASCII_MARKS}]|[^\s{_IDEOGRAPHS}{_ASCII_MARKS}]+")
_CONTROLS = dict.fromkeys([*(n for n in range(32) if n not in (9, 10, 13)), 127])


def words(text: str) -> list[str]:
    """The words of a text, in order. Control characters and lone surrogates are left out."""
    read = text[:MAX_CHARACTERS].lower().translate(_CONTROLS)
    if not read.isascii():
        read = "".join(map(_plain, unicodedata.normalize("NFD", read)))
    return _WORDS.findall(read)


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category.startswith("P"):
        return f" {character} "
    dropped = category == "Mn" or (category.startswith("C") and not character.isspace())
    return "" if dropped else character


def pieces(text: str, vocabulary: Mapping[str, int], unknown: int, most: int) -> list[int]:
    """The numbers of the first `most` pieces of a text; `unknown` stands for a word without."""
    found: list[int] = []
    for word in words(text):
        number = vocabulary.get(word)
        if number is None:
            found += _split(word, vocabulary) or (unknown,)
        else:
            found.append(number)
        if len(found) >= most:
            break
    return found[:most]


def _split(word: str, vocabulary: Mapping[str, int]) -> list[int]:
    """A word in pieces, the longest first; empty where a part of it has none."""
    found: list[int] = []
    start = 0
    while start < len(word) <= _MAX_WORD:
        for end, number in _prefixes(word, start, vocabulary):
            found.append(number)
            start = end
            break
        else:
            return []
    return found


def _prefixes(word: str, start: int, vocabulary: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    mark = "##" if start else ""
    for end in range(len(word), start, -1):
        number = vocabulary.get(mark + word[start:end])
        if number is not None:
            yield end, number
