"""`bailment demo`: the whole story on one machine, with a real model, checked as it is told."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx2

from bailment.drills import attacks, calls, local_model
from bailment.drills.stage import NotAsTold, Stage, listeners, write_settings
from bailment.drills.story import Story, expect
from bailment.errors import ConfigurationError

MARIA = "maria@acme.example"
PURPOSE = "vulnerability-research"
_SDKS = ("openai", "anthropic")


@dataclass(slots=True)
class Cast:
    """What the acts have brought about so far."""

    vkey: str = ""
    model_key: str = ""
    model: subprocess.Popen[str] | None = None
    sdk: calls.Endpoint | None = None


def demo(*, once: bool) -> None:
    """Tell and check the story; without `once`, stay up until interrupted."""
    for name in ("xllamacpp", *_SDKS):
        if importlib.util.find_spec(name) is None:
            raise ConfigurationError(
                f"`{name}` is not installed, which the demonstration needs",
                hint="`make demo` in a clone of the project installs it",
            )
    story = Story()
    # Large, and not needed before the others are ready.
    threading.Thread(target=_load_sdks, daemon=True).start()
    with Stage(story.typed) as stage:
        story.says(f"everything happens in {stage.root}, which is removed at the end")
        found = Cast()
        try:
            _set_up(story, stage, found)
            _enrol(story, stage, found)
            endpoint = cast(calls.Endpoint, found.sdk)
            _use(story, endpoint)
            _misuse(story, stage, found, endpoint)
            _examine(story, stage, found)
        except httpx2.HTTPError as error:
            raise NotAsTold(f"a call failed: {error}; {stage.log('issuer')}") from error
        story.console.print(f"\nall of it went as it says, in {story.elapsed():.0f} s")
        if not once:
            _stay(story, stage, endpoint)


def _load_sdks() -> None:
    for name in _SDKS:
        importlib.import_module(name)


def _set_up(story: Story, stage: Stage, found: Cast) -> None:
    with story.step("A lab starts an issuer in front of a model that only it can reach"):
        found.model_key, found.model = stage.start_model()  # which loads while the rest goes on
        found.vkey = stage.run(
            "init", str(stage.issuer), "--origin", "lab.example/demo", "--contact",
            "security@lab.example", "--url", stage.url, "--port", str(stage.port),
        ).strip()  # fmt: skip
        story.says(f"the log's public key, which others pin: {found.vkey}")
        write_settings(stage, found.model_key)
        stage.start("serve", log="issuer")
        stage.wait_ready(30)
        stage.wait_for_line(found.model, "ready", 60)
        expect(not listeners(found.model.pid), "the model listens on a TCP port")
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
        enrolling = stage.start("enrol", invited["invitation"]["url"], log="enrolment")
        code = stage.wait_for_line(enrolling, "code: ", 20).partition("code: ")[2]
        story.says(f"the device shows {code}; Maria tells it to her admin, who confirms")
        stage.run("delegate", "device", code, "--yes", "--admin", admin, *gateway)
        expect(enrolling.wait(20) == 0, f"enrolment failed: {stage.log('enrolment')}")
    with story.step("The agent signs for her; SDKs need a base URL and a key that works only here"):
        agent = stage.start("agent", "--purpose", PURPOSE, log="agent")
        found.sdk = calls.Endpoint.of(_environment(stage, agent))
        story.says(f"OPENAI_BASE_URL={found.sdk.openai_url}")
        story.says(f"ANTHROPIC_BASE_URL={found.sdk.anthropic_url}")


def _use(story: Story, endpoint: calls.Endpoint) -> None:
    with story.step("The unmodified OpenAI and Anthropic SDKs talk to the model"):
        for name, call in calls.CALLS:
            said = calls.made(name, call, endpoint)
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
        story.says("the gateway holds the model's own counters against the log every 2 s")
        story.says(attacks.wait_for_finding(stage, "around-the-gateway", 60))
    with story.step("Maria is put on hold while a stream is on its way to her"):
        error = calls.stream_until_cut(
            endpoint,
            lambda: stage.run("hold", "add", f"person:{MARIA}", "--reason", "suspicion"),
        )
        story.says(f"the SDK raises {error}")
        refused = calls.refusal(endpoint)
        expect("held" in refused, f"after the hold the SDK saw: {refused}")
        story.says(f"and the next call: {refused}")
        stage.run("hold", "lift", f"person:{MARIA}", "--reason", "it was the demonstration")


def _examine(story: Story, stage: Stage, found: Cast) -> None:
    with story.step("Who did what"):
        story.says(stage.run("access", "list", "--since", "10m"))
    with story.step("An outsider checks all of it, from an export and the pinned key alone"):
        export = str(stage.root / "export")
        stage.run("log", "export", export)
        story.says(stage.run("log", "audit", export, "--key", found.vkey))


def _stay(story: Story, stage: Stage, endpoint: calls.Endpoint) -> None:
    story.console.print("\nit stays up; in another terminal, try:\n")
    ask = f"openai.OpenAI().responses.create(model='{local_model.NAME}', input='Hello')"
    programs = Path(sys.executable).parent
    known = shutil.which("bailment") == str(programs / "bailment")
    for line in (
        *([] if known else [f'export PATH={shlex.quote(str(programs))}:"$PATH"']),
        f"export BAILMENT_DIR={stage.issuer}",
        f"export OPENAI_BASE_URL={endpoint.openai_url} OPENAI_API_KEY={endpoint.capability}",
        f"export ANTHROPIC_BASE_URL={endpoint.anthropic_url} ANTHROPIC_API_KEY=$OPENAI_API_KEY",
        f'python -c "import openai; print({ask}.output_text)"',
        "bailment access list --since 1h",
        f"bailment hold add person:{MARIA} --reason 'trying it out'",
        "bailment hold list",
        f"bailment hold lift person:{MARIA} --reason 'tried it out'",
        "bailment log receipt 0 --out receipt && bailment log verify receipt --key "
        '"$(bailment log vkey)"',
        "bailment doctor",
    ):
        story.says(line, "cyan")
    story.console.print("\nCtrl-C ends it")
    try:
        while True:
            time.sleep(1)
            stage.check()
    except KeyboardInterrupt:
        story.console.print("stopping")


def _environment(stage: Stage, agent: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that `bailment agent` prints for its user."""
    found: dict[str, str] = {}
    while "ANTHROPIC_API_KEY" not in found:
        line = stage.wait_for_line(agent, "=", 20).removeprefix("export ")
        name, _, value = line.partition("=")
        found[name] = value.strip("'\"")
    os.environ |= {name: value for name, value in found.items() if name.lower() == "no_proxy"}
    return found
