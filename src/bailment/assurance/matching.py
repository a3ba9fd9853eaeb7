"""Whose accounts a roster lists: from a directory's names to the random ids of people.

Accounts and what people are known by are personal: they come in here and do not go out. The random
ids that go out mean nothing without the register's personal part.

A wrong match would let somebody in unseen, so an account is a person's only if one of its names is
exactly one that was declared for that person, and for nobody else, when they were delegated to, and
no other of its names is somebody else's. Names are compared after NFC and with ASCII letters in
lower case, as mail domains and SCIM's `userName` are; an account's `id` is compared as it is
(RFC 7643 §3.1: case exact). Nothing is cut off or guessed: no `+tag`, no dots, no display names,
and no look-alikes, which NFKC, case folding, and NFC for a few signs (U+212A to K) let match.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

from bailment.assurance.adapters.report import Account

MAX_NAME = 320  # the longest email address
#: Of a roster; a directory with more is handed in by parts that are scopes of their own.
MAX_ACCOUNTS = 100_000

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class Matched(NamedTuple):
    """`people` are those with an active account, in order; the rest counts accounts.

    `unmatched` are nobody's, or may be several people's, and are not known to be inactive.
    """

    people: tuple[str, ...]
    accounts: int
    unmatched: int
    inactive: int


def match(accounts: Sequence[Account], known: Mapping[str, Collection[str]]) -> Matched:
    """The people who have the accounts. `known` is, by person id, what each is known by: email
    addresses, user names and account ids. An account of which the directory does not say whether it
    is active counts against the recipient both ways: it covers nobody, and must be somebody's."""
    exact: dict[str, set[str]] = {}
    folded: dict[str, set[str]] = {}
    for person, names in known.items():
        for name in names:
            if _usable(name):
                exact.setdefault(name, set()).add(person)
                folded.setdefault(_fold(name), set()).add(person)
    people: set[str] = set()
    unmatched = inactive = 0
    for account in accounts:
        owners = set(exact.get(account.id, ()))
        for name in (account.user_name, *account.emails):
            owners |= folded.get(_fold(name), set()) if _usable(name) else set()
        if account.active is False:
            inactive += 1
        elif len(owners) != 1:
            unmatched += 1
        elif account.active:
            people |= owners
    return Matched(tuple(sorted(people)), len(accounts), unmatched, inactive)


def _usable(name: str) -> bool:
    """Whether a name can tell people apart: not empty, without spaces, controls, lone surrogates
    or signs that NFC takes for others, and no longer than an address may be."""
    return (
        0 < len(name) <= MAX_NAME
        and name.isprintable()
        and " " not in name
        and all(unicodedata.is_normalized("NFC", ch) for ch in name)
    )


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).translate(_LOWER)
