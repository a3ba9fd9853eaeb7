"""leaf.json and slots.json through every way into the code that they speak of."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from bailment import canonical
from bailment.errors import FormatError, VerificationError
from bailment.ledger.leaf import (
    Leaf,
    commit_facts,
    commit_personal,
    decode_leaf,
    encode_leaf,
    open_body,
)
from bailment.ledger.slots import Head, SlotProof, Slots, head_leaf, slot_salt
from bailment.ledger.tree import leaf_hash

FOLDER = Path(__file__).parents[2] / "formats" / "vectors"
FILES = ("leaf", "slots")
VECTORS = {name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in FILES}
SECRET = bytes.fromhex(VECTORS["slots"]["secret"])

Case = dict[str, Any]


def cases(file: str, member: str) -> pytest.MarkDecorator:
    found = VECTORS[file][member]
    return pytest.mark.parametrize("case", found, ids=[case["name"] for case in found])


def verified(case: Case) -> AbstractContextManager[object]:
    return nullcontext() if case["result"] == "ok" else pytest.raises(VerificationError)


def grown() -> Slots:
    """The slots after all records of `grown`."""
    slots = Slots()
    for step in VECTORS["slots"]["grown"]:
        slots.follow(decode_leaf(step["entry"].encode()), leaf_hash(step["entry"].encode()))
    return slots


def test_the_generator_makes_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "generate_leaf.py", tmp_path], check=True)
    made = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {name: (FOLDER / f"{name}.json").read_bytes() for name in FILES}


@cases("leaf", "commitments")
def test_a_commitment_is_as_the_vector_says(case: Case) -> None:
    body = bytes.fromhex(case["salt"]) + canonical.encode(case["value"])
    assert body.hex() == case["body"]
    assert (commit_facts(body), commit_personal(body)) == (case["facts"], case["personal"])
    assert canonical.decode(open_body(case["facts"], body)) == case["value"]


@cases("leaf", "opened")
def test_a_body_opens_a_commitment_as_the_vector_says(case: Case) -> None:
    body, personal = bytes.fromhex(case["body"]), case["part"] == "personal"
    with verified(case):
        assert open_body(case["commitment"], body, personal=personal) == body[16:]


@cases("leaf", "leaves")
def test_a_leaf_is_written_read_and_hashed_as_the_vector_says(case: Case) -> None:
    entry = case["entry"].encode()
    assert encode_leaf(Leaf(**case["leaf"])) == entry
    assert decode_leaf(entry) == Leaf(**case["leaf"])
    assert leaf_hash(entry).hex() == case["hash"]


@cases("leaf", "bad_leaves")
def test_what_is_not_exactly_a_leaf_is_refused(case: Case) -> None:
    with pytest.raises(FormatError):
        decode_leaf(case["entry"].encode())


def test_slots_grow_to_the_roots_of_the_vector() -> None:
    followed, pushed = Slots(), Slots()
    for step in VECTORS["slots"]["grown"]:
        entry = step["entry"].encode()
        leaf = decode_leaf(entry)
        followed.follow(leaf, leaf_hash(entry))
        pushed.push(leaf.recipient, leaf_hash(entry))
        assert followed.root(SECRET).hex() == pushed.root(SECRET).hex() == step["root"]


@cases("slots", "bad_next")
def test_what_does_not_continue_its_slot_is_refused_and_not_counted(case: Case) -> None:
    slots, entry = grown(), case["entry"].encode()
    with pytest.raises(VerificationError):
        slots.follow(decode_leaf(entry), leaf_hash(entry))
    assert slots == grown()


@cases("slots", "proofs")
def test_a_slot_proof_is_made_and_judged_as_the_vector_says(case: Case) -> None:
    salt, path = bytes.fromhex(case["salt"]), tuple(map(bytes.fromhex, case["path"]))
    proof = SlotProof(case["index"], case["slots"], salt, path)
    head = Head(case["count"], case["last"])
    with verified(case):
        proof.verify(case["recipient"], head, bytes.fromhex(case["root"]))
    if case["result"] == "ok":
        assert grown().prove(case["recipient"], SECRET) == proof
        assert grown().head(case["recipient"]) == head
        assert slot_salt(SECRET, case["recipient"]) == salt
        assert head_leaf(case["recipient"], head, salt).endswith(b"\n" + salt)
