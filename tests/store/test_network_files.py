"""Lists of networks from files: into place whole, or not at all."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailment.cli import network
from bailment.errors import BailmentError, ConfigurationError
from bailment.store.folder import Folder
from bailment.store.network_files import found_in, put_in_place, read_files
from bailment.store.tables import load_tables, tables_path

DATA = Path(__file__).parents[3] / "shared" / "data" / "network"
ASN = "8.8.8.0,8.8.8.255,15169,Google\n"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "asn-ipv4.csv").write_text(ASN)
    with gzip.open(folder / "asn-country-ipv4.csv.gz", "wt") as file:
        file.write("8.8.8.0,8.8.8.255,US\n")
    (folder / "vpn_ipv4.txt").write_text("8.8.8.8/32\n")
    (folder / "README.md").write_text("not a list")
    os.utime(folder / "vpn_ipv4.txt", (1_790_000_000, 1_790_000_000))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "issuer").mkdir()
    (tmp_path / "issuer" / "bailment.toml").write_text("")
    return Folder(tmp_path / "issuer")


def ask(folder: Folder, *words: str) -> str:
    """Standard output of `bailment network WORDS`."""
    done = CliRunner().invoke(network.app, [*words, "-d", str(folder.root)])
    if isinstance(done.exception, BailmentError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_folder_of_lists_becomes_tables(lists: Path, folder: Folder) -> None:
    made = json.loads(ask(folder, "refresh", "--from", str(lists), "--json"))
    assert made["built"] == "2026-09-21T14:13:20Z"  # the oldest file's
    assert [one["rows"] for one in made["sources"]] == [1, 1, 1]
    assert json.loads(ask(folder, "show", "--json"))["file"] == str(tables_path(folder))
    found = json.loads(ask(folder, "lookup", "8.8.8.8", "--json"))
    assert found == {"address": "8.8.8.8", "asn": 15169, "country": "US", "kind": "vpn"}
    assert "AS15169" in ask(folder, "lookup", "8.8.8.8")


def test_the_lists_date_can_be_said(lists: Path, folder: Folder) -> None:
    words = ("refresh", "--from", str(lists / "asn-ipv4.csv"))
    words += ("--from", str(lists / "asn-country-ipv4.csv.gz"), "--as-of", "2026-04-07")
    assert "tables of 2026-04-07" in ask(folder, *words)
    with pytest.raises(BailmentError, match="a day to come"):
        ask(folder, "refresh", "--from", str(lists), "--as-of", "2999-01-01")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("asn-ipv4.csv", b"8.8.8.0,8.8.8.255,15169\nnonsense\n", "`asn-ipv4.csv` line 2"),
        ("vpn_ipv4.txt", b"8.8.8.8\n\xff\n", "`vpn_ipv4.txt` line 2: not UTF-8"),
        ("asn-country-ipv4.csv.gz", b"no gzip", "cannot read"),
        (
            "asn-country-ipv4.csv.gz",
            gzip.compress(b"8.8.8.0,8.8.8.255,US\n", mtime=0)[:-9],
            "cannot read",
        ),
    ],
)
def test_a_list_that_cannot_be_read_leaves_the_tables_alone(
    lists: Path, folder: Folder, name: str, data: bytes, says: str
) -> None:
    put_in_place(folder, read_files(found_in(lists)))
    before = tables_path(folder).read_bytes()
    (lists / name).write_bytes(data)
    with pytest.raises(ConfigurationError, match=says):
        ask(folder, "refresh", "--from", str(lists))
    assert tables_path(folder).read_bytes() == before
    assert list(folder.root.glob("networks*")) == [tables_path(folder)]


def test_what_is_no_list_is_said(tmp_path: Path, folder: Folder) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no list of networks"):
        ask(folder, "refresh", "--from", str(tmp_path / "empty"))
    (tmp_path / "else.csv").write_text(ASN)
    with pytest.raises(ConfigurationError, match="cannot be told from its name"):
        ask(folder, "refresh", "--from", str(tmp_path / "else.csv"))
    with pytest.raises(BailmentError, match="no file or folder"):
        ask(folder, "refresh", "--from", str(tmp_path / "nonexistent"))
    with pytest.raises(BailmentError, match="no address"):
        ask(folder, "lookup", "example")


def test_without_tables_of_its_own_those_of_the_package_are_shown(folder: Folder) -> None:
    shown = json.loads(ask(folder, "show", "--json"))
    assert shown["file"] == ""
    assert {one["licence"] for one in shown["sources"]} == {"CC-BY-4.0", "MIT"}
    assert load_tables(folder)[1] is False


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the lists of networks are not beside the project")
def test_the_small_tables_say_what_the_real_ones_do_or_nothing(folder: Folder) -> None:
    full = put_in_place(folder, read_files(found_in(DATA)))
    small, own = load_tables(Folder(folder.root / "none"))
    assert not own
    assert full.head.sizes[0] > 400_000
    agree = silent = 0
    for number in range(0x01000000, 0xDF000000, 0x1F3A7):
        address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
        whole, part = full.lookup(address), small.lookup(address)
        assert part.asn in (0, whole.asn)
        assert part.country in ("", whole.country)
        assert part.kind == whole.kind
        agree += bool(whole.asn and part.asn)
        silent += bool(whole.asn and not part.asn)
    assert agree / (agree + silent) > 0.85
    assert full.lookup("8.8.8.8").asn == 15169
