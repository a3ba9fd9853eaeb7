"""The budgets that an access must fit: those along its chain, and its token's own."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from bailment.access.chain import Link
from bailment.ledger.records import Budget, TokenIssued

Budgets = tuple[tuple[str, Budget], ...]
"""Each by what it is kept under: a link's id, or a token's hash after `token:`."""

_TOKEN = "token:"


def budgets_of(token: TokenIssued, path: Iterable[Link]) -> Budgets:
    """Every budget of an access by this token along this chain."""
    found = [(link.id, link.budget) for link in path if link.budget is not None]
    if token.budget is not UNSET:
        found.append((kept_under(token.token), token.budget))
    return tuple(found)


def kept_under(token: str) -> str:
    """What the budget of the token with this hash is kept under."""
    return _TOKEN + token


def subject_of(name: str) -> str:
    """What a budget that is kept under this name is called in a refusal."""
    return name if name.startswith(_TOKEN) else f"link:{name}"
