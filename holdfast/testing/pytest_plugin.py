"""Fixtures for pytest: ``pytest_plugins = ["holdfast.testing.pytest_plugin"]`` in conftest.py.

No entry point: that would be imported by every run of pytest where holdfast is installed.
PYTEST_DONT_REWRITE: there is no ``assert`` here, and the module may be imported before pytest does.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.testing.config import Config
from holdfast.testing.daemon import Daemon, StartDaemon
from holdfast.testing.processes import Process, descendants, lasting, list_text, marked

__all__ = ["holdfast_daemon", "no_processes_left"]

MARK: Final = "HOLDFAST_TEST"
GONE_WITHIN: Final = 5.0  # seconds after the test; a bound on failure
TAIL: Final = 8_000  # characters of each log that a failure shows
DAEMONS: Final = pytest.StashKey[list[Daemon]]()


@pytest.fixture
def holdfast_daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons below ``tmp_path``; each is stopped, and checked, after the test."""
    if "no_processes_left" in request.fixturenames:
        request.getfixturevalue("no_processes_left")  # before this, so that it looks after it
    daemons: list[Daemon] = request.node.stash.setdefault(DAEMONS, [])
    with ExitStack() as stack:

        def start(config: Config | None = None, **how: Any) -> Daemon:
            number = f"-{len(daemons) + 1}" if daemons else ""
            daemons.append(Daemon(tmp_path / f"holdfast{number}", config, **how))
            return stack.enter_context(daemons[-1])

        yield start


@pytest.fixture
def no_processes_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test that leaves a process behind: below this one, or started and orphaned.

    An orphan is found by its environment; one that was given another is not.
    """
    before = set(descendants(os.getpid()))
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)

    def left() -> dict[int, Process]:
        found = descendants(os.getpid()) | marked(f"{MARK}={mark}")
        return {pid: process for pid, process in found.items() if pid not in before}

    yield
    if lasts := lasting(left, within=GONE_WITHIN):
        raise AssertionError(f"processes left behind: {list_text(lasts)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failure shows the end of the log of each daemon that the test started."""
    report = yield
    if report.failed:
        for daemon in item.stash.get(DAEMONS, []):
            if daemon.log_file.exists():
                report.sections.append((f"log of {daemon.folder.name}", daemon.log[-TAIL:]))
    return report
