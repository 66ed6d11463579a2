"""Every test leaves the machine as it found it: that is checked after each of them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN = 1.0  # seconds in which everything under a SIGKILLed root has to be gone


def pytest_configure() -> None:
    """Orphans come to this process, so that none escapes the check."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Started in the background by a shell, pytest ignores SIGINT, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def descendants(of: int) -> dict[int, str]:
    """Pid and /proc state letter of every process below ``of``."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                parents.setdefault(int(parent), []).append((int(entry.name), state))
    found: dict[int, str] = {}
    waiting = [of]
    while waiting:
        for pid, state in parents.get(waiting.pop(), []):
            found[pid] = state
            waiting.append(pid)
    return found


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock on the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """No process, zombie, socket file or held lock survives the test."""
    before = set(descendants(os.getpid()))
    yield
    deadline = time.monotonic() + GONE_WITHIN
    while True:
        left = {pid: state for pid, state in descendants(os.getpid()).items() if pid not in before}
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # an orphan that came here: this is its parent now
        if not left or time.monotonic() > deadline:
            break
    files = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    sockets = [path.name for path in files if path.is_socket()]
    locks = [path.name for path in files if path.suffix == ".lock" and is_locked(path)]
    assert not left, f"processes left behind: {left}"
    assert not sockets, f"sockets left behind: {sockets}"
    assert not locks, f"locks left held: {locks}"
