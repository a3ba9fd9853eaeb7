"""What `bailment doctor --profile` looks at on an engineer's machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2

from bailment.agent import private
from bailment.agent.certificate import CERTIFICATE, read_certificate
from bailment.agent.client import GatewayClient, Status, fetch_token, transport, unreachable
from bailment.agent.profile import Device, load
from bailment.cli.checks import Finding, attempt
from bailment.cli.times import show_time
from bailment.errors import BailmentError, FormatError

_PATIENCE = 10.0


def examine_device(folder: Path) -> Iterator[Finding]:
    """Look at one thing after another; stop where the next makes no sense."""
    device: Device | None = None

    def read_profile() -> str:
        nonlocal device
        device = load(folder)
        kept = "private" if device.profile.key_class == "software" else "in the TPM"
        return f"device {device.profile.device} at {device.profile.gateway}, its key is {kept}"

    yield attempt("profile", read_profile)
    if device is None:
        return
    if (device.folder / CERTIFICATE).exists():
        yield attempt("certificate", lambda: _certificate(device))
    answer: httpx2.Response | None = None

    def reach() -> str:
        nonlocal answer
        answer = _get(f"{device.profile.gateway}/readyz")
        if not answer.is_success:
            raise BailmentError(
                f"it can be reached, but gives no access now: {answer.text.strip()[:60]}",
                hint="wait, or tell the issuer",
            )
        return "it answers, and gives access"

    yield attempt("gateway", reach)
    if answer is None:
        return
    yield _clock(answer)
    yield (enrolment := attempt("enrolment", lambda: asyncio.run(_enrolment(device))))
    if enrolment.ok:
        yield attempt("access", lambda: asyncio.run(_access(device)))


def _certificate(device: Device) -> str:
    """That of mTLS, which a device has once it asked for one."""
    try:
        found = read_certificate(private.read(device.folder / CERTIFICATE), device)
    except FormatError as error:
        raise BailmentError(str(error), hint="bailment agent certificate") from None
    ends = found.not_valid_after_utc.timestamp()
    if ends <= time.time():
        raise BailmentError("it has expired", hint="bailment agent certificate")
    return f"good until {show_time(int(ends * 1000))} UTC"


def _get(url: str) -> httpx2.Response:
    try:
        return httpx2.get(url, timeout=_PATIENCE, **transport(url))
    except httpx2.HTTPError as error:
        raise unreachable(url.removesuffix("/readyz"), error) from None


def _clock(answer: httpx2.Response) -> Finding:
    try:
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Finding("clock", True, "the gateway does not say what time it has")
    ahead = round(time.time() - theirs)
    if abs(ahead) <= 5:
        return Finding("clock", True, "as the gateway's")
    side = "ahead of" if ahead > 0 else "behind"
    says = f"{abs(ahead)} s {side} the gateway's, which the agent makes up for"
    return Finding("clock", True, says, "set the clock all the same")


async def _enrolment(device: Device) -> str:
    async with GatewayClient(device.profile.gateway, device.key) as client:
        found = await client.get(f"/enrol/requests/{device.profile.device}", Status)
    if found.status == "expired":
        raise BailmentError(
            "it was not confirmed in time", hint="ask your admin for a new invitation"
        )
    if found.status == "pending" or device.profile.status == "pending":
        raise BailmentError("it waits to be confirmed by your admin", hint="bailment enrol")
    return f"confirmed, for {', '.join(found.purposes)} with {', '.join(found.models)}"


async def _access(device: Device) -> str:
    """Ask for a token, which is the whole decision but for the model; it goes into the log."""
    purpose = device.profile.purposes[0]
    await fetch_token(device, purpose)
    return f"a token is given for {purpose}"
