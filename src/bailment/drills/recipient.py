"""A recipient of the story: its admin, its one person with a device, and its papers."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from bailment.drills import browser, calls, employer
from bailment.drills.local_model import CANARY, NAME
from bailment.drills.papers import Organisation
from bailment.drills.stage import Stage
from bailment.drills.story import Story, expect

PURPOSE = "vulnerability-research"


@dataclass(slots=True)
class Recipient:
    """What it types; `quiet` where the story has shown the like before. `above` is the handle of
    the recipient whose contractor it is, if it is one."""

    stage: Stage
    of: Organisation
    quiet: bool = False
    above: str = ""

    @property
    def name(self) -> str:
        return self.of.name

    @property
    def handle(self) -> str:
        """What the lab calls it."""
        return f"{self.above}/{self.name}" if self.above else self.name

    @property
    def admin(self) -> tuple[str, ...]:
        """What its admin's commands end with."""
        return ("--admin", str(self.stage.root / self.name), "--gateway", self.stage.url)

    def register(self) -> None:
        """The lab registers it, for both models, and which enclave evidence must be about."""
        folder = str(self.stage.root / self.name)
        self._run("recipient", "key", folder)
        self._run(
            "recipient", "add", self.name, "--key", f"{folder}/admin.jwk", "--contact",
            f"soc@{self.of.domain}", "--model", NAME, "--model", CANARY, "--purpose", PURPOSE,
            "--depth", "1",
        )  # fmt: skip
        self.declare_enclave()

    def declare_enclave(self) -> None:
        """The lab notes which enclave evidence must be about."""
        scopes = ("--tenant", self.of.tenant, "--org", self.of.domain)
        self._run("recipient", "enclave", self.handle, *scopes)

    def employ(self) -> None:
        """Its admin says where its people sign in: at its own provider, which is simulated."""
        folder = self.stage.root / f"{self.name}-provider"
        people = (employer.Account(f"{self.name}-1", self.of.email),)
        employer.write(folder, employer.Directory(people=people))
        issuer = self.stage.start_employer(folder, f"{self.name}-provider")
        command = ("recipient", "provider", issuer, "--client", "bailment", "--auth", "none")
        told = self._json(*command, *self.admin)
        known = {"bailment": employer.Client((told["redirect_uri"],))}
        employer.write(folder, employer.Directory(known, people))

    def enrol(self, story: Story | None = None) -> None:
        """Its admin names its person, who signs in and enrols a device."""
        stage, log = self.stage, f"{self.name}-enrolment"
        invited = self._json(
            "delegate", "person", self.of.person, "--email", self.of.email, "--until", "29d",
            *self.admin,
        )  # fmt: skip
        # In the environment, for others can read a command line.
        secret = {"BAILMENT_INVITATION": invited["invitation"]["url"]}
        # In a file, so that the story is the same on a machine with a TPM.
        command = ("enrol", "--key", "software", *self._profile())
        enrolling = stage.start(*command, log=log, quiet=self.quiet, **secret)
        page = stage.wait_for_line(enrolling, "sign in: ", 30).partition("sign in: ")[2]
        shown = browser.sign_in(page, self.of.email)
        expect("You are signed in" in shown, f"{self.of.email} is not signed in: {shown}")
        code = stage.wait_for_line(enrolling, "code: ", 30).partition("code: ")[2]
        if story is not None:
            story.says(f"she signs in at {self.name}'s provider (it is simulated): {shown[:17]}")
            story.says(f"the device shows {code}; the person tells it to the admin, who confirms")
        admin = ("--by", f"{self.name}'s admin", *self.admin)
        self._run("delegate", "device", code, "--yes", *admin)
        expect(enrolling.wait(30) == 0, f"enrolment failed: {stage.log(log)}")

    def sign_in(self) -> str:
        """Its person signs in again at its provider; what the device says of it."""
        log = f"{self.name}-sign-in"
        signing = self.stage.start("sign-in", *self._profile(), log=log, quiet=self.quiet)
        page = self.stage.wait_for_line(signing, "sign in: ", 30).partition("sign in: ")[2]
        browser.sign_in(page, self.of.email)
        said = self.stage.wait_for_line(signing, "signed in at", 30)
        expect(signing.wait(30) == 0, f"signing in failed: {self.stage.log(log)}")
        return said

    def agent(self) -> calls.Endpoint:
        """Its person's agent, for whose SDKs it prints the variables."""
        log = f"{self.name}-agent"
        command = ("agent", "--purpose", PURPOSE, *self._profile())
        return calls.Endpoint.of(
            _environment(self.stage, self.stage.start(*command, log=log, quiet=self.quiet))
        )

    def submit(self, paper: str, data: bytes, kind: str) -> str:
        """Hand a paper in, as its admin."""
        path = self.stage.root / f"{self.name}-{paper}"
        path.write_bytes(data)
        return self._run("evidence", "submit", kind, str(path), *self.admin)

    def why(self) -> str:
        """Why it holds T3, or does not."""
        return self._run("why", self.handle, "T3")

    def _profile(self) -> tuple[str, ...]:
        return ("--profile", self.name) if self.quiet else ()

    def _run(self, *arguments: str) -> str:
        return self.stage.run(*arguments, quiet=self.quiet)

    def _json(self, *arguments: str) -> Any:
        return self.stage.run_json(*arguments, quiet=self.quiet)


def _environment(stage: Stage, agent: subprocess.Popen[str]) -> dict[str, str]:
    """The variables that `bailment agent` prints for its user."""
    found: dict[str, str] = {}
    while "ANTHROPIC_API_KEY" not in found:
        line = stage.wait_for_line(agent, "=", 30).removeprefix("export ")
        name, _, value = line.partition("=")
        found[name] = value.strip("'\"")
    os.environ |= {name: value for name, value in found.items() if name.lower() == "no_proxy"}
    return found
