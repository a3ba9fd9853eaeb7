"""The short code, as both sides compute it."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.access.enrolment import code_of, read_code
from bailment.errors import FormatError

# The thumbprint of RFC 7638 §3.1's example key.
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def test_the_code_is_the_first_40_bits_of_a_labelled_hash() -> None:
    digest = hashlib.sha256(b"bailment enrolment code\x00" + THUMBPRINT.encode()).digest()
    number = int.from_bytes(digest[:5], "big")
    letters = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(8)))
    assert code_of(THUMBPRINT) == f"{letters[:4]}-{letters[4:]}" == "SN7N-GMZK"


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=43))
def test_every_code_is_read_back_however_it_is_typed(thumbprint: str) -> None:
    code = code_of(thumbprint)
    assert re.fullmatch("[A-Z2-7]{4}-[A-Z2-7]{4}", code)
    spellings = code, code.lower(), code.replace("-", ""), f" {code.replace('-', ' ')}\n"
    assert {read_code(spelling) for spelling in spellings} == {code}


@pytest.mark.parametrize("text", ["", "ABCD-EFG", "ABCD-EFGHI", "ABCD-EFG1", "ÄBCD-EFGH", "x" * 99])
def test_anything_else_is_no_code(text: str) -> None:
    with pytest.raises(FormatError, match="is not a code like"):
        read_code(text)
