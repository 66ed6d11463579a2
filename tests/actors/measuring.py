"""What processes hold, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.actors.messages.supervisor import ChildStatus
from tests.daemon import Daemon

MIB = 1024 * 1024


def rss(pid: int) -> int:
    """Resident bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def private(pid: int) -> int:
    """Resident bytes that it shares with nobody; finer than RSS, and dearer to ask for."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def descriptors(pid: int) -> int:
    """Open files, sockets and the like."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def processes(daemon: Daemon) -> dict[str, int]:
    """Pids by name, of all that run in the tree."""
    found: dict[str, int] = {}
    waiting: list[ChildStatus] = [daemon.tree().root]
    while waiting:
        child = waiting.pop()
        waiting += child.children
        if child.pid is not None:
            found[child.id] = child.pid
    return found
