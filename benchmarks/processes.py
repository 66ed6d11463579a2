"""What processes use, and the end of a family of them."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from holdfast.cli.daemon import family

__all__ = ["cpu_ns", "ending", "machine_cpu_ns", "pss_bytes", "rss_bytes"]

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


def rss_bytes(pid: int) -> int:
    """Resident memory; 0 when the process is gone.  What it shares counts in each who shares."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def pss_bytes(pid: int) -> int:
    """Resident memory, what is shared divided by who shares it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, *rest = line.split()
        if name == "Pss:":
            return int(rest[0]) * 1024
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss")


def cpu_ns(pid: int) -> int:
    """Processor time of all threads that live; exact where /proc/PID/stat has ticks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def machine_cpu_ns() -> int:
    """Processor time of everything on this machine, since it is up; to 10 ms."""
    with open("/proc/stat") as stat:
        # user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    idle, iowait = ticks[3:5]
    return (sum(ticks) - idle - iowait) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@contextmanager
def ending(root: int, patience: float) -> Iterator[None]:
    """What was below ``root`` before the block has ended after it, by SIGKILL if need be.

    The block asks it to end; descriptors hold the processes, so no recycled pid is killed.
    Orphans among them come to this process, if it adopts them, and are reaped.
    """
    pids = family(root)
    with ExitStack() as stack:
        descriptors = []
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
                stack.callback(os.close, descriptors[-1])
        try:
            yield
        finally:
            for descriptor in _left(descriptors, patience):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            _left(descriptors, patience)
            for pid in pids[1:]:  # the first is its starter's to reap
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


def _left(descriptors: list[int], patience: float) -> set[int]:
    """Those that have not ended after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    left = set(descriptors)
    poll = select.poll()
    for descriptor in left:
        poll.register(descriptor, select.POLLIN)
    while left and (rest := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(rest * 1000):
            poll.unregister(descriptor)
            left.discard(descriptor)
    return left
