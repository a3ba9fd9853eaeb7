"""A recipient that checks its view knows that it was shown all of its records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailment.access.chain import commit_person
from bailment.auditor.findings import Kind
from bailment.auditor.view import verify_view
from bailment.errors import ConfigurationError, FormatError
from bailment.ledger.export import MAX_LINE, Shown, ViewHead, decode_head, decode_shown, encode_line
from bailment.ledger.note import Verifier
from bailment.ledger.records import DelegationGranted
from bailment.ledger.tiles import tile_reader
from bailment.ledger.tree import inclusion_proof
from bailment.store.export import _scan, export_view
from bailment.store.folder import fetch_from
from bailment.store.reader import LogReader
from bailment.store.vault import Vault

from .conftest import Past
from .world import World


@pytest.fixture(scope="module")
def view(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / "brook.view"
    export_view(past.folder, past.reader(), past.key, past.lived.recipients["brook"], path)
    return path


@pytest.mark.parametrize("name", ["acme", "brook", "cove"])
def test_a_view_shows_a_recipient_all_its_records(past: Past, tmp_path: Path, name: str) -> None:
    slot, path = past.lived.recipients[name], tmp_path / "view"
    summary = export_view(past.folder, past.reader(), past.key, slot, path)
    report = verify_view(path, past.key, recipient=slot)
    mine = sum(record.leaf.recipient == slot for record in past.reader().records())
    assert report.clean and report.records == summary.records == mine
    assert 100 < report.covered == summary.covered < mine
    assert past.world.now - 20_500 < report.until <= past.world.now


Lines = tuple[ViewHead, list[Shown]]


def keep(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, shown


def hide_one(head: ViewHead, shown: list[Shown]) -> Lines:
    return replace(head, records=len(shown) - 1), shown[:50] + shown[51:]


def hide_the_last_covered(head: ViewHead, shown: list[Shown]) -> Lines:
    assert head.heads is not None
    covered = [line for line in shown if line.index < head.heads.index][:-1]
    return replace(head, records=len(covered)), covered


def cut_the_file(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, shown[:-1]


def swap(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, [*shown[:50], shown[51], shown[50], *shown[52:]]


def alter_the_facts(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, [replace(shown[0], facts=shown[0].facts + b" "), *shown[1:]]


def withhold_the_facts(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, [replace(shown[0], facts=b""), *shown[1:]]


def alter_an_entry(head: ViewHead, shown: list[Shown]) -> Lines:
    """To a date far from the heads record's."""
    entry = shown[-1].entry.replace('"time":1', '"time":2')
    return head, [*shown[:-1], replace(shown[-1], entry=entry)]


def show_an_entry_elsewhere(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, [*shown[:-1], replace(shown[-1], index=shown[-1].index + 1)]


def show_no_leaf(head: ViewHead, shown: list[Shown]) -> Lines:
    return head, [*shown[:-1], replace(shown[-1], entry="{}")]


def call_another_record_heads(head: ViewHead, shown: list[Shown]) -> Lines:
    assert head.heads is not None
    last = shown[-1]
    heads = replace(head.heads, index=last.index, entry=last.entry, proof=last.proof)
    return replace(head, heads=heads), shown


def give_anothers_salt(head: ViewHead, shown: list[Shown]) -> Lines:
    assert head.heads is not None
    return replace(head, heads=replace(head.heads, salt=bytes(16))), shown


def show_five_and_no_heads(head: ViewHead, shown: list[Shown]) -> Lines:
    return replace(head, records=5, heads=None), shown[:5]


def call_it_anothers(head: ViewHead, shown: list[Shown]) -> Lines:
    return replace(head, recipient="ab" * 16), shown


def replace(line: object, **members: object):  # type: ignore[no-untyped-def]
    return msgspec.structs.replace(line, **members)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (keep, set()),
        (hide_one, {Kind.SLOT_BROKEN, Kind.REMOVED_RECORD}),
        (hide_the_last_covered, {Kind.REMOVED_RECORD}),
        (cut_the_file, {Kind.REMOVED_RECORD}),
        (swap, {Kind.SLOT_BROKEN}),
        (alter_the_facts, {Kind.ALTERED_FACTS}),
        (withhold_the_facts, {Kind.WITHHELD_FACTS}),
        (alter_an_entry, {Kind.WRONG_ROOT, Kind.LATE_HEADS}),
        (show_an_entry_elsewhere, {Kind.WRONG_ROOT}),
        (show_no_leaf, {Kind.WRONG_ROOT, Kind.MALFORMED_RECORD, Kind.REMOVED_RECORD}),
        (call_another_record_heads, {Kind.WRONG_HEADS}),
        (give_anothers_salt, {Kind.REMOVED_RECORD}),
        (show_five_and_no_heads, {Kind.UNPROVEN_COMPLETE}),
        (call_it_anothers, {Kind.WRONG_SLOT, Kind.REMOVED_RECORD}),
    ],
)
def test_a_view_that_hides_or_alters_something_is_named(
    view: Path, past: Past, tmp_path: Path, change: Callable[..., Lines], kinds: set[Kind]
) -> None:
    first, *rest = view.read_bytes().splitlines(keepends=True)
    head, shown = change(decode_head(first), [decode_shown(line) for line in rest])
    path = tmp_path / "changed"
    path.write_bytes(encode_line(head) + b"".join(encode_line(line) for line in shown))
    slot = past.lived.recipients["brook"]
    report = verify_view(path, past.key, recipient=slot)
    assert set(report.counts) == kinds
    if change in (hide_the_last_covered, call_another_record_heads, show_five_and_no_heads):
        assert report.until == report.covered == 0


# Names


