"""Leaves, commitments, slots and heads, a second time and naively (formats/log.md, 6 and 8)."""

from __future__ import annotations

import hmac
import json
from typing import Any

from reference import mth, path, sha256

JSON = dict[str, Any]

ISSUER, ACME, BROOK = "0" * 31 + "1", "a" * 32, "b" * 32
ZEROS = "0" * 64
LABELS = {"facts": b"bailment.facts.v1\0", "personal": b"bailment.personal.v1\0"}


def canonical(value: object) -> bytes:
    """RFC 8785 for what has ASCII keys and no floats."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def commitment(part: str, body: bytes) -> str:
    return sha256(LABELS[part] + body).hex()


def leaf(**members: Any) -> JSON:
    given = {
        "v": 1,
        "type": "access.closed",
        "time": 1_790_000_000_123,
        "recipient": ACME,
        "counter": 0,
        "previous": ZEROS,
        "spec": "5" * 64,
        "register": 12,
        "facts": "f" * 64,
    }
    return {k: v for k, v in (given | members).items() if v is not None}


def leaf_vectors() -> JSON:
    return {
        "commitments": commitments(),
        "opened": opened(),
        "leaves": leaves(),
        "bad_leaves": bad(),
    }


def commitments() -> list[JSON]:
    salt = bytes(range(16))
    values = {
        "of nothing": {},
        "of text beyond ASCII": {"name": 'Zoë 😀 \u2028 "\\\b\u001f\u007f', "b": [1, None, True]},
        "of the largest integers": {"most": 2**53 - 1, "least": -(2**53) + 1},
        "of members in order": {"b": 1, "a": {"d": 2, "c": 3}, "B": 4, "a1": 5},
    }
    cases = []
    for name, value in values.items():
        body = salt + canonical(value)
        cases.append(
            {
                "name": name,
                "salt": salt.hex(),
                "value": value,
                "body": body.hex(),
                **{part: commitment(part, body) for part in LABELS},
            }
        )
    return cases


def opened() -> list[JSON]:
    body = bytes(16) + b'{"a":1}'
    facts, personal = (commitment(part, body) for part in ("facts", "personal"))
    cases = [
        ("facts", facts, body, "ok"),
        ("personal", personal, body, "ok"),
        ("facts under the other label", personal, body, "unverified"),
        ("another body", facts, body[:-2] + b"2}", "unverified"),
        ("another salt", facts, b"\1" + body[1:], "unverified"),
        ("an upper-case commitment", facts.upper(), body, "unverified"),
        ("shorter than a salt", commitment("facts", b"short"), b"short", "unverified"),
    ]
    return [
        {
            "name": name,
            "part": "personal" if name == "personal" else "facts",
            "commitment": stated,
            "body": body.hex(),
            "result": result,
        }
        for name, stated, body, result in cases
    ]


def leaves() -> list[JSON]:
    cases = {
        "without a personal part": leaf(),
        "with a personal part": leaf(personal="e" * 64),
        "a heads record": leaf(type="log.heads", recipient=ISSUER, heads="d" * 64),
        "the first record": leaf(type="log.started", recipient=ISSUER, spec="", register=0),
    }
    return [
        {
            "name": name,
            "leaf": value,
            "entry": canonical(value).decode(),
            "hash": mth([canonical(value)]).hex(),
        }
        for name, value in cases.items()
    ]


def bad() -> list[JSON]:
    good = leaf()
    text = canonical(good).decode()
    spaced = json.dumps(good, sort_keys=True)
    cases = {
        "a space": spaced,
        "members in another order": json.dumps(good, separators=(",", ":")),
        "a newline at the end": text + "\n",
        "another version": text.replace('"v":1', '"v":2'),
        "no version": text.replace(',"v":1', ""),
        "an unknown member": text.replace('"v":1', '"v":1,"x":1'),
        "a member that is missing": text.replace('"register":12,', ""),
        "an empty personal part": canonical(leaf(personal="")).decode(),
        "a key twice": text.replace('"v":1', '"v":1,"v":1'),
        "a fraction": text.replace('"register":12', '"register":12.0'),
        "a number as text": text.replace('"register":12', '"register":"12"'),
        "an escape that is not needed": text.replace("access.closed", "access\\u002eclosed"),
        "no object": "[]",
        "nothing": "",
    }
    return [{"name": name, "entry": entry} for name, entry in cases.items()]


class Chains:
    """Slots as section 8 says them: the leaves of each, in order of appearance."""

    def __init__(self) -> None:
        self.slots: dict[str, list[bytes]] = {}

    def add(self, recipient: str, **members: Any) -> JSON:
        chain = self.slots.setdefault(recipient, [])
        previous = mth([chain[-1]]).hex() if chain else ZEROS
        made = leaf(recipient=recipient, counter=len(chain), previous=previous, **members)
        chain.append(canonical(made))
        return made

    def heads(self, secret: bytes) -> list[bytes]:
        return [
            f"{name} {len(chain)} {mth([chain[-1]]).hex()}\n".encode() + salt(secret, name)
            for name, chain in self.slots.items()
        ]


def salt(secret: bytes, recipient: str) -> bytes:
    return hmac.new(secret, recipient.encode(), "sha256").digest()[:16]


def slots_vectors() -> JSON:
    secret = sha256(b"secret")
    chains = Chains()
    grown = []
    for step, recipient in enumerate((ISSUER, ACME, ISSUER, BROOK, ACME, ACME, BROOK)):
        made = chains.add(recipient, time=1_790_000_000_000 + step)
        root = mth(chains.heads(secret)).hex()
        grown.append({"entry": canonical(made).decode(), "root": root})
    return {
        "secret": secret.hex(),
        "grown": grown,
        "bad_next": bad_next(chains),
        "proofs": proofs(chains, secret),
    }


def bad_next(chains: Chains) -> list[JSON]:
    """Leaves that cannot come next."""
    last = mth([chains.slots[ACME][-1]]).hex()
    cases = {
        "one was left out": leaf(counter=4, previous=last),
        "one was repeated": leaf(counter=2, previous=mth([chains.slots[ACME][1]]).hex()),
        "another record before it": leaf(counter=3, previous="c" * 64),
        "a slot that starts anew": leaf(counter=0, previous=ZEROS),
        "a new slot that does not start at 0": leaf(recipient="c" * 32, counter=1, previous=ZEROS),
        "a new slot with something before": leaf(recipient="c" * 32, counter=0, previous=last),
    }
    return [{"name": name, "entry": canonical(made).decode()} for name, made in cases.items()]


def proofs(chains: Chains, secret: bytes) -> list[JSON]:
    """The proof of each slot under the last root, then proofs that do not hold."""
    heads = chains.heads(secret)
    root = mth(heads).hex()
    good = [
        {
            "name": f"slot {index}",
            "recipient": recipient,
            "count": len(chain),
            "last": mth([chain[-1]]).hex(),
            "index": index,
            "slots": len(heads),
            "salt": salt(secret, recipient).hex(),
            "path": [hash_.hex() for hash_ in path(index, heads)],
            "root": root,
            "result": "ok",
        }
        for index, (recipient, chain) in enumerate(chains.slots.items())
    ]
    acme = good[1]
    wrong = {
        "one record fewer": {"count": acme["count"] - 1},
        "another last record": {"last": mth([chains.slots[ACME][0]]).hex()},
        "another recipient": {"recipient": BROOK},
        "another salt": {"salt": good[0]["salt"]},
        "another place": {"index": 2},
        "another number of slots": {"slots": 5},
        "a path too short": {"path": acme["path"][:-1]},
        "another root": {"root": "e" * 64},
    }
    return good + [
        acme | change | {"name": name, "result": "unverified"} for name, change in wrong.items()
    ]
