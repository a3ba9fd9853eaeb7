"""What every room's tests share: the event loop, the order, and the word on what was skipped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# A slow machine is no failure, so no property has a deadline. CI draws the same examples each time.
hypothesis.settings.register_profile(
    "bailment",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
hypothesis.settings.load_profile("bailment")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Async tests run on the event loop that the product runs on."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="module", autouse=True)
def signals_are_heard() -> Iterator[None]:
    """A file leaves no signal ignored or blocked: it would be so, too, in every process that a
    later file starts and means to end."""
    before = _deaf()
    yield
    assert _deaf() == before


def _deaf() -> set[int]:
    """Which of the signals that end a process do not."""
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    ignored = {one for one in ends if signal.getsignal(one) is signal.SIG_IGN}
    return ignored | (signal.pthread_sigmask(signal.SIG_BLOCK, ()) & ends)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, then journeys, then slow ones, each in the order they were found."""
    items.sort(key=lambda item: (_marked(item, "slow"), _marked(item, "journey")))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failed run."""
    if os.environ.get("CI") == "true" and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say loudly what was not tested, and why."""
    if skipped := _skipped(config):
        terminalreporter.section(f"SKIPPED {len(skipped)} tests", red=True, bold=True)
        for line in skipped:
            terminalreporter.write_line(line, red=True)


def _marked(item: pytest.Item, name: str) -> bool:
    return item.get_closest_marker(name) is not None


def _skipped(config: pytest.Config) -> list[str]:
    """One line for each test that was skipped or expected to fail."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    reports = [*reporter.stats.get("skipped", ()), *reporter.stats.get("xfailed", ())]
    return [f"{report.nodeid}: {_reason(report)}" for report in reports]


def _reason(report: pytest.TestReport) -> str:
    if expected := getattr(report, "wasxfail", ""):
        return f"expected to fail: {expected}"
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
