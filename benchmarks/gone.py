"""SIGKILL of the root until nothing of its tree runs, beside a bare process with as many forks.

Those die with their parent by PR_SET_PDEATHSIG, and do nothing else.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, compare, interleave
from holdfast.testing.processes import descendants

__all__ = ["run"]

BOUND_MS: Final = 1_000.0  # of the slowest
DEADLINE: Final = 30.0  # seconds
ROUNDS: Final = 20  # at least
_BARE: Final = """
import ctypes, os, signal, sys
for _ in range(int(sys.argv[1])):
    if not os.fork():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        os.write(1, b".")
        signal.pause()
signal.pause()
"""


def run(budget: Budget) -> list[Figure]:
    """The default tree with two agents."""
    sizes: list[int] = []

    def tree() -> Round:
        with running_daemon({"one": "agents:Echo", "two": "agents:Echo"}) as daemon:
            pids = descendants(daemon.process.pid)
            sizes.append(len(pids))
            return [_gone(daemon.process, pids)]

    def bare() -> Round:
        command = [sys.executable, "-c", _BARE, str(sizes[-1])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdout is not None
            for _ in range(sizes[-1]):
                assert process.stdout.read(1)
            return [_gone(process, descendants(process.pid))]

    gone, floor = interleave(budget.seconds, tree, bare, least=ROUNDS)
    figure = compare("SIGKILL of the root until its tree is gone", "ms", gone, floor)
    slowest = max(each for one in gone for each in one)
    return [
        msgspec.structs.replace(
            figure, target=f"slowest <= {BOUND_MS:g} ms", reached=slowest <= BOUND_MS
        )
    ]


def _gone(root: subprocess.Popen[bytes], pids: Iterable[int]) -> float:
    """Kill it; milliseconds until the last of these has ended."""
    watches = [os.pidfd_open(pid) for pid in (root.pid, *pids)]
    try:
        poll = select.poll()
        for watch in watches:
            poll.register(watch, select.POLLIN)
        began = time.perf_counter()
        root.send_signal(signal.SIGKILL)
        left = set(watches)
        while left:
            ended = {watch for watch, _ in poll.poll(DEADLINE * 1_000)}
            assert ended, f"{len(left)} processes of the tree are left"
            left -= ended
            for watch in ended:
                poll.unregister(watch)
        return (time.perf_counter() - began) * 1_000
    finally:
        for watch in watches:
            os.close(watch)
        root.wait()
