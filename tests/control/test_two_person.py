"""The two-person rule, asked of a whole issuer: who counts, for what, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bailment.control.actions import Actions
from bailment.control.effect import Effects
from bailment.ledger.operator_records import ActApproved, ActProposed
from bailment.ledger.records import HoldAdded, HoldLifted

from ..world import DAY, World, world
from .people import Human, Signer, apply_spec, approver, operator

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return ("asyncio", {"use_uvloop": True})


class Lab:
    """An issuer with a spec that asks for two people, two approvers and two operators."""

    world: World
    ada: Signer
    bob: Signer
    eve: Human
    sam: Human


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with world(tmp_path_factory.mktemp("lab")) as made:
        found = Lab()
        found.world = made
        await apply_spec(made, "hold-everything", "lift-everything", "operator-change")
        found.ada, found.bob = await approver(made, "ada"), await approver(made, "bob")
        both = found.ada, found.bob
        found.eve = await operator(made, "issuer-security", "Eve", *both)
        found.sam = await operator(made, "issuer-approver", "Sam", *both)
        yield found
        for human in (found.eve, found.sam):
            await human.http.aclose()


async def act(lab: Lab, **members: Any) -> Any:
    return await lab.world.console.post("http://console/act", json={"author": "root", **members})


async def held(lab: Lab, subject: str = "everything") -> str:
    """What was proposed: a hold."""
    sent = await act(lab, act="hold-add", subject=subject, reason="a test")
    assert sent.status_code == 202, sent.text
    told = sent.json()
    assert told["act"] == "hold-everything"
    assert told["people"] == 2
    assert told["url"] == f"{lab.world.url}/console/acts/{told['proposed']}"
    found: str = told["proposed"]
    return found


def on_hold(lab: Lab) -> bool:
    return any(one.subject == "everything" for one in lab.world.register.state.holds.values())


async def lifted(lab: Lab) -> None:
    """End the hold on everything, by both approvers."""
    hold = next(iter(lab.world.register.holds_on["everything"])).hold
    sent = await act(lab, act="hold-lift", hold=hold, reason="over")
    proposal = sent.json()["proposed"]
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    assert (await lab.bob.sign(proposal)).json()["missing"] == 0
    assert not on_hold(lab)


async def test_an_act_of_two_waits_for_two_signatures_and_the_records_prove_who(lab: Lab) -> None:
    since = lab.world.size
    proposal = await held(lab)
    assert not on_hold(lab)
    first = await lab.ada.sign(proposal)
    assert (first.json()["missing"], on_hold(lab)) == (1, False)
    second = await lab.bob.sign(proposal)
    assert (second.json()["missing"], on_hold(lab)) == (0, True)
    assert second.json()["done"]["hold"]
    (hold,) = lab.world.of(HoldAdded, since)
    assert hold.approval == proposal
    (told,) = lab.world.of(ActProposed, since)
    facts = {"hold": hold.hold, "subject": "everything", "reason": "a test", "author": "root"}
    assert told.act["facts"] == facts
    assert [one.by for one in lab.world.of(ActApproved, since)] == ["approver:ada", "approver:bob"]
    assert proposal not in lab.world.register.state.proposals
    await lifted(lab)
    assert lab.world.of(HoldLifted, since)[0].approval


async def test_a_passkey_and_a_key_are_two_people(lab: Lab) -> None:
    proposal = await held(lab)
    assert (await lab.sam.sign(proposal)).json()["missing"] == 1
    assert (await lab.ada.sign(proposal)).json()["missing"] == 0
    assert on_hold(lab)
    await lifted(lab)


async def test_nobody_signs_twice(lab: Lab) -> None:
    proposal = await held(lab)
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    assert (await lab.sam.sign(proposal)).json()["missing"] == 0
    await lifted(lab)


async def test_the_author_who_signs_in_the_browser_is_one_person_and_no_more(lab: Lab) -> None:
    proposal = await lab.eve.propose_hold("everything")
    assert (await lab.eve.sign(proposal)).json()["missing"] == 1
    again = await lab.eve.sign(proposal)
    assert (again.status_code, again.json()["reason"]) == (403, "approval-missing")
    assert not on_hold(lab)
    assert (await lab.sam.sign(proposal)).json()["missing"] == 0
    assert on_hold(lab)
    await lifted(lab)


async def test_one_human_with_a_key_and_a_passkey_is_one_person(lab: Lab) -> None:
    both = lab.ada, lab.bob
    same = await operator(lab.world, "issuer-approver", "Ada herself", *both, approver="ada")
    proposal = await held(lab)
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    refused = await same.sign(proposal)
    assert refused.json()["reason"] == "approval-missing"
    assert not on_hold(lab)
    await same.http.aclose()


async def test_a_signature_over_another_act_does_not_count(lab: Lab) -> None:
    one, other = await held(lab), await held(lab)
    sent = await lab.ada.sign(other, lab.ada.signature(one))
    assert (sent.status_code, sent.json()["detail"]) == (403, "another act was signed")


async def test_a_signature_by_another_key_does_not_count(lab: Lab) -> None:
    proposal = await held(lab)
    for sent in (
        await lab.ada.sign(proposal, lab.bob.signature(proposal)),
        await Signer(lab.world, "mallory").sign(proposal),
        await Signer(lab.world, "ada").sign(proposal),
    ):
        assert sent.status_code == 403
    assert lab.world.register.state.proposals[proposal].by == []


async def test_an_expired_proposal_takes_no_signature(lab: Lab) -> None:
    proposal = await held(lab)
    lab.world.clock.ahead += DAY
    sent = await lab.ada.sign(proposal)
    assert (sent.status_code, sent.json()["reason"]) == (403, "approval-missing")
    await lab.eve.sign_in()
    await lab.sam.sign_in()


async def test_a_proposal_that_was_withdrawn_takes_no_signature(lab: Lab) -> None:
    proposal = await held(lab)
    assert (await act(lab, act="act-withdraw", proposal=proposal, reason="no")).status_code == 200
    assert (await lab.ada.sign(proposal)).status_code == 403


async def test_the_record_itself_is_refused_without_its_approval(lab: Lab) -> None:
    register, now = lab.world.register, lab.world.clock.now()
    hold = HoldAdded("0" * 32, "everything", "x", "root")
    refused = register.check(hold, now)
    assert (refused.reason, refused.detail) == (
        "approval-missing",
        "`hold-everything` takes 2 people who sign",
    )
    proposal = await held(lab)
    await lab.ada.sign(proposal)
    known = register.state.proposals[proposal].act["facts"]
    for facts, detail in (
        (HoldAdded(**known, approval=proposal), "one person must still sign"),
        (HoldAdded("0" * 32, "everything", "x", "root", approval=proposal), "what was approved"),
        (HoldAdded(**known, approval="0" * 32), "the proposal is unknown"),
    ):
        assert register.check(facts, now).detail.startswith(detail)


async def test_who_is_no_operator_any_more_does_not_count(lab: Lab) -> None:
    both = lab.ada, lab.bob
    gone = await operator(lab.world, "issuer-approver", "Gone", *both)
    proposal = await held(lab)
    assert (await gone.sign(proposal)).json()["missing"] == 1
    ended = await act(lab, act="operator-end", operator=gone.id, reason="left")
    for one in both:
        await one.sign(ended.json()["proposed"])
    assert (await gone.get("/console/")).status_code == 303
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    assert not on_hold(lab)
    await gone.http.aclose()


async def test_another_approver_takes_two_of_those_there_are(lab: Lab) -> None:
    known = Signer(lab.world, "carl")
    sent = await act(lab, act="approver-add", approver="carl", key=known.public.jwk)
    assert sent.status_code in (202, 403)
    assert "carl" not in lab.world.register.state.approvers


async def test_with_nobody_to_sign_what_stops_goes_ahead_and_what_opens_does_not(
    tmp_path: Any,
) -> None:
    async with world(tmp_path) as made:
        await apply_spec(made, "hold-everything", "lift-everything")
        hold = await made.hold("everything")
        value = {"act": "hold-lift", "author": "root", "hold": hold, "reason": "x"}
        sent = await made.console.post("http://console/act", json=value)
        assert sent.json()["detail"] == "`lift-everything` takes 2 people, and 0 can sign"


async def test_an_organisation_s_proposals_do_not_keep_the_issuer_from_acting(
    tmp_path: Any,
) -> None:
    async with world(tmp_path) as made:
        acme = await made.recipient()
        await apply_spec(made, "person-name", "hold-everything")
        for name in ("ada", "bo"):
            await approver(made, name)
        admin = await operator(made, "recipient-admin", "Nina", organisation=acme.id)
        await admin.http.aclose()
        for number in range(33):
            sent = await acme.grant(acme.below("person"), {"name": f"Person {number}"})
            assert sent.status_code == (202 if number < 32 else 403), sent.text
            assert number < 32 or sent.json()["detail"].startswith("32 proposals are open: sign or")
        value = {"act": "hold-add", "author": "root", "subject": "everything", "reason": "x"}
        assert (await made.console.post("http://console/act", json=value)).status_code == 202


async def test_who_signs_waits_for_no_other_acts_effect(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, told, of = asyncio.Event(), asyncio.Event(), Effects.of

    async def slowly(self: Effects, appending: Any) -> Any:
        effect = await of(self, appending)
        begun.set()
        await told.wait()
        return effect

    monkeypatch.setattr(Effects, "of", slowly)
    first, second = await held(lab), await held(lab)
    assert (await lab.ada.sign(first)).json()["missing"] == 1
    last = asyncio.create_task(lab.bob.sign(first))
    await begun.wait()
    assert (await lab.ada.sign(second)).json()["missing"] == 1
    assert not last.done()
    told.set()
    assert (await last).json()["missing"] == 0
    await act(lab, act="act-withdraw", proposal=second, reason="over")
    await lifted(lab)


async def test_a_group_that_changes_while_the_last_one_signs_is_not_cut(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme = await lab.world.recipient()
    shown = (await act(lab, act="hold-preview", subject="everything")).json()["selects"]
    sent = await act(lab, act="hold-add", subject="everything", reason="a test", selects=shown)
    proposal = sent.json()["proposed"]
    assert (await lab.ada.sign(proposal)).json()["missing"] == 1
    append = Actions.append

    async def slowly(self: Actions, make: Any, **more: Any) -> Any:
        """The register changes after the hold was made, and it is made anew."""
        if more.get("urgent"):
            monkeypatch.undo()
            make(lab.world.clock.now())
            await acme.person("Nina")
        return await append(self, make, **more)

    monkeypatch.setattr(Actions, "append", slowly)
    refused = await lab.bob.sign(proposal)
    assert (refused.status_code, "changed since" in refused.json()["detail"]) == (403, True)
    assert not on_hold(lab)
    await act(lab, act="act-withdraw", proposal=proposal, reason="over")
