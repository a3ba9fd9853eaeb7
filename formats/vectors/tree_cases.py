"""The cases of tree.json and tiles.json."""

from __future__ import annotations

from typing import Any

from reference import bundle, counted, mth, path, proof, sha256, tile, tile_path, tile_paths

Case = dict[str, Any]

OK, MALFORMED, UNVERIFIED = "ok", "malformed", "unverified"


def flip(data: bytes, bit: int) -> bytes:
    out = bytearray(data)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def hexes(hashes: list[bytes]) -> list[str]:
    return [hash_.hex() for hash_ in hashes]


def inclusion(name: str, leaf: bytes, index: int, size: int, *rest: Any, result: str) -> Case:
    hashes, root = rest
    return {
        "name": name, "leaf": leaf.hex(), "index": index, "size": size,
        "proof": hexes(hashes), "root": root.hex(), "result": result,
    }  # fmt: skip


def inclusions() -> list[Case]:
    cases = []
    for index, size in [(0, 1), (0, 2), (1, 2), (2, 3), (3, 5), (6, 7), (4, 8), (255, 256),
                        (256, 257), (300, 1000), (999, 1000)]:  # fmt: skip
        d = counted(size)
        cases.append(
            inclusion(f"entry {index} of {size}", mth(d[index : index + 1]), index, size,
                      path(index, d), mth(d), result=OK)
        )  # fmt: skip
    d = counted(7)
    leaf, good, root = mth(d[3:4]), path(3, d), mth(d)
    bad: list[tuple[Any, ...]] = [
        ("another leaf", flip(leaf, 0), 3, 7, good, root),
        ("another root", leaf, 3, 7, good, flip(root, 255)),
        ("the empty root", leaf, 3, 7, good, mth([])),
        *((f"a flipped bit in hash {i}", leaf, 3, 7,
           [flip(h, 77) if i == j else h for j, h in enumerate(good)], root) for i in range(3)),
        ("a hash too few", leaf, 3, 7, good[:-1], root),
        ("a hash too many", leaf, 3, 7, [*good, root], root),
        ("hashes in another order", leaf, 3, 7, good[::-1], root),
        ("no hashes", leaf, 3, 7, [], root),
        ("a hash of 31 bytes", leaf, 3, 7, [good[0][:31], *good[1:]], root),
        ("a leaf of 33 bytes", leaf + b"\x00", 3, 7, good, root),
        ("the next index", leaf, 4, 7, good, root),
        ("an index at the size", leaf, 7, 7, good, root),
        ("an index below 0", leaf, -1, 7, good, root),
        ("a smaller size", leaf, 3, 4, good, root),
        ("a size of 0", leaf, 0, 0, [], leaf),
        ("a node as a leaf", mth(d[2:4]), 1, 7, good[1:], root),
        ("a size of 2^63", leaf, 3, 2**63, good, root),
    ]  # fmt: skip
    cases += [inclusion(name, *case, result=UNVERIFIED) for name, *case in bad]
    return cases


def consistency(name: str, *case: Any, result: str) -> Case:
    old, old_root, new, new_root, hashes = case
    return {
        "name": name, "old": old, "old_root": old_root.hex(), "new": new,
        "new_root": new_root.hex(), "proof": hexes(hashes), "result": result,
    }  # fmt: skip


def consistencies() -> list[Case]:
    cases = []
    for old, new in [(0, 0), (0, 5), (1, 1), (1, 2), (2, 3), (3, 4), (4, 7), (6, 7), (7, 7),
                     (6, 8), (4, 8), (255, 256), (256, 257), (256, 1000), (777, 1000)]:  # fmt: skip
        d = counted(new)
        case = (old, mth(d[:old]), new, mth(d), proof(old, d))
        cases.append(consistency(f"{old} to {new}", *case, result=OK))
    d = counted(7)
    old_root, root, good = mth(d[:3]), mth(d), proof(3, d)
    fork = mth([b"0", b"1", b"x"])
    bad: list[tuple[Any, ...]] = [
        ("another old root", 3, flip(old_root, 9), 7, root, good),
        ("another new root", 3, old_root, 7, flip(root, 9), good),
        ("a fork", 3, fork, 7, root, good),
        ("roots exchanged", 3, root, 7, old_root, good),
        ("sizes exchanged", 7, old_root, 3, root, good),
        *((f"a flipped bit in hash {i}", 3, old_root, 7, root,
           [flip(h, 200) if i == j else h for j, h in enumerate(good)]) for i in range(4)),
        ("a hash too few", 3, old_root, 7, root, good[:-1]),
        ("a hash too many", 3, old_root, 7, root, [*good, root]),
        ("the first hash left out", 3, old_root, 7, root, good[1:]),
        ("no hashes", 3, old_root, 7, root, []),
        ("the old root in front", 4, mth(d[:4]), 7, root, [mth(d[:4]), *proof(4, d)]),
        ("a hash of 31 bytes", 3, old_root, 7, root, [good[0][:31], *good[1:]]),
        ("the wrong old size", 2, old_root, 7, root, good),
        ("the wrong new size", 3, old_root, 9, root, good),
        ("equal sizes, different roots", 7, flip(root, 0), 7, root, []),
        ("equal sizes and a proof", 7, root, 7, root, [root]),
        ("a proof from size 0", 0, mth([]), 7, root, good),
        ("a root for size 0 that is not empty", 0, root, 7, root, []),
        ("two such roots", 0, root, 0, root, []),
        ("an old size below 0", -1, old_root, 7, root, good),
        ("a size of 2^63", 3, old_root, 2**63, root, good),
    ]  # fmt: skip
    cases += [consistency(name, *case, result=UNVERIFIED) for name, *case in bad]
    return cases


