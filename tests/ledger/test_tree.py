"""The Merkle tree: known roots, and proofs against the recursive definitions of RFC 6962."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.tree import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

REFERENCE = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "formats/vectors/reference.py"))
)

# The tree of Certificate Transparency's own tests: entries and the roots of sizes 1 to 8.
CT_ENTRIES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

sizes = st.integers(0, 300)


def entries(size: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(size)]


def naive_read(size: int) -> Read:
    d = entries(size)

    def read(height: int, index: int) -> bytes:
        assert 0 <= index < size >> height, "a subtree that is not complete was asked for"
        root: bytes = REFERENCE.mth(d[index << height : (index + 1) << height])
        return root

    return read


def naive_root(size: int) -> bytes:
    root: bytes = REFERENCE.mth(entries(size))
    return root


def grown(size: int) -> Frontier:
    frontier = Frontier()
    for entry in entries(size):
        frontier.push(leaf_hash(entry))
    return frontier


def flips(data: bytes) -> st.SearchStrategy[bytes]:
    def flip(bit: int) -> bytes:
        return (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))

    return st.integers(0, len(data) * 8 - 1).map(flip)


def test_the_hashes_and_roots_that_certificate_transparency_publishes_hold() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"L123456").hex() == (
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    )
    assert node_hash(b"N123", b"N456").hex() == (
        "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    for size, (entry, root) in enumerate(zip(CT_ENTRIES, CT_ROOTS, strict=True), 1):
        frontier.push(leaf_hash(bytes.fromhex(entry)))
        assert (frontier.size, frontier.root().hex()) == (size, root)


def test_the_naive_implementation_has_the_same_roots() -> None:
    d = [bytes.fromhex(entry) for entry in CT_ENTRIES]
    assert [REFERENCE.mth(d[:n]).hex() for n in range(1, 9)] == CT_ROOTS


@given(sizes)
def test_a_frontier_has_the_naive_root(size: int) -> None:
    assert grown(size).root() == naive_root(size)


@given(sizes)
def test_a_frontier_read_at_a_size_is_the_one_that_grew_to_it(size: int) -> None:
    read = Frontier.at(size, naive_read(size))
    assert (read.size, read.hashes) == (size, grown(size).hashes)


@given(sizes, st.integers(0, 50))
def test_a_frontier_stands_up_again_from_its_hashes_and_grows_on(size: int, more: int) -> None:
    first = grown(size)
    again = Frontier(first.size, first.hashes)
    for entry in entries(size + more)[size:]:
        again.push(leaf_hash(entry))
    assert again.root() == naive_root(size + more)


def test_a_copy_of_a_frontier_grows_alone() -> None:
    first = grown(5)
    copy = first.copy()
    copy.push(leaf_hash(b"another"))
    assert (first.size, first.root(), copy.size) == (5, naive_root(5), 6)


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(1, []), (0, [b"\0" * 32]), (3, [b"\0" * 32]), (1, [b"\0" * 31]), (-1, [b"\0" * 32]),
     (2**63, [b"\0" * 32])],
)  # fmt: skip
def test_hashes_that_are_no_right_edge_are_refused(size: int, hashes: list[bytes]) -> None:
    with pytest.raises(FormatError):
        Frontier(size, hashes)


@given(st.data())
def test_an_inclusion_proof_is_the_naive_one_and_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, naive_read(size))
    assert proof == REFERENCE.path(index, entries(size))
    verify_inclusion(leaf_hash(entries(size)[index]), index, size, proof, naive_root(size))


@given(st.data())
def test_a_flipped_bit_anywhere_in_an_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    index = data.draw(st.integers(0, size - 1))
    path = REFERENCE.path(index, entries(size))
    parts = [leaf_hash(entries(size)[index]), naive_root(size), *path]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = data.draw(flips(parts[which]))
    leaf, root, *proof = parts
    with pytest.raises(VerificationError):
        verify_inclusion(leaf, index, size, proof, root)


@given(st.data())
def test_an_inclusion_proof_holds_for_no_other_index(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index, other = data.draw(st.permutations(range(size)).map(lambda order: order[:2]))
    proof = REFERENCE.path(index, entries(size))
    with pytest.raises(VerificationError):
        verify_inclusion(leaf_hash(entries(size)[index]), other, size, proof, naive_root(size))


@given(st.data())
def test_a_consistency_proof_is_the_naive_one_and_holds(data: st.DataObject) -> None:
    new = data.draw(sizes)
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(old, new, naive_read(new))
    assert proof == REFERENCE.proof(old, entries(new))
    verify_consistency(old, naive_root(old), new, naive_root(new), proof)


@given(st.data())
def test_a_flipped_bit_anywhere_in_a_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 300))
    old = data.draw(st.integers(1, new))
    parts = [naive_root(old), naive_root(new), *REFERENCE.proof(old, entries(new))]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = data.draw(flips(parts[which]))
    old_root, new_root, *proof = parts
    with pytest.raises(VerificationError):
        verify_consistency(old, old_root, new, new_root, proof)


@given(st.data())
def test_a_tree_that_was_rewritten_is_consistent_with_no_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 100))
    old = data.draw(st.integers(1, new))
    rewritten = entries(new)
    rewritten[data.draw(st.integers(0, old - 1))] = b"rewritten"
    root, proof = REFERENCE.mth(rewritten), REFERENCE.proof(old, rewritten)
    with pytest.raises(VerificationError):
        verify_consistency(old, naive_root(old), new, root, proof)


@given(
    st.integers(-2, MAX_SIZE + 2),
    st.integers(-2, MAX_SIZE + 2),
    st.lists(st.binary(min_size=31, max_size=33), max_size=70),
    st.binary(min_size=32, max_size=32),
)
def test_arbitrary_proofs_are_refused_in_bounded_time(
    index: int, size: int, proof: list[bytes], root: bytes
) -> None:
    with pytest.raises(VerificationError):
        verify_inclusion(leaf_hash(b""), index, size, proof, root)
    with pytest.raises(VerificationError):
        verify_consistency(index, leaf_hash(b""), size, root, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 1), (0, 2**63), (5, 4)])
def test_no_inclusion_proof_is_made_for_an_entry_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(FormatError):
        inclusion_proof(index, size, naive_read(0))


@pytest.mark.parametrize(("old", "new"), [(1, 0), (-1, 5), (0, 2**63)])
def test_no_consistency_proof_is_made_between_sizes_that_are_none(old: int, new: int) -> None:
    with pytest.raises(FormatError):
        consistency_proof(old, new, naive_read(0))


def test_the_largest_tree_has_proofs_of_at_most_64_hashes() -> None:
    def read(height: int, index: int) -> bytes:
        return b"\0" * 32

    assert len(inclusion_proof(MAX_SIZE // 2, MAX_SIZE, read)) <= 63
    assert len(consistency_proof(MAX_SIZE // 2, MAX_SIZE, read)) <= 64