@pytest.fixture(scope="module")
def named(past: Past, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Brook's view with the names of its people, one of them a subcontractor's."""
    path = tmp_path_factory.mktemp("views") / "named.view"
    slot = past.lived.recipients["brook"]
    export_view(past.folder, past.reader(), past.key, slot, path, names=True)
    return path


def test_a_view_names_people_where_that_is_asked_for_and_shows_no_address(
    view: Path, named: Path, past: Past
) -> None:
    shown = [decode_shown(line) for line in named.read_bytes().splitlines()[1:]]
    personal = b"".join(line.personal for line in shown)
    assert personal.count(b'"name"') == 2
    assert b'"name":"cyd"' in personal and b'"name":"dan"' in personal
    assert b"192.0.2.7" not in personal
    party = past.lived.people["cyd"].party
    report = verify_view(named, past.key, recipient=party.recipient, admin=party.public)
    assert report.clean and report.named == 2
    assert b'"personal":' not in view.read_bytes()
    assert verify_view(view, past.key).named == 0


def test_an_erased_person_is_not_named(past: Past, tmp_path: Path) -> None:
    slot, path = past.lived.recipients["acme"], tmp_path / "acme.view"
    export_view(past.folder, past.reader(), past.key, slot, path, names=True)
    report = verify_view(path, past.key, recipient=slot)
    assert report.clean and report.named == 1  # Ada; Bob is erased


def test_an_altered_name_is_named(named: Path, past: Past, tmp_path: Path) -> None:
    data = named.read_bytes().splitlines(keepends=True)
    shown = [decode_shown(line) for line in data[1:]]
    altered = [replace(line, personal=line.personal.replace(b'"cyd"', b'"eve"')) for line in shown]
    path = tmp_path / "altered"
    path.write_bytes(data[0] + b"".join(map(encode_line, altered)))
    assert verify_view(path, past.key).counts == {Kind.ALTERED_PERSONAL: 1}


def test_delegations_by_another_admins_key_are_named(named: Path, past: Past) -> None:
    other = past.lived.people["eve"].party.public
    report = verify_view(named, past.key, admin=other)
    assert report.counts[Kind.BAD_LINK] > 1


async def _renamed(root: Path, signed: str, stored: str) -> tuple[World, str]:
    """A log into which the issuer put another name beside a link than the one that came with it."""
    async with World(root) as world:
        await world.begin()
        party = await world.recipient("acme", ("aspen",))
        admins = {"name": signed, "salt": "5a" * 16}
        ids = {"id": world.id(), "parent": party.link, "personal": commit_person(admins)}
        link = world.sign(party, "person", world.id(), None, **ids)
        issuers = {**admins, "name": stored}
        await world.append(
            DelegationGranted(link), party.recipient, person=world.id(), personal=issuers
        )
        return world, party.recipient


@pytest.mark.parametrize(("stored", "count"), [("ada", 0), ("eve", 1)])
def test_a_person_whom_the_issuer_renamed_is_named(tmp_path: Path, stored: str, count: int) -> None:
    world, slot = asyncio.run(_renamed(tmp_path / "issuer", "ada", stored))
    reader = LogReader(world.folder, Vault(world.folder.keys, world.secrets.kek))
    key, path = world.secrets.log.public, tmp_path / "view"
    export_view(world.folder, reader, key, slot, path, names=True)
    report = verify_view(path, key, recipient=slot)
    assert report.counts.get(Kind.ALTERED_PERSONAL, 0) == count
    assert report.named == 1 - count


def test_a_view_with_old_heads_claims_no_more_than_they_prove(
    view: Path, past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, early = past.lived.recipients["brook"], 300
    size = verify_view(view, past.key).checkpoint.size
    first, *shown = view.read_bytes().splitlines(keepends=True)
    read = tile_reader(size, fetch_from(past.folder.log))
    _, old = _scan(past.reader(), slot, early, read, lambda done, total: None)
    assert old is not None
    old = replace(old, proof=tuple(inclusion_proof(old.index, size, read)))
    path = tmp_path / "old"
    path.write_bytes(encode_line(replace(decode_head(first), heads=old)) + b"".join(shown))
    report, full = (verify_view(p, past.key, recipient=slot) for p in (path, view))
    times = {record.index: record.leaf.time for record in past.reader().records()}
    assert report.clean and report.records == full.records
    assert report.covered < full.covered and report.until == times[old.index] < full.until
    # An hour is the most that any policy allows between them; this log's did not allow this.
    monkeypatch.setattr("bailment.auditor.view.MAX_HEADS_MS", 20_000)
    assert set(verify_view(path, past.key, recipient=slot).counts) == {Kind.LATE_HEADS}
    assert verify_view(view, past.key, recipient=slot).clean


def test_a_view_under_another_key_is_named(view: Path, past: Past) -> None:
    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    report = verify_view(view, Verifier(past.key.name, public))
    assert set(report.counts) == {Kind.BAD_SIGNATURE}


@pytest.mark.parametrize(
    "data", [b"", b"{}\n", b'{"v":2}\n', b"x" * (MAX_LINE + 1)], ids=["none", "empty", "v2", "long"]
)
def test_what_is_no_view_is_refused(tmp_path: Path, past: Past, data: bytes) -> None:
    path = tmp_path / "view"
    path.write_bytes(data)
    with pytest.raises(FormatError):
        verify_view(path, past.key)


def test_a_view_is_refused_where_one_is_and_for_nobody(
    view: Path, past: Past, tmp_path: Path
) -> None:
    arguments = (past.folder, past.reader(), past.key)
    with pytest.raises(ConfigurationError, match="exists"):
        export_view(*arguments, past.lived.recipients["brook"], view)
    with pytest.raises(ConfigurationError, match="no records"):
        export_view(*arguments, "ab" * 16, tmp_path / "none")
