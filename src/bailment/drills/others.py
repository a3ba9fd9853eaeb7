"""Brook's and cove's acts: one cannot earn the tier, the other loses it while one watches."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bailment.drills import calls, earning, papers
from bailment.drills.lab import Lab
from bailment.drills.local_model import CANARY
from bailment.drills.recipient import Recipient
from bailment.drills.stage import NotAsTold
from bailment.drills.story import Story, expect

BROOK = papers.Organisation("brook", "Ben Okafor", "ben@brook.example")
COVE = papers.Organisation("cove", "Cleo Marin", "cleo@cove.example")

#: How old a roster may be, by the spec.
_FRESH = timedelta(days=1)
#: How long before the expiry the last call begins, and at the latest the stream, seconds.
_LAST, _STREAM = 0.2, 4.0


def join(story: Story, lab: Lab) -> tuple[calls.Endpoint, calls.Endpoint]:
    """Brook and cove do as acme did; their agents' endpoints."""
    with (
        story.step("Brook and cove register, enrol and rehearse in the same way"),
        ThreadPoolExecutor(2) as pool,
    ):
        brook, cove = (
            pool.submit(_join, Recipient(lab.stage, of, quiet=True)) for of in (BROOK, COVE)
        )
        return brook.result(), cove.result()


def _join(recipient: Recipient) -> calls.Endpoint:
    recipient.register()
    recipient.employ()
    recipient.enrol()
    endpoint = recipient.agent()
    name, call = calls.REHEARSAL[0]
    calls.made(name, call, replace(endpoint, model=CANARY))
    recipient.stage.run("drill", "revoke", recipient.name, "--profile", recipient.name, quiet=True)
    return endpoint


def fail(story: Story, lab: Lab, endpoint: calls.Endpoint) -> None:
    """Brook's sign-in can be phished, as its own scanner says."""
    stage, brook = lab.stage, Recipient(lab.stage, BROOK)
    scan = stage.root / "brook-scan.json"
    with story.step("Brook scans its own tenant, and knows before it sends anything"):
        scan.write_bytes(papers.scan(BROOK, datetime.now(UTC), resistant=False))
        said = stage.run(
            "evidence", "preflight", str(scan), "--spec", str(stage.root / "spec.yaml"),
            "--scope", BROOK.tenant, ends=1,
        )  # fmt: skip
        story.says(said)
        expect("AM-7 fails" in said, "preflight does not say what fails")
    with story.step("It sends the scan all the same, and is refused for what the scan says"):
        story.says(brook.submit(scan.name.removeprefix("brook-"), scan.read_bytes(), "scuba.entra"))
        refused = calls.refusal(endpoint)
        expect("AM-7 failed" in refused, f"the SDK saw: {refused or 'an answer'}")
        story.says(refused)
        said = brook.why()
        expect("next: AM-7" in said, "`why` does not name what to do first")
        story.says(said)


def lapse(story: Story, lab: Lab, endpoint: calls.Endpoint) -> None:
    """Cove earns T3 with a roster that is nearly too old."""
    cove = Recipient(lab.stage, COVE)
    with story.step("Cove earns T3 with yesterday's roster; the spec takes one for a day"):
        begun = time.monotonic()
        for line in earning.assess(lab, cove):
            story.says(line)
        spare = timedelta(seconds=6 + 2 * (time.monotonic() - begun))  # more on a slow machine
        end = datetime.now(UTC).replace(microsecond=0) + spare
        story.says(earning.enlist(cove, end - _FRESH))
        story.says(cove.why())
    with story.step("The roster grows too old, and the gateway refuses at that very moment"):
        _watch(story, endpoint, end)


def recover(story: Story, lab: Lab, endpoint: calls.Endpoint) -> None:
    """Cove hands in today's roster, and is let in again."""
    with story.step("Cove hands in today's roster, and has T3 back"):
        story.says(earning.enlist(Recipient(lab.stage, COVE), datetime.now(UTC)))
        refused = calls.refusal(endpoint)
        expect(not refused, f"with a new roster Cleo saw: {refused}")
        story.says("Cleo, of cove: answered")


def _watch(story: Story, endpoint: calls.Endpoint, end: datetime) -> None:
    """Call once a second until the end; a stream that is then on its way is cut."""
    with ThreadPoolExecutor(1) as pool:
        stream: Future[str] | None = None
        while (left := _seconds_to(end)) > _LAST:
            if stream is None and left < _STREAM:
                stream = pool.submit(calls.stream_until_cut, endpoint, lambda: None)
            refused = calls.refusal(endpoint)
            if refused:  # a call that began before the end may be looked at after it
                early = _seconds_to(end)
                expect(early <= 0, f"refused {early:.1f} s before the end: {refused}")
                break
            story.says(f"{left:4.1f} s before: answered")
            time.sleep(max(0.0, min(1.0, _seconds_to(end) - _LAST)))
        time.sleep(max(0.0, _seconds_to(end)))
        refused = calls.refusal(endpoint)
        late = -_seconds_to(end)
        expect("AM-1 expired" in refused, f"after the end the SDK saw: {refused or 'an answer'}")
        story.says(f"{late:4.1f} s after: {refused}")
        if stream is None:
            raise NotAsTold("this machine is too slow to begin a stream before the end")
        story.says(f"the stream that was on its way: the SDK raises {stream.result()}")


def _seconds_to(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()
