"""The lab's acts: an issuer in front of two models, its spec, and a model's tier."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bailment.drills import local_model, papers
from bailment.drills.local_model import CANARY, NAME
from bailment.drills.stage import Stage, listeners
from bailment.drills.story import Story, expect

_MODEL = f"""
[models.{NAME}]
url = "unix://{{socket}}"
key_file = "{NAME}.key"
context = {local_model.CONTEXT}
output = 2048

[models.{NAME}.meter]
seconds = 2.0
"""
_CANARY = f"""
[models.{CANARY}]
url = "unix://{{socket}}"
key_file = "{CANARY}.key"
context = {local_model.CONTEXT}
output = 2048
canary = true

[models.{CANARY}.meter]
seconds = 2.0
"""
_OUTBOUND = """
[outbound]
hosts = ["127.0.0.1"] # the simulated identity providers, which a real one would never allow
"""
_ASSESSOR = """
[assessors.demonstration]
key = "assessor.pem"
simulated = true
"""


@dataclass(slots=True)
class Lab:
    """What the lab has: its log's public key, the models' keys and processes, an assessor."""

    stage: Stage
    vkey: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    models: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    assessor: papers.Assessor = field(default_factory=papers.Assessor)

    def set_up(self, story: Story) -> None:
        """Start it all; the models load while the rest goes on."""
        stage = self.stage
        with story.step("A lab starts an issuer in front of a model that only it can reach"):
            self._load(NAME)
            self.vkey = stage.run(
                "init", str(stage.issuer), "--origin", "lab.example/demo", "--contact",
                "security@lab.example", "--url", stage.url, "--port", str(stage.port),
            ).strip()  # fmt: skip
            story.says(f"the log's public key, which others pin: {self.vkey}")
            self._load(CANARY)
            self._write_settings()
            stage.start("serve", log="issuer")
            stage.wait_ready(30)
            self.wait_for(NAME)
            story.says(f"{NAME} answers on a unix socket and on no port at all")

    def publish(self, story: Story) -> None:
        """Say what must be proven."""
        stage = self.stage
        spec, plan = str(stage.root / "spec.yaml"), str(stage.root / "plan.json")
        with story.step("It says what a recipient must prove: eight requirements, in three tiers"):
            papers.write_spec(stage.root / "spec.yaml")
            story.says(stage.run("spec", "plan", spec, "--out", plan, ends=10))
            story.says(stage.run("spec", "apply", plan))

    def decide(self, story: Story) -> None:
        """Put the model into its tier."""
        stage = self.stage
        ines, results = str(stage.root / "ines"), stage.root / "results.json"
        with story.step("A person decides which tier the model is, on an evaluation's results"):
            results.write_bytes(papers.results(NAME, datetime.now(UTC)))
            stage.run("approver", "key", ines)
            stage.run("approver", "add", "ines", "--key", f"{ines}/approver.jwk")
            said = stage.run(
                "model", "tier", NAME, "T3", "--results", str(results), "--key", ines, "--reason",
                "the result proposes it (it is simulated: no model this small could)",
            )  # fmt: skip
            story.says(said)

    def wait_for(self, model: str) -> None:
        """Until a model has loaded; it must listen nowhere but on its socket."""
        process = self.models[model]
        self.stage.wait_for_line(process, "ready", 60)
        expect(not listeners(process.pid), f"{model} listens on a TCP port")

    def _load(self, model: str) -> None:
        self.keys[model], self.models[model] = self.stage.start_model(model)

    def _write_settings(self) -> None:
        """Tell the issuer of its models and of an assessor, as an operator would in an editor."""
        folder = self.stage.issuer
        for model, key in self.keys.items():
            secret = folder / f"{model}.key"
            secret.touch(mode=0o600)
            secret.write_text(key + "\n")
        (folder / "assessor.pem").write_bytes(self.assessor.pem)
        with (folder / "bailment.toml").open("a") as file:
            file.write(_MODEL.format(socket=self.stage.socket_of(NAME)))
            file.write(_CANARY.format(socket=self.stage.socket_of(CANARY)))
            file.write(_ASSESSOR)
            file.write(_OUTBOUND)
