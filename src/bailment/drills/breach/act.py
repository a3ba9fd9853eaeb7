"""The demonstration's last act: Cleo's access is passed on, and what becomes of that."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from bailment.agent.client import fetch_token
from bailment.agent.profile import KEY, PROFILE, load
from bailment.agent.ratchet import HANDLE
from bailment.drills import attacks, calls
from bailment.drills.breach.group import Group
from bailment.drills.breach.order import Loot, Order
from bailment.drills.breach.variants import VARIANTS, strangers
from bailment.drills.local_model import NAME
from bailment.drills.recipient import PURPOSE, Recipient
from bailment.drills.stage import Stage
from bailment.drills.story import Story, expect

_SECONDS, _PACE, _PEOPLE = 6.0, 0.4, 4


def breach(
    story: Story, cove: Recipient, endpoint: calls.Endpoint, bystander: calls.Endpoint
) -> None:
    """A token and a key in other hands, and the incident that follows; the bystander is let in
    before, and must be after."""
    stage = cove.stage
    profile = stage.root / "home" / ".config" / "bailment" / cove.name
    device = load(profile)
    token = asyncio.run(fetch_token(device, PURPOSE))
    with story.step("Four strangers are given the token of Cleo, of cove"):
        group = _play(stage, 0, "token", text=token)
        reasons = Counter(one.reason for one in group.tried)
        expect(all(one.status == 401 for one in group.tried), f"the gateway answered {reasons}")
        story.says(f"{len(group.tried)} requests, all refused: {', '.join(reasons)}")
        story.says(_kept(group))
        if calls.refusal(endpoint):
            story.says(f"and Cleo is asked to sign in again: {cove.sign_in()}")
    with story.step("Four strangers copy her device's key, each onto a machine of their own"):
        files = {name: (profile / name).read_text() for name in (KEY, PROFILE, HANDLE)}
        group = _play(stage, 2, "key", files=files)
        answers = sum(one.status == 200 for one in group.tried)
        told = (
            f"{len(group.tried)} requests, {answers} answered: each copy asks for tokens in a line"
        )
        story.says(f"{told} of its own, and two lines tell of two holders")
        story.says(attacks.wait_for_finding(stage, "ratchet-forked", 10))
        refused = calls.refusal(endpoint)
        expect(refused, "the device whose key was copied is still let in")
        story.says(
            f"nobody can tell which of them is Cleo, so her own device is cut too: {refused}"
        )
    _contain(story, stage, bystander, files)


def _play(stage: Stage, number: int, loot: Loot, text: str = "", **more: dict[str, str]) -> Group:
    own = stage.root / f"strangers-{number}"
    own.mkdir(mode=0o700)
    order = Order(
        loot=loot,
        gateway=stage.url,
        folder=str(stage.issuer),
        own=str(own),
        model=NAME,
        purpose=PURPOSE,
        strangers=strangers(VARIANTS[number], number)[:_PEOPLE],
        seconds=_SECONDS,
        pace=_PACE,
        text=text,
        **more,
    )
    group = Group(order)
    group.wait(_SECONDS + 60)
    return group


def _kept(group: Group) -> str:
    if group.protected is None:
        raise AssertionError("it said how it is kept")
    tried = group.protected.tried
    return f"their process ({group.protected.how}) was denied the issuer's {', '.join(tried)}"


def _contain(story: Story, stage: Stage, bystander: calls.Endpoint, files: dict[str, str]) -> None:
    with story.step("That is an incident: what could be reached, and what was"):
        finding = _finding(stage, "ratchet-forked")
        opened = stage.run_json("incident", "open", "--finding", finding)["incident"]
        said = stage.run("blast-radius", f"incident:{opened[:8]}")
        story.says(said)
    with story.step("The plan is shown with whom it cuts off, then carried out, then tried"):
        plan = str(stage.root / "containment.json")
        story.says(stage.run("contain", opened[:8], "--plan-out", plan))
        said = stage.run("contain", opened[:8], "--execute", plan)
        story.says(said)
        expect("1 of 1 credentials refused; 0 accesses open" in said, f"it said: {said}")
        group = _play(stage, 1, "key", files=files)
        reasons = Counter(one.reason for one in group.tried)
        expect(all(one.status == 403 for one in group.tried), f"the old key got {reasons}")
        story.says(f"the old key, tried again {len(group.tried)} times: {', '.join(reasons)}")
        refused = calls.refusal(bystander)
        expect(not refused, f"Maria of acme, who has nothing to do with it, saw: {refused}")
        story.says("not cut: Maria, of acme: answered")
        stage.run("incident", "close", opened[:8], "--reason", "contained; the device is replaced")


def _finding(stage: Stage, kind: str) -> str:
    found: list[dict[str, Any]] = stage.run_json("finding", "list", "--since", "10m", quiet=True)
    return str(next(one["finding"] for one in found if one["kind"] == kind))
