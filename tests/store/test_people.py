"""Names of people, and erasure: what is forgotten, and that nothing else changes."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bailment.access import jwk
from bailment.access.chain import commit_person
from bailment.ledger.records import EnrolmentRequested, InvitationIssued, PersonErased
from bailment.store.people import People
from bailment.store.reader import LogReader, Stored
from bailment.store.vault import Vault, person_key

from .checks import Seen, check, recheck
from .history import history
from .issuer import Issuer, must, note

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.make(tmp_path / "issuer")


async def test_people_are_found_by_id_name_and_email(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        people = People(log.fold.register, log.reader)
        party = await issuer.recipient(log)
        ids = []
        for name in ("ada", "bob", "bob"):
            link = await issuer.person(log, party, name)
            ids.append(log.fold.register.links[link].subject)
        assert people.of(ids[0]) == {"name": "ada", "email": "ada@org.example"}
        assert people.name(ids[1]) == "bob"
        assert people.find("ada@org.example") == people.find("ada") == people.find(ids[0])
        assert people.find("bob") == sorted(ids[1:])
        assert people.find("eve") == []


async def test_many_that_are_read_at_once_are_called_as_one_by_one_and_not_read_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        party = await issuer.recipient(log)
        links = [await issuer.person(log, party, name) for name in ("ada", "bob", "eve")]
        ids = [log.fold.register.links[one].subject for one in links]
        alone, together = (People(log.fold.register, log.reader) for _ in range(2))
        said = [alone.of(one) for one in ids]
        alone.forget(ids[2])
        together.prefetch([*ids, "ab" * 16], ["cd" * 16])
        together.forget(ids[2])
        monkeypatch.setattr(LogReader, "stored", None)
        assert [together.of(one) for one in ids] == [*said[:2], {}]
        assert together.name("ab" * 16) == "erased:abababab"


async def test_somebody_unknown_is_not_unknown_for_good(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        people = People(log.fold.register, log.reader)
        party = await issuer.recipient(log)
        newcomer = "ab" * 16
        assert people.of(newcomer) == {}
        await issuer.person(log, party, "ada", subject=newcomer)
        assert people.name(newcomer) == "ada"


async def test_an_erased_person_has_no_name_here_nor_after_a_restart(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        opened = issuer.opening(log, device)
        await must(log, opened)
        people = People(log.fold.register, log.reader)
        assert people.name(device.person) == "ada"
        log.vault.destroy(person_key(device.person))
        people.forget(device.person)
        assert people.name(device.person) == f"erased:{device.person[:8]}"
        assert people.find("ada") == []
    async with issuer.open() as log:
        assert People(log.fold.register, log.reader).of(device.person) == {}
        for stored in log.reader.stored():
            log.reader.open(stored)
            assert log.reader.personal(stored) is None


async def test_who_is_erased_while_names_are_read_has_none_and_the_others_are_kept(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        party = await issuer.recipient(log)
        links = [await issuer.person(log, party, name) for name in ("ada", "bob")]
        ada, bob = (log.fold.register.links[link].subject for link in links)
        people = People(log.fold.register, log.reader)
        read, go = log.reader.personal, threading.Event()

        def slowly(stored: Stored) -> bytes | None:
            found = read(stored)
            go.wait(10)
            return found

        monkeypatch.setattr(log.reader, "personal", slowly)
        loading = asyncio.create_task(people.load([ada, bob]))
        await asyncio.sleep(0)
        log.vault.destroy(person_key(ada))
        people.forget(ada)
        go.set()
        await loading
        monkeypatch.setattr(log.reader, "stored", None)  # nothing is read again
        assert people.of(ada) == {}
        assert people.name(bob) == "bob"


async def test_a_name_that_the_admin_did_not_sign_is_not_shown(issuer: Issuer) -> None:
    async with issuer.open() as log:
        await issuer.begin(log)
        people = People(log.fold.register, log.reader)
        party = await issuer.recipient(log)
        ada = {"name": "ada", "email": "ada@org.example"}
        for name in ("ada", "eve"):
            subject = os.urandom(16).hex()
            link = issuer._below(party, party.link, "person", subject, None, None)
            signed = msgspec.structs.replace(link, personal=commit_person(ada))
            await issuer.grant(log, party, signed, party.pseudonym, subject, name)
            told = ada if name == "ada" else {"name": f"misnamed:{subject[:8]}"}
            assert people.of(subject) == told
        assert people.find("eve") == people.find("eve@org.example") == []


async def test_a_device_is_called_what_its_person_called_it_until_it_is_erased(
    issuer: Issuer,
) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        people = People(log.fold.register, log.reader)
        assert people.device(device.id) == "laptop"  # a fact, in an old record
        link = log.fold.register.links[log.fold.register.link_of[device.id]].parent
        another, invitation = os.urandom(16).hex(), os.urandom(32).hex()
        key = jwk.from_key(ec.generate_private_key(ec.SECP256R1()).public_key()).jwk
        until = issuer.clock() + 900_000
        invited = InvitationIssued(invitation, link, until)
        await must(log, log.sequencer.draft(invited, device.recipient))
        asked = EnrolmentRequested(another, invitation, "", key, "software", "p", until)
        await must(
            log,
            log.sequencer.draft(
                asked, device.recipient, person=device.person, personal={"device": "Ada's own"}
            ),
        )
        assert people.device(another) == "Ada's own"
        log.vault.destroy(person_key(device.person))
        people.forget(device.person)
        assert people.device(another) == ""
        assert people.device("00" * 16) == ""


async def test_erasure_changes_no_fold_and_no_record(issuer: Issuer) -> None:
    """The law: deleting a personal key changes no fold and no decision."""
    life = history(issuer, 5)
    async with issuer.open(snapshot_every=50) as log:
        await life.live(log, 250)
        before, entries = log.fold.encode(), check(log, Seen(), issuer)
        people = {device.person for device in life.devices}
        assert any(log.reader.personal(stored) for stored in log.reader.stored())
        for person in people:
            assert log.vault.destroy(person_key(person))
        assert log.fold.encode() == before
        assert check(log, Seen(), issuer) == entries
    async with issuer.open() as log:
        assert log.fold.encode() == before
        with_people = [stored.personal for stored in log.reader.stored() if stored.personal]
        opened = [s for s in log.reader.stored() if log.reader.personal(s) is not None]
        assert len(with_people) > len(opened)
    for path in issuer.folder.snapshots.iterdir():
        path.unlink()
    await recheck(issuer, Seen())


async def test_an_erasure_that_a_crash_cut_short_is_done_at_the_next_start(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        erased = PersonErased(device.person, "owner", "asked")
        await must(log, log.sequencer.draft(erased, device.recipient))
        assert People(log.fold.register, log.reader).name(device.person) == "ada"
    async with issuer.open() as log:
        assert People(log.fold.register, log.reader).of(device.person) == {}


async def test_another_process_sees_the_erasure_at_once(issuer: Issuer) -> None:
    async with issuer.open() as log:
        device = await issuer.ready(log)
        await must(log, log.sequencer.draft(note(1)))
        index = log.fold.register.state.links[device.token.links[1]].index  # type: ignore[union-attr]
        vault = Vault(issuer.folder.keys, issuer.secrets.kek, read_only=True)
        reader = LogReader(issuer.folder, vault)
        (stored,) = reader.stored(index, index + 1)
        log.vault.destroy(person_key(device.person))
        assert reader.personal(stored) is None
        vault.close()
