"""Acme's acts: it is refused, rehearses, shows its papers, and earns the tier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from bailment.drills import calls, papers
from bailment.drills.lab import Lab
from bailment.drills.local_model import CANARY
from bailment.drills.recipient import Recipient
from bailment.drills.story import Story, expect

ACME = papers.Organisation("acme", "Maria Silva", "maria@acme.example")


def join(story: Story, acme: Recipient) -> calls.Endpoint:
    """Acme gets a person with a device and an agent."""
    with story.step("A recipient is registered; its admin's key stays with it"):
        acme.register()
        acme.employ()
    with story.step(
        "Its admin names a person, who enrols a device with a key that never leaves it"
    ):
        acme.enrol(story)
    with story.step("The agent signs for her; SDKs need a base URL and a key that works only here"):
        endpoint = acme.agent()
        story.says(f"OPENAI_BASE_URL={endpoint.openai_url}")
        story.says(f"ANTHROPIC_BASE_URL={endpoint.anthropic_url}")
    return endpoint


def earn(story: Story, lab: Lab, acme: Recipient, endpoint: calls.Endpoint) -> None:
    """From nothing to T3, each thing in its turn."""
    with story.step("The model is T3, and acme has proven nothing"):
        refused = calls.refusal(endpoint)
        for part in ("403", "AM-", "security@lab.example"):
            expect(part in refused, f"`{part}` is not in {refused or 'an answer'}")
        story.says(refused)
        story.says(acme.why())
    with story.step("It rehearses with a canary model, which asks for no tier"):
        lab.wait_for(CANARY)
        rehearse(story, endpoint)
    with story.step("The lab measures how fast it can revoke acme's access"):
        rehearsing = lab.stage.start("rehearse", CANARY, log="rehearsal")
        story.says(lab.stage.run("drill", "revoke", "acme"))
        seen = lab.stage.wait_for_line(rehearsing, "cut, refused", 30)
        story.says(f"what Maria saw: {seen}")
    with story.step("Acme hands in a roster, and what an assessor signed (it is simulated)"):
        for line in (*assess(lab, acme), enlist(acme, datetime.now(UTC))):
            story.says(line)
    with story.step("So acme has earned T3, and nobody gave it"):
        said = acme.why()
        story.says(said)
        expect("held" in said and "NOT HELD" not in said, "acme has not earned T3")


def rehearse(story: Story, endpoint: calls.Endpoint) -> None:
    """Use the canary by both SDKs, so that the gateway sees how."""
    canary = replace(endpoint, model=CANARY)
    for name, call in calls.REHEARSAL:
        story.says(f"{name:34} {calls.made(name, call, canary)[:60]}")
        story.generated()
    story.says(f"the first text came {story.first_text or 0:.1f} s after the start")


def assess(lab: Lab, recipient: Recipient) -> Iterator[str]:
    """Hand in what the assessor found at a recipient of good standing."""
    of, now, sign = recipient.of, datetime.now(UTC), lab.assessor.signed
    yield recipient.submit("scan.json", sign(papers.scan(of, now, resistant=True)), "scuba.entra")
    yield recipient.submit("soc2.json", sign(papers.assessment(of, now)), "report.soc2")


def enlist(recipient: Recipient, collected: datetime) -> str:
    """Hand in the roster that was collected then."""
    return recipient.submit("roster.json", papers.roster(recipient.of, collected), "idp.roster")


def talk(story: Story, endpoint: calls.Endpoint) -> None:
    """The model itself, in all dialects."""
    with story.step("The unmodified OpenAI and Anthropic SDKs talk to the model"):
        for name, call in calls.CALLS:
            story.says(f"{name:34} {calls.made(name, call, endpoint)[:60]}")
