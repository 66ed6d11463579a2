"""The eye of chaos: a process that stays a zombie is told, unless the rig keeps it one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from holdfast.testing.chaos import eye as eye_module
from holdfast.testing.chaos.eye import Eye
from holdfast.testing.processes import descendants

TIMEOUT = 10.0
PERIOD = 0.005  # seconds between two looks of a test
LOOKS = 10  # twice as many as would tell of a zombie here
# The first forks the second, which forks one that ends at once and is reaped by nobody.
FAMILY = """
import os, signal
if os.fork() == 0:
    if (third := os.fork()) == 0:
        os._exit(0)
    os.waitid(os.P_PID, third, os.WEXITED | os.WNOWAIT)
    print("there", flush=True)
signal.pause()
"""

_pause = threading.Event().wait


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """The pids of the first and the second."""
    first = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "there\n"
    (second,) = [each.pid for each in descendants(first.pid).values() if each.state != "Z"]
    yield first.pid, second
    os.kill(second, signal.SIGKILL)
    first.kill()
    first.communicate()


@pytest.fixture
def eye(monkeypatch: pytest.MonkeyPatch) -> Iterator[Eye]:
    monkeypatch.setattr(eye_module, "ZOMBIE", 5 * eye_module.PERIOD)
    eye = Eye()
    eye.start()
    yield eye
    eye.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        _pause(PERIOD)  # each file that the eye reads would wait for the interpreter otherwise


def test_a_zombie_that_stays_is_told(eye: Eye, family: tuple[int, int]) -> None:
    eye.watch(family[0])
    until(lambda: bool(eye.violations))
    assert "a zombie" in eye.violations[0]


def test_a_zombie_whose_parent_is_stopped_is_the_rigs_own(
    eye: Eye, family: tuple[int, int]
) -> None:
    first, second = family
    os.kill(second, signal.SIGSTOP)
    until(lambda: descendants(first)[second].state == "T")
    eye.watch(first)
    until(lambda: eye.looks > LOOKS)
    assert not eye.violations
    os.kill(second, signal.SIGCONT)
    until(lambda: bool(eye.violations))
