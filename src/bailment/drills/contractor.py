"""A contractor's act: nobody until acme declares it, it proves what acme must, and is cut off."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from bailment.drills import calls, earning, papers
from bailment.drills.lab import Lab
from bailment.drills.local_model import CANARY, NAME
from bailment.drills.recipient import PURPOSE, Recipient
from bailment.drills.story import Story, expect

VALE = papers.Organisation("vale", "Vera Roth", "vera@vale.example")


def contract(story: Story, lab: Lab, acme: Recipient, maria: calls.Endpoint) -> None:
    """From nobody to a link, and to the end of it."""
    stage, vale = lab.stage, Recipient(lab.stage, VALE, quiet=True, above=acme.name)
    folder = str(stage.root / vale.name)
    with story.step("A contractor of acme's wants access, and nobody declared it"):
        stage.run("recipient", "key", folder)
        said = stage.run("delegate", "person", VALE.person, *vale.admin, ends=1)
        expect("`proof-key`" in said, f"the contractor was told: {said}")
        story.says(said)
    with story.step("Acme declares it, for less than acme has; it must prove T3 itself"):
        told = stage.run_json(
            "delegate", "subcontractor", vale.name, "--key", f"{folder}/admin.jwk", "--contact",
            f"soc@{VALE.domain}", "--model", NAME, "--model", CANARY, "--purpose", PURPOSE,
            "--tokens-per-day", "50000", *acme.admin,
        )  # fmt: skip
        vale.declare_enclave()
        vale.employ()
        vale.enrol()
        vera = vale.agent()
        refused = calls.refusal(vera)
        expect(f"the subcontractor {vale.handle}'s standing is" in refused, f"Vera saw: {refused}")
        story.says(refused)
    with story.step("It earns T3 as acme did"):
        name, call = calls.REHEARSAL[0]
        calls.made(name, call, replace(vera, model=CANARY))
        stage.run("drill", "revoke", vale.handle, "--profile", vale.name, quiet=True)
        for line in (*earning.assess(lab, vale), earning.enlist(vale, datetime.now(UTC))):
            story.says(line)
    with story.step(
        "The contract ends while a stream is on its way: one record, and Maria works on"
    ):
        _cut(story, lab, told["link"], vera)
        refused = calls.refusal(maria)
        expect(not refused, f"Maria is refused too: {refused}")
        story.says("Maria, of acme itself: answered")


def _cut(story: Story, lab: Lab, link: str, vera: calls.Endpoint) -> None:
    said: list[str] = []
    ended = ("link", "end", link, "--reason", "the contract is over")
    error = calls.stream_until_cut(vera, lambda: said.append(lab.stage.run(*ended)))
    story.says(said[0])
    measured = re.search(r"refused from [0-9.]+ ms .* cut, the last after [0-9.]+ ms: eff", said[0])
    expect(measured, "nobody says how soon the end was effective")
    story.says(f"the SDK raises {error}")
    refused = calls.refusal(vera)
    expect("link-ended" in refused, f"after the end Vera saw: {refused or 'an answer'}")
    story.says(f"and the next call: {refused}")
