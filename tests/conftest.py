"""Every test leaves the machine as it found it: that is checked after each of them."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from holdfast.testing.processes import Process, children, descendants, lasting, list_text
from tests.forkserver import server_pids, start_server, stop_server

# How long an example takes says how busy the machine is, nothing of what is tested.
settings.register_profile(
    "holdfast", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("holdfast")

PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN = 20.0  # seconds; a bound on failure: under a SIGKILLed root all is gone in far less


def pytest_configure() -> None:
    """Orphans come to this process, so that none escapes the check."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Started in the background by a shell, pytest ignores SIGINT, and so would what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # until everything is collected: all that is made until then stays


def pytest_collection_finish() -> None:
    """No collection goes through three thousand tests again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that nobody waits for them alone at the end."""
    items.sort(key=lambda item: item.path.name != "test_chaos.py")


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator[None]:
    """Before anything looks at what a test leaves behind."""
    start_server()
    yield
    stop_server()


def is_locked(path: Path) -> bool:
    """Whether some process holds a lock on the file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _belongs_to(pid: int, known: set[int], below: dict[int, Process]) -> bool:
    """Whether it is known, or was started by one that is and tells of what is left at its end.

    That is a daemon of several tests, an actor of which was killed in this one.
    """
    while pid in below and pid not in known:
        pid = below[pid].parent
    return pid in known


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """No process, zombie, socket file or held lock survives the test."""
    own = children() - server_pids()
    before = set(descendants(os.getpid())) if own else set()
    yield
    if children() <= own | server_pids() and not any(tmp_path.iterdir()):
        return  # an orphan would be a child

    def new() -> dict[int, Process]:
        known = before | server_pids()
        below = descendants(os.getpid())
        found = {pid: one for pid, one in below.items() if not _belongs_to(pid, known, below)}
        for pid in found:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # an orphan that came here: this is its parent now
        return found

    left = lasting(new, within=GONE_WITHIN)
    files = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    sockets = [path.name for path in files if path.is_socket()]
    locks = [path.name for path in files if path.suffix == ".lock" and is_locked(path)]
    assert not left, f"processes left behind: {list_text(left)}"
    assert not sockets, f"sockets left behind: {sockets}"
    assert not locks, f"locks left held: {locks}"