def tree_vectors() -> Case:
    entries = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
               bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]  # fmt: skip
    sizes = [0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 1000, 65535, 65536, 70000]
    return {
        "leaf_hashes": [
            {"entry": e.hex(), "hash": mth([e]).hex()} for e in [b"", b"L123456", bytes(range(256))]
        ],
        "trees": [
            {
                "name": "the tree of Certificate Transparency's own tests",
                "entries": hexes(entries),
                "roots": hexes([mth(entries[:n]) for n in range(9)]),
            }
        ],
        "counted_roots": [{"size": n, "root": mth(counted(n)).hex()} for n in sizes],
        "inclusion": inclusions(),
        "consistency": consistencies(),
    }


def tiles_vectors() -> Case:
    paths: list[tuple[int | str, int, int]]
    paths = [(0, 0, 256), (0, 0, 1), (0, 999, 255), (0, 1000, 256), (0, 1234067, 256),
             (1, 17, 17), (2, 0, 1), (63, 0, 256), (7, 2**63 // 256, 9),
             ("entries", 0, 256), ("entries", 273, 112), ("entries", 1234067, 8)]  # fmt: skip
    bad = ["", "tile", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile/0/0", "tile/0/00",
           "tile/0/0000", "tile/0/x000", "tile/0/x000/001", "tile/0/001/234", "tile/0/x001/x234",
           "tile/0/X001/234", "tile/0/x1/234", "tile/00/000", "tile/01/000", "tile/64/000",
           "tile/100/000", "tile/-1/000", "tile/+1/000", "tile/x/000", "tile/8/0/000",
           "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01",
           "tile/0/000.p/256", "tile/0/000.p/1000", "tile/0/000.p/-1", "tile/0/000.p/x",
           "tile/0/000.p/1/2", "tile/0/000p/1", "tile/0/000.P/1", "tile/data/000",
           "tile/Entries/000", "tile/entries", "tile/entries/0", "tile/entries/000.p/256",
           "tile/0/../0/000", "tile//000", "tile/0/000\n", " tile/0/000",
           "tile/0/\u0660\u0660\u0660", "tile/0/x010/x000/x000/x000/x000/x000/000",
           "tile/0/x001/x000/x000/x000/x000/x000/x000/000"]  # fmt: skip
    d = counted(70000)
    hash_tiles = [(0, 0, 256), (0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    files = {
        **{tile_path(*t): tile(*t, d) for t in hash_tiles},
        tile_path("entries", 0): bundle(d[:256]),
        tile_path("entries", 273, 112): bundle(d[273 * 256 :]),
    }
    growth = [(0, 0), (0, 1), (0, 255), (0, 256), (0, 257), (1, 2), (255, 256), (256, 257),
              (5, 5), (250, 520), (65535, 65536), (65536, 65537), (65279, 70000)]  # fmt: skip
    bundles = [[], [b""], [b"a"], [b"", b"a", b"bc" * 200]]
    return {
        "paths": [
            {"path": tile_path(*p), "level": p[0], "index": p[1], "width": p[2]} for p in paths
        ],
        "bad_paths": bad,
        "growth": [
            {
                "old": old, "new": new,
                "tiles": sorted(tile_paths(new) - tile_paths(old)),
                "bundles": sorted(tile_paths(new, ("entries",)) - tile_paths(old, ("entries",))),
            }
            for old, new in growth
        ],
        "counted_files": {
            "size": 70000,
            "files": [{"path": p, "bytes": len(f), "sha256": sha256(f).hex()}
                      for p, f in files.items()],
        },
        "bundles": [{"entries": hexes(e), "bundle": bundle(e).hex()} for e in bundles],
        "bad_bundles": [
            {"name": "an entry too few", "width": 2, "bundle": "000161"},
            {"name": "an entry too many", "width": 1, "bundle": "000161000162"},
            {"name": "a byte too many", "width": 1, "bundle": "00016100"},
            {"name": "a truncated entry", "width": 1, "bundle": "000261"},
            {"name": "a truncated length", "width": 2, "bundle": "00016100"},
            {"name": "nothing", "width": 1, "bundle": ""},
            {"name": "something for nothing", "width": 0, "bundle": "0000"},
        ],
    }  # fmt: skip
