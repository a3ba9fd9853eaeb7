"""`bailment demo`: the whole story on one machine, with a real model, checked as it is told."""

from __future__ import annotations

import importlib
import importlib.util
import shlex
import shutil
import sys
import threading
import time
from pathlib import Path

import httpx2

from bailment.drills import calls, contractor, earning, misuse, others
from bailment.drills.breach import act
from bailment.drills.lab import Lab
from bailment.drills.local_model import NAME
from bailment.drills.recipient import Recipient
from bailment.drills.stage import NotAsTold, Stage
from bailment.drills.story import Story
from bailment.errors import ConfigurationError

_SDKS = ("openai", "anthropic")


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
        try:
            endpoint = _tell(story, stage)
        except httpx2.HTTPError as error:
            raise NotAsTold(f"a call failed: {error}; {stage.log('issuer')}") from error
        story.console.print(f"\nall of it went as it says, in {story.elapsed():.0f} s")
        if not once:
            _stay(story, stage, endpoint)


def _tell(story: Story, stage: Stage) -> calls.Endpoint:
    """Act by act; where Maria's SDKs call."""
    lab, acme = Lab(stage), Recipient(stage, earning.ACME)
    lab.set_up(story)
    lab.publish(story)
    lab.decide(story)
    endpoint = earning.join(story, acme)
    earning.earn(story, lab, acme, endpoint)
    earning.talk(story, endpoint)
    misuse.misuse(story, lab, acme, endpoint)
    brooks, coves = others.join(story, lab)
    others.fail(story, lab, brooks)
    others.lapse(story, lab, coves)
    contractor.contract(story, lab, acme, endpoint)
    misuse.examine(story, stage, lab.vkey)
    others.recover(story, lab, coves)
    act.breach(story, Recipient(stage, others.COVE, quiet=True), coves, endpoint)
    return endpoint


def _load_sdks() -> None:
    for name in _SDKS:
        importlib.import_module(name)


def _stay(story: Story, stage: Stage, endpoint: calls.Endpoint) -> None:
    story.console.print("\nit stays up; in another terminal, try:\n")
    ask = f"openai.OpenAI().responses.create(model='{NAME}', input='Hello')"
    programs = Path(sys.executable).parent
    known = shutil.which("bailment") == str(programs / "bailment")
    for line in (
        *([] if known else [f'export PATH={shlex.quote(str(programs))}:"$PATH"']),
        f"export BAILMENT_DIR={stage.issuer}",
        f"export OPENAI_BASE_URL={endpoint.openai_url} OPENAI_API_KEY={endpoint.capability}",
        f"export ANTHROPIC_BASE_URL={endpoint.anthropic_url} ANTHROPIC_API_KEY=$OPENAI_API_KEY",
        f'python -c "import openai; print({ask}.output_text)"',
        "bailment standing list",
        "bailment why brook T3",
        "bailment access list --since 1h",
        f"bailment hold add person:{earning.ACME.email} --reason 'trying it out'",
        "bailment hold list",
        f"bailment hold lift person:{earning.ACME.email} --reason 'tried it out'",
        "bailment finding list",
        "bailment incident list",
        "bailment blast-radius recipient:cove",
        "bailment drill run breach-2026 --live --seconds 15",
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
