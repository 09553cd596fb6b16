"""
Four things every test shares, and no more: the hypothesis profile of the size
that was asked for, the ban on skips where RLC_FORBID_SKIPS=1 (in CI, where
every program a test could want has been installed), the search for the API key in
what a test leaves behind (``tests/canary.py``), and a collector that looks at no more than
what came since the tests were collected.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import canary
from tests.sizes import SCALE, SIZE

# Derandomized but for the nightly run: a landing must not fail on a die, and finding new cases is the night's work.
# No deadline: a loaded machine is no bug.
settings.register_profile(
    SIZE,
    max_examples=50 * SCALE,
    derandomize=SIZE != "nightly",
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile(SIZE)

SKIPS_FORBIDDEN = os.environ.get("RLC_FORBID_SKIPS") == "1"


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that says why it was one."""
    if SKIPS_FORBIDDEN and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: skips are forbidden here (RLC_FORBID_SKIPS=1): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    forbid_skip(report)
    canary.judge(item, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    forbid_skip(report)
    return report


def pytest_collection_finish() -> None:
    _freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """With each file, for a program that was run here has thawed all, as it may."""
    if nextitem is None or nextitem.path != item.path:
        _freeze()


def _freeze() -> None:
    """What stands now stands to the end; many a test calls the collector, which would look at all of it each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionstart() -> None:
    canary.listen()


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    canary.watch.warned(warning_message)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["canary"] = canary.watch.counts


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of several processes has ended: what it searched counts."""
    canary.watch.add(getattr(node, "workeroutput", {}).get("canary", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"canary: {canary.watch!r}")


@pytest.fixture
def capfd(capfd: Any) -> Any:
    """pytest's own; what it captured is searched as a test takes it."""
    return canary.Heard(capfd)


@pytest.fixture
def capsys(capsys: Any) -> Any:
    """The same."""
    return canary.Heard(capsys)
