"""A supervisor killed again while it comes back: it converges, and nobody ever lives twice."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

from tests.supervisors.conftest import Grow
from tests.supervisors.specs import starts
from tests.supervisors.trees import child, nested

PERIOD = 0.005  # seconds between samples


class Sampler:
    """Looks every 5 ms for two live processes of one name; ``names`` are nobody else's."""

    def __init__(self, names: set[str]) -> None:
        self.samples = 0
        self.twice: set[str] = set()
        self._names = names
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(PERIOD):
            found: dict[str, int] = {}
            for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
                name = live_name(pid)
                if name not in self._names:
                    continue
                # The one found earlier may have ended before this one began.
                if name in found and live_name(found[name]) == name:
                    self.twice.add(name)
                found[name] = pid
            self.samples += 1


def live_name(pid: int) -> str:
    """The name of a process that is no zombie."""
    with suppress(OSError):
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        if tail.split()[0] not in "ZX":
            return head.partition("(")[2]
    return ""


def test_a_supervisor_killed_again_during_its_restart_converges(grow: Grow) -> None:
    # Scenario 26
    names = [f"kid-{os.getpid()}-{number}" for number in range(4)]
    twin = f"sup-{os.getpid()}"
    # Not looked at: between fork and exec, a program has its agent's name.
    parent = starts("parent", "in_its_own_session", "double_forked")
    below = nested(twin, *map(child, names), parent)
    tree = grow(below, child("a"), max_restarts=1_000, stable_after=0.0).ready()
    sibling = tree.pids()["a"]
    kills = 0
    with Sampler({twin, *names}) as sampler:
        for _ in range(5):
            pid = tree.kill(twin)
            kills += 1
            for _ in range(2):  # as soon as there is another, ready or not
                pid = tree.until(lambda: other(tree.pids(), twin, pid))  # noqa: B023
                os.kill(pid, signal.SIGKILL)
                kills += 1
            tree.until(lambda: other(tree.pids(), twin, pid))  # noqa: B023
            tree.until(lambda: tree.which()[twin].state == "running")
            assert set(names) <= set(tree.pids())
    assert sampler.twice == set()
    assert sampler.samples > 20
    assert tree.which()[twin].restarts == kills
    assert tree.pids()["a"] == sibling
    assert tree.end() == 0


def other(pids: dict[str, int], name: str, than: int) -> int | None:
    """The pid of a process, once it is another."""
    pid = pids.get(name, than)
    return None if pid == than else pid
