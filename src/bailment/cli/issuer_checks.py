"""What `bailment doctor` looks at in an issuer's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bailment import __version__
from bailment.access.reasons import Reason
from bailment.cli.assurance_checks import examine_assurance
from bailment.cli.checks import Finding, attempt
from bailment.cli.console import NotRunning, status
from bailment.cli.output import counted
from bailment.cli.sink_checks import examine_sinks, examine_webhooks
from bailment.cli.times import show_time
from bailment.cli.tls import server_certificate
from bailment.clock import now_ms
from bailment.errors import BailmentError, ConfigurationError
from bailment.settings import Listen, Model, Settings, load_settings
from bailment.store.folder import Folder
from bailment.store.secrets import load_secrets
from bailment.store.tables import load_tables
from bailment.store.view import View, open_view

_MENDS = {
    Reason.DISK_RESERVE: "free some space on its disk",
    Reason.CLOCK_BEHIND: "set the clock",
    Reason.FEED_STALE: "its log's writer stands still: see the disk, and docs/holds.md",
    Reason.KILL_SWITCH: "bailment kill-switch status",
    Reason.LOG_UNAVAILABLE: "see what it wrote to its standard error, and docs/recovery.md",
    Reason.DRAINING: "it is stopping: wait, then start it again",
}
#: What a probe of a server may take, seconds.
_PATIENCE = 5.0
_RENEWAL = timedelta(days=14)
#: A worker that is behind the log for longer than this is told of, seconds.
_LATE = 60.0


def examine_issuer(folder: Folder) -> Iterator[Finding]:
    """Look at one thing after another; stop where the next makes no sense."""
    try:
        folder.require()
    except ConfigurationError as error:
        hint = f"{error.hint}; for this device: bailment doctor --profile default"
        yield Finding("folder", False, str(error), hint)
        return
    yield attempt("folder", lambda: _private(folder))
    settings: Settings | None = None

    def read_settings() -> str:
        nonlocal settings
        settings = load_settings(folder.settings)
        return f"{len(settings.models)} model(s), served at {settings.issuer.url}"

    yield attempt("settings", read_settings)
    yield attempt("secrets", lambda: f"the log's key is {load_secrets(folder).log.public.vkey}")
    if settings is None:
        return
    view: View | None = None

    def read_log() -> str:
        nonlocal view
        view = open_view(folder)
        _agree(settings, view)
        return f"{view.checkpoint.size} records, signed, folded and consistent"

    yield attempt("log", read_log)
    yield _space(folder, settings)
    yield from _drill(folder)
    if view is not None:
        yield _clock(view)
        yield _networks(folder, view)
        yield from examine_assurance(view.fold.register, max(now_ms(), view.fold.time))
        yield from examine_sinks(folder, view.checkpoint.size)
        yield from examine_webhooks(folder, len(view.fold.register.state.webhooks))
    if settings.listen.certificate:
        yield attempt("certificate", lambda: _certificate(folder, settings.listen))
    yield from _served(folder, settings, view)


def _served(folder: Folder, settings: Settings, view: View | None) -> Iterator[Finding]:
    if not settings.models:
        yield Finding("models", False, "no model is set", f"add [models.NAME] to {folder.settings}")
    for name, model in settings.models.items():
        yield attempt(f"model {name}", lambda n=name, m=model: _answers(n, m, folder))  # type: ignore[misc]
        if model.meter is None:
            says = "there is none, so that calls around the gateway are not found"
            mend = f"add `meter = {{}}` to [models.{name}], with the names of its server's counters"
            yield Finding(f"meter {name}", True, says, mend)
    try:
        running = status(folder)
    except BailmentError as error:
        serving = Finding("issuer", False, str(error), error.hint)
        yield serving
        if isinstance(error, NotRunning):
            return
    else:
        yield _issuer(running, settings, view)
        if left := running["maintenance"]:
            says = f"silence of the log is excused for another {left / 1000:.0f} s"
            yield Finding("maintenance", True, says, "bailment maintenance end --reason …")
        yield _worker(running["worker"])
    yield attempt("url", lambda: _reachable(settings.issuer.url))


def _private(folder: Folder) -> str:
    mode = folder.root.stat().st_mode & 0o777
    if mode & 0o077:
        raise BailmentError(
            f"others may enter `{folder.root}` (mode {mode:04o})", hint=f"chmod 700 {folder.root}"
        )
    return "only its owner may enter"


def _agree(settings: Settings, view: View) -> None:
    """What `serve` would refuse to start with."""
    state = view.fold.register.state
    for name, logged in (("origin", state.origin), ("url", state.url)):
        set_to = getattr(settings.issuer, name)
        if set_to != logged:
            raise ConfigurationError(
                f"issuer.{name} is `{set_to}`, in the log it is `{logged}`",
                hint="it is fixed at init; put it back",
            )


def _space(folder: Folder, settings: Settings) -> Finding:
    found = os.statvfs(folder.root)
    free, reserve = found.f_bavail * found.f_frsize, settings.limits.disk_reserve_bytes
    says = f"{free >> 20} MiB free, of which {reserve >> 20} are kept for holds"
    return Finding("disk", free > 4 * reserve, says, "" if free > 4 * reserve else "free some")


def _drill(folder: Folder) -> Iterator[Finding]:
    """A drill whose process was killed leaves recipients whose access nobody ended."""
    from bailment.drills.breach.begun import alone, broken_off

    try:
        begun = broken_off(folder)
    except BailmentError as error:
        yield Finding("drill", False, str(error), error.hint)
        return
    if begun is None:
        return
    since = show_time(begun.started)
    try:
        with alone(folder):
            left = counted(len(begun.recipients) + len(begun.coming), "recipient")
            says = f"one of {since} was broken off, and {left} of it may still have access"
            yield Finding("drill", False, says, "bailment drill end")
    except BailmentError:
        yield Finding("drill", True, f"one has been held since {since}")


def _networks(folder: Folder, view: View) -> Finding:
    """Old tables take networks for what they were; a month-old list of Tor exits misses 8 in 100
    (docs/detection.md)."""
    mend = "bailment network refresh --from FOLDER"
    try:
        tables, own = load_tables(folder)
    except ConfigurationError as error:
        return Finding("networks", False, str(error), error.hint)
    allowed = view.fold.register.conditions.detection.tables_ms
    whose = "tables" if own else "small tables from the package,"
    says = f"{whose} {tables.age_days(now_ms())} days old"
    if now_ms() - tables.built <= allowed:
        return Finding("networks", True, says)
    return Finding("networks", True, f"{says}: the spec allows {allowed // 86_400_000}", mend)


def _clock(view: View) -> Finding:
    behind = (view.fold.time - now_ms()) / 1000
    if behind > 2:
        says = f"the clock is {behind:.0f} s behind the log, so there is no access"
        return Finding("clock", False, says, "set the clock; the log cannot go back")
    return Finding("clock", True, "not behind the log")


def _certificate(folder: Folder, listen: Listen) -> str:
    ends = server_certificate(folder, listen).not_valid_after_utc
    if ends < datetime.now(UTC) + _RENEWAL:
        raise ConfigurationError(f"the certificate ends at {ends}", hint="renew it and restart")
    return f"good until {ends:%Y-%m-%d}"


def _answers(name: str, model: Model, folder: Folder) -> str:
    """A request that makes no tokens, with the key that the gateway uses."""
    import httpx2

    from bailment.gateway.app import upstream_config
    from bailment.gateway.upstream import Upstream

    config = upstream_config(name, model, folder.root)
    Upstream(config)  # which says what is wrong with the address
    url = urlsplit(model.url)
    unix = url.scheme == "unix"
    base = "http://model" if unix else model.url.rstrip("/")
    transport = httpx2.HTTPTransport(uds=url.path) if unix else None
    headers = {"authorization": f"Bearer {config.key}"} if config.key else {}
    try:
        with httpx2.Client(transport=transport, timeout=_PATIENCE, trust_env=False) as client:
            answer = client.get(f"{base}/v1/models", headers=headers)
    except httpx2.HTTPError as error:
        raise BailmentError(
            f"`{model.url}` does not answer: {str(error) or type(error).__name__}",
            hint="start its server, or mend the url",
        ) from None
    if answer.status_code in (401, 403):
        raise BailmentError(
            f"`{model.url}` refuses {'the' if config.key else 'to answer without a'} key",
            hint=f"put the server's key into a file and its name into models.{name}.key_file",
        )
    return f"its server answers, {'its key is private' if config.key else 'no key is set'}"


def _issuer(running: dict[str, Any], settings: Settings, view: View | None) -> Finding:
    says = f"running as pid {running['pid']}; access is "
    if running["access"] != "served":
        mend = _MENDS.get(running["access"], "see docs/reasons.md")
        return Finding("issuer", False, f"{says}refused: {running['access']}", mend)
    known = view.fold.register.state.models if view else {}
    unknown = [name for name in settings.models if view and name not in known]
    if unknown:
        late = f"but it was started before `{unknown[0]}` was added"
        return Finding("issuer", False, f"{says}served, {late}", "restart it")
    if running["version"] != __version__:
        late = f"but by version {running['version']}, and this is {__version__}"
        return Finding("issuer", False, f"{says}served, {late}", "restart it")
    return Finding("issuer", True, f"{says}served")


def _worker(told: dict[str, Any]) -> Finding:
    """The process beside it, in which the detectors run that take seconds."""
    state = told["state"]
    if state == "disabled":
        mend = "set worker.enabled = true"
        return Finding("worker", True, "it is off: what only it sees is not seen", mend)
    says = f"{state}, {told['behind']} entries behind for {told['seconds']:.0f} s"
    if dropped := told.get("prompts_dropped"):
        says += f"; {dropped} prompts since the start were not looked at"
    late = state == "failed" or told["seconds"] > _LATE
    mend = "see what it wrote to standard error; docs/detection.md, `The worker`"
    return Finding("worker", not late, says, mend if late else "")


def _reachable(url: str) -> str:
    import httpx2

    from bailment.agent.profile import is_loopback

    proxies = not is_loopback(urlsplit(url).hostname or "")
    try:
        answer = httpx2.get(f"{url}/healthz", timeout=_PATIENCE, trust_env=proxies)
    except httpx2.HTTPError as error:
        why = str(error) or type(error).__name__
    else:
        if answer.status_code == 200:
            return f"`{url}` answers"
        why = f"status {answer.status_code}"
    raise BailmentError(
        f"`{url}`, which clients call, does not answer from here: {why}",
        hint="see what stands between: DNS, a proxy, a firewall, the certificate",
    )
