"""The acts in which somebody misuses what was entrusted, and an outsider checks it all."""

from __future__ import annotations

import time

from bailment.drills import attacks, calls
from bailment.drills.lab import Lab
from bailment.drills.local_model import NAME
from bailment.drills.recipient import Recipient
from bailment.drills.stage import NotAsTold, Stage
from bailment.drills.story import Story, expect


def misuse(story: Story, lab: Lab, acme: Recipient, endpoint: calls.Endpoint) -> None:
    """A thief, a careless insider, a suspicion."""
    stage, email = lab.stage, acme.of.email
    with story.step("A thief has her access token, but not her key"):
        for how, status, reason in attacks.replay_token(stage):
            story.says(f"{how}: {status} {reason}")
            expect(status == 401, f"the gateway answered {status} {reason}")
        rows = stage.run_json("access", "list", "--since", "5m", "--person", email)
        named = [row for row in rows if row["reason"].startswith("proof-")]
        expect(named, "no refusal in the log names whose token it was")
        story.says(f"in the log: {named[-1]['name']}'s token, refused: {named[-1]['reason']}")
    with story.step("Something was unusual, so she has to sign in again; a thief could not"):
        refused = _asked(endpoint)
        story.says(refused)
        story.says(acme.sign_in())
        refused = calls.refusal(endpoint)
        expect(not refused, f"Maria has signed in and is refused: {refused}")
        story.says("Maria: answered")
    with story.step("Somebody calls the model around the gateway"):
        attacks.call_around(stage, lab.keys[NAME])
        story.says("the gateway holds the model's own counters against the log every 2 s")
        story.says(attacks.wait_for_finding(stage, "around-the-gateway", 60))
    with story.step("Maria is put on hold while a stream is on its way to her"):
        error = calls.stream_until_cut(
            endpoint,
            lambda: stage.run("hold", "add", f"person:{email}", "--reason", "suspicion"),
        )
        story.says(f"the SDK raises {error}")
        refused = calls.refusal(endpoint)
        expect("held" in refused, f"after the hold the SDK saw: {refused or 'an answer'}")
        story.says(f"and the next call: {refused}")
        stage.run("hold", "lift", f"person:{email}", "--reason", "it was the demonstration")


def _asked(endpoint: calls.Endpoint) -> str:
    """What she is told, once she is asked."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if refused := calls.refusal(endpoint):
            expect("sign-in-too-old" in refused, f"Maria saw: {refused}")
            return refused
        time.sleep(0.1)
    raise NotAsTold("a token in other hands, and nobody is asked to sign in again")


def examine(story: Story, stage: Stage, vkey: str) -> None:
    """Who did what, and an outsider's audit of it."""
    with story.step("Who did what"):
        story.says(stage.run("access", "list", "--since", "10m"))
    with story.step("An outsider checks all of it, from an export and the pinned key alone"):
        export = str(stage.root / "export")
        stage.run("log", "export", export)
        story.says(stage.run("log", "audit", export, "--key", vkey))
