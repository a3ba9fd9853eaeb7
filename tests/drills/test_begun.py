"""A drill that was broken off is finished by whoever comes next."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anyio import from_thread, to_thread

from bailment.drills.breach.begun import FILE, ROOT, Begun, alone, broken_off, keep
from bailment.drills.breach.canaries import Holder
from bailment.drills.breach.live import end
from bailment.errors import BailmentError
from bailment.ledger.drill_records import DrillNoted
from bailment.store.folder import Folder

from ..world import DAY, World, world

pytestmark = pytest.mark.anyio


async def _end(lab: World) -> list[str]:
    """Finish what there is to be finished; what was said."""
    said: list[str] = []

    def act(name: str, **members: Any) -> Any:
        return from_thread.run(partial(lab.act, name, **members))

    assert await to_thread.run_sync(end, lab.folder, act, said.append) == bool(said)
    return said


async def test_its_recipients_links_are_ended_and_it_is_on_record_once(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        before, started = await lab.recipient(), lab.clock.now()
        drill = Begun("ab" * 16, started)
        for _ in range(2):
            drill.recipients.append((await lab.recipient(until=started + DAY)).id)
        root = tmp_path / f"{ROOT}x"
        root.mkdir()
        drill.root = str(root)
        keep(lab.folder, drill)
        assert stat.S_IMODE((lab.folder.root / FILE).stat().st_mode) == 0o600
        ended_by_hand = lab.register.link_of[drill.recipients[1]]
        await lab.act("link-end", link=ended_by_hand, reason="no longer needed")
        assert ["broken off" in one for one in await _end(lab)] == [True]
        assert not root.exists()
        (noted,) = lab.of(DrillNoted)
        assert (noted.started, noted.recipients) == (started, tuple(drill.recipients))
        assert not lab.register.state.links[before.link.id].ended
        assert await _end(lab) == []
        keep(lab.folder, drill)  # it was noted, and then killed
        assert len(await _end(lab)) == 1
        assert len(lab.of(DrillNoted)) == 1 and broken_off(lab.folder) is None


async def test_who_was_granted_more_than_a_drill_grants_stays_in_every_count(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as lab:
        started = lab.clock.now()
        canary, more = await lab.recipient(until=started + DAY), await lab.recipient()
        keep(lab.folder, Begun("ab" * 16, started, [canary.id, more.id]))
        said = await _end(lab)
        assert any(more.id in one and "every count" in one for one in said)
        (noted,) = lab.of(DrillNoted)
        assert noted.recipients == (canary.id,)


async def test_who_was_being_registered_when_it_was_killed_is_its_recipient_if_registered_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bailment.drills.breach.begun._UNDER_WAY", 0.01)
    async with world(tmp_path) as lab:
        before = await lab.recipient()
        lab.clock.ahead += 1_000
        started = lab.clock.now()
        canary = await lab.recipient(until=started + DAY)
        organisations = lab.register.organisations
        handles = [organisations[one.id].handle for one in (before, canary)]
        keep(lab.folder, Begun("ab" * 16, started, [], [*handles, "never-came"]))
        await _end(lab)
        (noted,) = lab.of(DrillNoted)
        assert noted.recipients == (canary.id,)
        assert lab.register.state.links[canary.link.id].ended
        assert not lab.register.state.links[before.link.id].ended


async def test_a_folder_that_was_not_a_drills_is_not_removed(tmp_path: Path) -> None:
    async with world(tmp_path) as lab:
        (own := tmp_path / "own").mkdir()
        keep(lab.folder, Begun("ab" * 16, lab.clock.now(), root=str(own)))
        await _end(lab)
        assert own.exists() and broken_off(lab.folder) is None


async def test_two_drills_are_not_held_at_once(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.settings.touch()
    first, second = alone(folder), alone(folder)
    with first, pytest.raises(BailmentError, match="held already"), second:
        raise AssertionError
    with alone(folder):
        pass


async def test_what_no_drill_wrote_is_not_taken_for_a_drill(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"recipient": "link"}')
    with pytest.raises(BailmentError, match="not what a drill writes"):
        broken_off(Folder(tmp_path))


async def test_a_recipient_without_an_answer_breaks_a_drill_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bailment.drills.breach.canaries._PATIENCE", 0.01)
    monkeypatch.setattr("bailment.drills.breach.canaries.BailmentAuth", lambda *_: None)
    monkeypatch.setattr(Holder, "_work", lambda _: None)
    holder = Holder(SimpleNamespace(device=None), None, "m", 1.0)  # type: ignore[arg-type]
    with pytest.raises(BailmentError, match="had no answer"), holder.at_work():
        raise AssertionError
