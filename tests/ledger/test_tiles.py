"""Tiles and bundles: paths, growth, and the tree read back from tiles."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailment.errors import FormatError, VerificationError
from bailment.ledger.tiles import (
    ENTRIES,
    MAX_ENTRY,
    Tile,
    decode_bundle,
    encode_bundle,
    encode_tile,
    frontier,
    new_bundles,
    new_tiles,
    parse_path,
    tile_path,
    tile_reader,
    tile_root,
)
from bailment.ledger.tree import (
    MAX_SIZE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

REFERENCE = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "formats/vectors/reference.py"))
)

SIZE = 2 * 65536 + 3 * 256 + 7
LEAVES = [leaf_hash(b"%d" % i) for i in range(SIZE)]

tiles = st.builds(
    Tile, st.sampled_from([ENTRIES, *range(64)]), st.integers(0, MAX_SIZE), st.integers(1, 256)
)


class Folder(dict[str, bytes]):
    """A log folder in memory that is published as a log grows."""

    def __init__(self) -> None:
        self.size = 0
        self.hashes = [LEAVES, [], []]

    def grow(self, size: int) -> None:
        for tile in new_tiles(self.size, size):
            first = tile.index * 256
            data = b"".join(self.hashes[tile.level][first : first + tile.width])
            self[tile.path] = data
            if tile.width == 256:
                self.hashes[tile.level + 1].append(tile_root(data))
        self.size = size


@pytest.fixture(scope="module")
def folder() -> Folder:
    """Published at sizes that leave partial tiles at every level."""
    made = Folder()
    for size in (1, 200, 256, 70_000, 65536 * 2 - 1, SIZE):
        made.grow(size)
    return made


def root_of(size: int) -> bytes:
    grown = Frontier()
    for leaf in LEAVES[:size]:
        grown.push(leaf)
    return grown.root()


def test_the_example_of_the_specification_has_its_tiles() -> None:
    made = list(new_tiles(0, 70_000))
    full = [[t for t in made if t.level == level and t.width == 256] for level in range(4)]
    partial = [tile for tile in made if tile.width < 256]
    assert [len(level) for level in full] == [273, 1, 0, 0]
    assert partial == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(new_tiles(0, 256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert tile_path(5, 1234067) == "tile/5/x001/x234/067"


@given(tiles)
def test_a_path_is_read_as_the_tile_it_was_written_for(tile: Tile) -> None:
    assert parse_path(tile.path) == tile


@given(tiles, st.data())
def test_a_path_with_one_character_changed_is_another_tile_or_none(
    tile: Tile, data: st.DataObject
) -> None:
    path = tile.path
    at = data.draw(st.integers(0, len(path)))
    changed = path[:at] + data.draw(st.sampled_from([*"0159x/.p-", "", "\n"])) + path[at + 1 :]
    try:
        other = parse_path(changed)
    except FormatError:
        return
    assert other.path == changed


@given(st.text(alphabet="tile/ntrsx0129.p-", max_size=40))
def test_whatever_is_read_as_a_path_is_written_the_same(path: str) -> None:
    try:
        tile = parse_path(path)
    except FormatError:
        return
    assert tile.path == path


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_growth_brings_what_the_new_size_has_and_the_old_had_not(a: int, b: int) -> None:
    old, new = min(a, b), max(a, b)
    made = [tile.path for tile in new_tiles(old, new)]
    assert len(made) == len(set(made))
    assert set(made) == REFERENCE.tile_paths(new) - REFERENCE.tile_paths(old)
    bundles = {tile.path for tile in new_bundles(old, new)}
    kinds = ("entries",)
    assert bundles == REFERENCE.tile_paths(new, kinds) - REFERENCE.tile_paths(old, kinds)


@given(st.integers(1, SIZE))
def test_a_tile_is_published_before_the_one_above_that_needs_it(size: int) -> None:
    made = list(new_tiles(0, size))
    assert made == sorted(made, key=lambda tile: (tile.level, tile.index))


def test_published_tiles_are_those_of_the_naive_implementation(folder: Folder) -> None:
    d = REFERENCE.counted(SIZE)
    for tile in (Tile(0, 0), Tile(0, 514, 256), Tile(1, 1), Tile(1, 2, 3), Tile(2, 0, 2)):
        assert folder[tile.path] == REFERENCE.tile(tile.level, tile.index, tile.width, d)
        assert encode_tile(tile, tile_reader(SIZE, folder.get)) == folder[tile.path]


@pytest.mark.parametrize("size", [0, 1, 200, 255, 256, 70_000, 65536 * 2 - 1, 65536 * 2, SIZE])
def test_a_frontier_from_tiles_is_the_one_that_was_pushed(folder: Folder, size: int) -> None:
    assert frontier(size, folder.get).root() == root_of(size)


@given(data=st.data())
def test_proofs_from_tiles_hold(folder: Folder, data: st.DataObject) -> None:
    sizes = st.sampled_from([SIZE, 70_000, 65536 * 2 - 1])
    new = data.draw(sizes)
    read = tile_reader(new, folder.get)
    index = data.draw(st.integers(0, new - 1))
    old = data.draw(st.integers(1, new))
    root = Frontier.at(new, read).root()
    verify_inclusion(LEAVES[index], index, new, inclusion_proof(index, new, read), root)
    old_root = Frontier.at(old, read).root()
    verify_consistency(old, old_root, new, root, consistency_proof(old, new, read))


def test_the_full_tile_stands_in_for_a_partial_one_that_is_gone(folder: Folder) -> None:
    def gone(path: str) -> bool:
        full, partial, _ = path.partition(".p/")
        return bool(partial) and full in folder

    assert gone("tile/0/273.p/112") and gone("tile/1/001.p/17")
    kept = {path: data for path, data in folder.items() if not gone(path)}
    assert frontier(70_000, kept.get).root() == root_of(70_000)


def test_a_missing_tile_is_named(folder: Folder) -> None:
    with pytest.raises(VerificationError, match=r"`tile/2/000.p/2` is missing"):
        frontier(SIZE, Folder().get)
    without = {path: data for path, data in folder.items() if path != "tile/0/514"}
    with pytest.raises(VerificationError, match=r"`tile/0/514` is missing"):
        inclusion_proof(514 * 256, SIZE, tile_reader(SIZE, without.get))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 223, 225, 256, 8191, 8193, 8224])
def test_a_tile_of_the_wrong_length_is_named(size: int) -> None:
    data = (b"".join(LEAVES[:256]) + bytes(32))[:size]
    for width, path in [(256, "tile/0/000"), (7, "tile/0/000.p/7")]:
        with pytest.raises(FormatError, match=path):
            inclusion_proof(0, width, tile_reader(width, {path: data}.get))
    with pytest.raises(FormatError, match="full tile"):  # it would stand in for the partial one
        frontier(7, {"tile/0/000": data}.get)


@settings(max_examples=15)
@given(data=st.data())
def test_a_flipped_bit_in_a_tile_breaks_every_proof_that_it_changes(data: st.DataObject) -> None:
    folder, size = Folder(), 300
    folder.grow(size)
    root = root_of(size)
    path = data.draw(st.sampled_from(sorted(folder)))
    bit = data.draw(st.integers(0, len(folder[path]) * 8 - 1))
    flipped = (int.from_bytes(folder[path]) ^ 1 << bit).to_bytes(len(folder[path]))
    true, false = (tile_reader(size, f.get) for f in (folder, {**folder, path: flipped}))
    changed = 0
    for index in range(size):
        proof = inclusion_proof(index, size, false)
        if proof != inclusion_proof(index, size, true):
            changed += 1
            with pytest.raises(VerificationError):
                verify_inclusion(LEAVES[index], index, size, proof, root)
    assert changed > 0


@pytest.mark.parametrize(("height", "index"), [(0, 7), (0, -1), (2, 1), (3, 0), (8, 0), (70, 0)])
def test_a_subtree_outside_the_tree_is_not_read(height: int, index: int) -> None:
    with pytest.raises(FormatError):
        tile_reader(7, Folder().get)(height, index)


def test_a_tile_is_fetched_once() -> None:
    folder, fetched = Folder(), []
    folder.grow(600)

    def fetch(path: str) -> bytes | None:
        fetched.append(path)
        return folder.get(path)

    read = tile_reader(600, fetch)
    for index in range(600):
        inclusion_proof(index, 600, read)
    assert sorted(fetched) == ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"]


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert data == REFERENCE.bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for width in (len(entries) - 1, len(entries) + 1):
        if width >= 0:
            with pytest.raises(FormatError):
                decode_bundle(data, width)


@given(st.binary(max_size=200), st.integers(0, 256))
def test_whatever_is_read_as_a_bundle_is_written_the_same(data: bytes, width: int) -> None:
    try:
        entries = decode_bundle(data, width)
    except FormatError:
        return
    assert len(entries) == width
    assert encode_bundle(entries) == data


def test_an_entry_has_at_most_65535_bytes() -> None:
    assert decode_bundle(encode_bundle([b"x" * MAX_ENTRY]), 1) == [b"x" * 65535]
    with pytest.raises(FormatError, match="65536"):
        encode_bundle([b"", b"x" * 65536])
