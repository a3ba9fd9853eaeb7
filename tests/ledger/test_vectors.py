"""Every vector of formats/vectors through every way into the code that it speaks of."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bailment.errors import FormatError, VerificationError
from bailment.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from bailment.ledger.cosignature import Witness, WitnessSigner, merge, witnessed
from bailment.ledger.note import (
    Signer,
    Verifier,
    open_note,
    parse_note,
    parse_signatures,
    sign_note,
)
from bailment.ledger.receipt import Receipt, parse_receipt, verify_receipt
from bailment.ledger.tiles import (
    ENTRIES,
    Tile,
    decode_bundle,
    encode_bundle,
    encode_tile,
    entries_path,
    frontier,
    new_bundles,
    new_tiles,
    parse_path,
    tile_path,
    tile_reader,
    tile_root,
)
from bailment.ledger.tree import (
    Frontier,
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

FOLDER = Path(__file__).parents[2] / "formats" / "vectors"
FILES = ("tree", "tiles", "note", "checkpoint", "cosignature", "receipt")
VECTORS = {name: json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in FILES}

Case = dict[str, Any]


def cases(file: str, member: str) -> pytest.MarkDecorator:
    found = VECTORS[file][member]
    names = [case["name"] if "name" in case else str(i) for i, case in enumerate(found)]
    return pytest.mark.parametrize("case", found, ids=names)


def refusal(case: Case) -> AbstractContextManager[object]:
    errors = {"malformed": FormatError, "unverified": VerificationError}
    return nullcontext() if case["result"] == "ok" else pytest.raises(errors[case["result"]])


def unhex(hashes: list[str]) -> list[bytes]:
    return [bytes.fromhex(hash_) for hash_ in hashes]


def counted_reader(size: int) -> Read:
    """A reader over the counted entries, through their tiles."""
    return tile_reader(size, counted_tiles(size).get)


def counted_tiles(size: int) -> dict[str, bytes]:
    hashes = b"".join(leaf_hash(b"%d" % i) for i in range(size))
    files: dict[str, bytes] = {}
    level = 0
    while hashes:
        tiles = [hashes[at : at + 8192] for at in range(0, len(hashes), 8192)]
        files |= {tile_path(level, i, len(tile) // 32): tile for i, tile in enumerate(tiles)}
        hashes = b"".join(tile_root(tile) for tile in tiles if len(tile) == 8192)
        level += 1
    return files


def test_the_generator_makes_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "generate.py", tmp_path], check=True)
    made = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {name: (FOLDER / f"{name}.json").read_bytes() for name in FILES}


# tree.json


@cases("tree", "leaf_hashes")
def test_a_leaf_hash_is_as_the_vector_says(case: Case) -> None:
    assert leaf_hash(bytes.fromhex(case["entry"])).hex() == case["hash"]


@cases("tree", "trees")
def test_a_frontier_has_the_root_of_every_size(case: Case) -> None:
    frontier = Frontier()
    roots = [frontier.root().hex()]
    for entry in case["entries"]:
        frontier.push(leaf_hash(bytes.fromhex(entry)))
        roots.append(frontier.root().hex())
    assert roots == case["roots"]


def test_the_counted_entries_have_their_roots() -> None:
    wanted = {case["size"]: case["root"] for case in VECTORS["tree"]["counted_roots"]}
    grown = Frontier()
    roots = {}
    for i in range(max(wanted) + 1):
        if i in wanted:
            roots[i] = grown.root().hex()
        grown.push(leaf_hash(b"%d" % i))
    assert roots == wanted


@cases("tree", "inclusion")
def test_an_inclusion_proof_is_made_and_judged_as_the_vector_says(case: Case) -> None:
    leaf, root, proof = bytes.fromhex(case["leaf"]), case["root"], unhex(case["proof"])
    with refusal(case):
        verify_inclusion(leaf, case["index"], case["size"], proof, bytes.fromhex(root))
    if case["result"] == "ok":
        assert inclusion_proof(case["index"], case["size"], counted_reader(case["size"])) == proof


@cases("tree", "consistency")
def test_a_consistency_proof_is_made_and_judged_as_the_vector_says(case: Case) -> None:
    old_root, new_root = bytes.fromhex(case["old_root"]), bytes.fromhex(case["new_root"])
    proof = unhex(case["proof"])
    with refusal(case):
        verify_consistency(case["old"], old_root, case["new"], new_root, proof)
    if case["result"] == "ok":
        assert consistency_proof(case["old"], case["new"], counted_reader(case["new"])) == proof


# tiles.json


@cases("tiles", "paths")
def test_a_path_is_written_and_read_as_the_vector_says(case: Case) -> None:
    level, index, width = case["level"], case["index"], case["width"]
    if level == "entries":
        assert entries_path(index, width) == case["path"]
        assert parse_path(case["path"]) == Tile(ENTRIES, index, width)
    else:
        assert tile_path(level, index, width) == case["path"]
        assert parse_path(case["path"]) == Tile(level, index, width)


@pytest.mark.parametrize("path", VECTORS["tiles"]["bad_paths"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(FormatError):
        parse_path(path)


@cases("tiles", "growth")
def test_growth_brings_the_tiles_and_bundles_of_the_vector(case: Case) -> None:
    tiles = [tile.path for tile in new_tiles(case["old"], case["new"])]
    bundles = [tile.path for tile in new_bundles(case["old"], case["new"])]
    assert sorted(tiles) == case["tiles"]
    assert sorted(bundles) == case["bundles"]


def test_the_counted_log_has_the_files_of_the_vector() -> None:
    size = VECTORS["tiles"]["counted_files"]["size"]
    files, read = counted_tiles(size), counted_reader(size)
    assert sorted(files) == sorted(tile.path for tile in new_tiles(0, size))
    for file in VECTORS["tiles"]["counted_files"]["files"]:
        tile = parse_path(file["path"])
        first = tile.index * 256
        if tile.level == ENTRIES:
            data = encode_bundle(b"%d" % i for i in range(first, first + tile.width))
        else:
            data = files[tile.path]
            assert encode_tile(tile, read) == data
        assert (len(data), sha256(data).hexdigest()) == (file["bytes"], file["sha256"])


@cases("tiles", "bundles")
def test_a_bundle_is_written_and_read_as_the_vector_says(case: Case) -> None:
    entries = unhex(case["entries"])
    assert encode_bundle(entries).hex() == case["bundle"]
    assert decode_bundle(bytes.fromhex(case["bundle"]), len(entries)) == entries


@cases("tiles", "bad_bundles")
def test_what_is_no_bundle_is_refused(case: Case) -> None:
    with pytest.raises(FormatError):
        decode_bundle(bytes.fromhex(case["bundle"]), case["width"])


def test_a_frontier_read_from_tiles_has_the_counted_root() -> None:
    case = VECTORS["tree"]["counted_roots"][-1]
    read_from = counted_tiles(case["size"]).get
    assert frontier(case["size"], read_from).root().hex() == case["root"]


# note.json


@cases("note", "keys")
def test_a_key_is_read_and_written_as_the_vector_says(case: Case) -> None:
    signer, verifier = Signer.parse(case["private"]), Verifier.parse(case["vkey"])
    assert signer.public == verifier
    assert (signer.name, verifier.name) == (case["name"], case["name"])
    assert (signer.text, verifier.vkey) == (case["private"], case["vkey"])


@cases("note", "bad_vkeys")
def test_what_is_no_vkey_is_refused(case: Case) -> None:
    with pytest.raises(FormatError):
        Verifier.parse(case["vkey"])


@cases("note", "bad_private_keys")
def test_what_is_no_private_key_is_refused_and_not_quoted(case: Case) -> None:
    with pytest.raises(FormatError) as refused:
        Signer.parse(case["private"])
    assert case["private"][-40:] not in str(refused.value) or case["private"] == ""


@cases("note", "signed")
def test_a_note_is_signed_as_the_vector_says(case: Case) -> None:
    assert sign_note(case["text"], Signer.parse(case["private"])) == case["note"].encode()


@cases("note", "opened")
def test_a_note_is_opened_as_the_vector_says(case: Case) -> None:
    data = case["note"].encode() if "note" in case else base64.b64decode(case["note_base64"])
    with refusal(case):
        note = open_note(data, map(Verifier.parse, case["known"]))
    if case["result"] == "ok":
        assert note.text == case["text"]
        assert [signature.name for signature in note.signatures] == case["verified"]
    if case["result"] == "malformed":
        with pytest.raises(FormatError):
            parse_note(data)
    else:
        assert parse_note(data).encode() == data


# checkpoint.json


def checkpoint_of(case: Case) -> Checkpoint:
    root, extensions = bytes.fromhex(case["root"]), tuple(case["extensions"])
    return Checkpoint(case["origin"], case["size"], root, extensions)


@cases("checkpoint", "texts")
def test_a_checkpoint_is_read_and_written_as_the_vector_says(case: Case) -> None:
    assert parse_checkpoint(case["text"]) == checkpoint_of(case)
    assert checkpoint_of(case).text == case["text"]


@cases("checkpoint", "bad_texts")
def test_what_is_no_checkpoint_is_refused(case: Case) -> None:
    with pytest.raises(FormatError):
        parse_checkpoint(case["text"])


@cases("checkpoint", "signed")
def test_a_checkpoint_is_signed_as_the_vector_says(case: Case) -> None:
    signer = Signer.parse(case["private"])
    assert sign_checkpoint(checkpoint_of(case), signer) == case["note"].encode()


@cases("checkpoint", "opened")
def test_a_signed_checkpoint_is_opened_as_the_vector_says(case: Case) -> None:
    log = Verifier.parse(VECTORS["checkpoint"]["log"])
    with refusal(case):
        checkpoint = open_checkpoint(case["note"].encode(), log)
    if case["result"] == "ok":
        assert checkpoint == checkpoint_of(case)


# cosignature.json


@cases("cosignature", "signed")
def test_a_cosignature_is_made_as_the_vector_says(case: Case) -> None:
    signer, witness = WitnessSigner.parse(case["private"]), Witness.parse(case["vkey"])
    assert (signer.public, signer.text, witness.vkey) == (witness, case["private"], case["vkey"])
    assert signer.cosign(case["text"], case["time"] * 1000 + 999).line == case["line"]
    note = f"{case['text']}\n{case['line']}".encode()
    assert witnessed(note, [witness]) == {witness: case["time"]}
    assert open_note(note, [witness]).signatures == parse_signatures(case["line"].encode())


@cases("cosignature", "merged")
def test_cosignatures_are_merged_as_the_vector_says(case: Case) -> None:
    witnesses = [Witness.parse(vkey) for vkey in case["witnesses"]]
    note, lines = case["note"].encode(), case["lines"].encode()
    with refusal(case):
        merged = merge(note, lines, witnesses)
    if case["result"] == "ok":
        assert merged == case["merged"].encode()
        assert witnessed(merged, witnesses) == witnessed(note + lines, witnesses)
    if case["result"] == "unverified":
        with pytest.raises(VerificationError):
            witnessed(note + lines, witnesses)


# receipt.json


def test_a_receipt_is_written_as_the_vector_says() -> None:
    made = VECTORS["receipt"]["made"]
    proof, extra = tuple(unhex(made["proof"])), bytes.fromhex(made["extra"])
    receipt = Receipt(made["index"], proof, made["checkpoint"].encode(), extra)
    assert receipt.encode() == made["receipt"].encode()
    assert parse_receipt(made["receipt"].encode()) == receipt


@cases("receipt", "opened")
def test_a_receipt_is_judged_as_the_vector_says(case: Case) -> None:
    log = Verifier.parse(VECTORS["receipt"]["log"])
    witnesses = [Witness.parse(vkey) for vkey in case["witnesses"]]
    leaf = leaf_hash(bytes.fromhex(case["entry"]))
    with refusal(case):
        receipt = parse_receipt(case["receipt"].encode())
        checkpoint = verify_receipt(receipt, leaf, log, witnesses, case["quorum"])
    if case["result"] == "ok":
        assert checkpoint.origin == log.name
    if case["result"] != "malformed":
        assert parse_receipt(case["receipt"].encode()).encode() == case["receipt"].encode()
