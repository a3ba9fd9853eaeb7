"""`bailment demo`: the whole story on one machine, with a real model, checked as it is told."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import cast

import httpx2

from bailment.drills import attacks, calls, local_model
from bailment.drills.stage import Stage, listeners, write_settings
from bailment.drills.story import Story, expect
from bailment.errors import BailmentError

MARIA = "maria@acme.example"
PURPOSE = "vulnerability-research"


@dataclass(slots=True)
class Cast:
    """What the acts have brought about so far."""

    vkey: str = ""
    model_key: str = ""
    model_pid: int = 0
    sdk: calls.Endpoint | None = None


def demo(*, once: bool) -> None:
    """Tell and check the story; without `once`, stay up until interrupted."""
    story = Story()
    with Stage(story.typed) as stage:
        story.says(f"everything happens in {stage.root}, which is yours to look at and delete")
        found = Cast()
        try:
            _set_up(story, stage, found)
            _enrol(story, stage, found)
            endpoint = cast(calls.Endpoint, found.sdk)
            _use(story, endpoint)
            _misuse(story, stage, found, endpoint)
            _examine(story, stage, found)
        except httpx2.HTTPError as error:
            raise BailmentError(f"a call failed: {error}; {stage.log('issuer')}") from error
        story.console.print(f"\nall of it went as it says, in {story.elapsed():.0f} s")
        if not once:
            _stay(story, stage, endpoint)


def _set_up(story: Story, stage: Stage, found: Cast) -> None:
    with story.step("A lab starts an issuer in front of a model that only it can reach"):
        found.model_key, model = stage.start_model()
        found.model_pid = model.pid
        found.vkey = stage.run(
            "init", str(stage.issuer), "--origin", "lab.example/demo", "--contact",
            "security@lab.example", "--url", stage.url, "--port", str(stage.port),
        ).strip()  # fmt: skip
        story.says(f"the log's public key, which others pin: {found.vkey}")
        write_settings(stage, found.model_key)
        stage.wait_for_line(model, "ready", 60)
        stage.start("serve", log="issuer")
        stage.wait_ready(30)
        expect(not listeners(model.pid), "the model listens on a TCP port")
        story.says(f"{local_model.NAME} answers on a unix socket and on no port at all")


def _enrol(story: Story, stage: Stage, found: Cast) -> None:
    admin, gateway = str(stage.root / "acme"), ("--gateway", stage.url)
    with story.step("A recipient is registered; its admin's key stays with it"):
        stage.run("recipient", "key", admin)
        stage.run(
            "recipient", "add", "acme", "--key", f"{admin}/admin.jwk", "--contact",
            "soc@acme.example", "--model", local_model.NAME, "--purpose", PURPOSE,
        )  # fmt: skip
    with story.step(
        "Its admin names a person, who enrols a device with a key that never leaves it"
    ):
        invited = stage.run_json(
            "delegate", "person", "Maria Silva", "--email", MARIA, "--until", "30d",
            "--admin", admin, *gateway,
        )  # fmt: skip
        enrolling = stage.start("enrol", invited["invitation"]["url"], log="enrol")
        code = stage.wait_for_line(enrolling, "code: ", 20).partition("code: ")[2]
        story.says(f"the device shows {code}; Maria tells it to her admin, who confirms")
        stage.run("delegate", "device", code, "--yes", "--admin", admin, *gateway)
        expect(enrolling.wait(20) == 0, f"enrolment failed: {stage.log('enrol')}")
    with story.step("The agent signs for her; SDKs need a base URL and a key that works only here"):
        agent = stage.start("agent", "--purpose", PURPOSE, log="agent")
        found.sdk = calls.Endpoint.of(_environment(stage, agent))
        story.says(f"OPENAI_BASE_URL={found.sdk.openai_url}")
        story.says(f"ANTHROPIC_BASE_URL={found.sdk.anthropic_url}")


def _use(story: Story, endpoint: calls.Endpoint) -> None:
    with story.step("The unmodified OpenAI and Anthropic SDKs talk to the model"):
        for name, call in calls.CALLS:
            said = " ".join(call(endpoint).split())
            expect(said, f"{name} said nothing")
            if story.first_text is None:
                story.first_text = story.elapsed()
            story.says(f"{name:34} {said[:60]}")
        story.says(f"the first text came {story.first_text or 0:.1f} s after the start")


def _misuse(story: Story, stage: Stage, found: Cast, endpoint: calls.Endpoint) -> None:
    with story.step("A thief has her access token, but not her key"):
        for how, status, reason in attacks.replay_token(stage):
            story.says(f"{how}: {status} {reason}")
            expect(status == 401, f"the gateway answered {status} {reason}")
        rows = stage.run_json("access", "list", "--since", "5m", "--person", MARIA)
        named = [row for row in rows if row["reason"].startswith("proof-")]
        expect(named, "no refusal in the log names whose token it was")
        story.says(f"in the log: {named[-1]['name']}'s token, refused: {named[-1]['reason']}")
    with story.step("Somebody calls the model around the gateway"):
        attacks.call_around(stage, found.model_key)
        finding = attacks.wait_for_finding(stage, "around-the-gateway", 60)
        story.says(finding)
    with story.step("Maria is put on hold while a stream is on its way to her"):
        error = calls.stream_until_cut(
            endpoint,
            lambda: stage.run("hold", "add", f"person:{MARIA}", "--reason", "suspicion"),
        )
        story.says(f"the SDK raises {error}")
        refused = calls.refusal(endpoint)
        expect("held" in refused, f"after the hold the SDK saw: {refused}")
        story.says(f"and the next call: {refused}")
        hold = stage.run_json("hold", "list")[0]["hold"]
        stage.run("hold", "lift", hold, "--reason", "it was the demonstration")


def _examine(story: Story, stage: Stage, found: Cast) -> None:
    with story.step("Who did what"):
        story.says(stage.run("access", "list", "--since", "10m"))
    with story.step("An outsider checks all of it, from an export and the pinned key alone"):
        export = str(stage.root / "export")
        stage.run("log", "export", export)
        story.says(stage.run("log", "audit", export, "--key", found.vkey))


def _stay(story: Story, stage: Stage, endpoint: calls.Endpoint) -> None:
    story.console.print("\nit stays up; in another terminal, try:\n")
    for line in (
        f"export BAILMENT_DIR={stage.issuer}",
        f"export OPENAI_BASE_URL={endpoint.openai_url} OPENAI_API_KEY={endpoint.capability}",
        f"export ANTHROPIC_BASE_URL={endpoint.anthropic_url} ANTHROPIC_API_KEY=$OPENAI_API_KEY",
        "bailment access list --since 1h",
        f"bailment hold add person:{MARIA} --reason 'trying it out'",
        "bailment log checkpoint",
        "bailment doctor",
    ):
        story.says(line, "cyan")
    story.console.print("\nCtrl-C ends it")
    try:
        subprocess.run(["sleep", "infinity"], check=False)  # noqa: S607
    except KeyboardInterrupt:
        story.console.print("stopping")


def _environment(stage: Stage, agent: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that `bailment agent` prints for its user."""
    found: dict[str, str] = {}
    while len(found) < 4:
        line = stage.wait_for_line(agent, "=", 20).removeprefix("export ")
        name, _, value = line.partition("=")
        found[name] = value.strip("'\"")
    return found
