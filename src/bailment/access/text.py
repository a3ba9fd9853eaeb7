"""Text that one person types and another reads: nothing in it may steer a screen or hide."""

from __future__ import annotations

import unicodedata

#: Control and format characters (which turn the direction of what follows), halves of surrogate
#: pairs, and the separators of lines and paragraphs.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def hidden(text: str) -> str:
    """The first character that a reader would not see as itself, as `U+202E`; empty if none."""
    if text.isprintable():
        return ""
    found = (ch for ch in text if unicodedata.category(ch) in _HIDDEN)
    return next((f"U+{ord(ch):04X}" for ch in found), "")
