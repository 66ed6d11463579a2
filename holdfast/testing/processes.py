"""What /proc says of the processes that a test started.

A process is known by its pid and its start, so that one with a recycled pid is another.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "Process",
    "children",
    "descendants",
    "is_alive",
    "lasting",
    "list_text",
    "look",
    "marked",
    "send",
]

PERIOD: Final = 0.01  # seconds between looks at what is about to end

STAT_BYTES: Final = 4096  # above any line of /proc/PID/stat

_pause = threading.Event().wait


class Process(NamedTuple):
    """One process; ``state`` is /proc's letter, ``started`` in ticks since boot."""

    pid: int
    name: str
    state: str
    parent: int
    started: int

    def __str__(self) -> str:
        zombie = ", a zombie" if self.state == "Z" else ""
        return f"{self.name}[{self.pid}{zombie}]"


def look(pid: int) -> Process | None:
    """The process with this pid now."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)  # there are many: a Path takes four times
        try:
            text = os.read(file, STAT_BYTES)
        finally:
            os.close(file)
    except OSError:
        return None
    head, _, tail = text.decode(errors="replace").rpartition(")")
    fields = tail.split(maxsplit=20)
    return Process(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


def _everyone() -> list[Process]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [process for pid in pids if (process := look(pid)) is not None]


def children() -> set[int]:
    """The children of this process, of all its threads; what is below them is not looked at.

    The children of a thread that ends go to another one, which may have been read by then: so
    all are read again when one ended meanwhile.
    """
    while True:
        with suppress(FileNotFoundError, ProcessLookupError):
            lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
            return {int(pid) for text in lists for pid in text.split()}


def descendants(of: int) -> dict[int, Process]:
    """Every process below ``of`` by its pid, zombies included."""
    children: dict[int, list[Process]] = {}
    for process in _everyone():
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    waiting = [of]
    while waiting:
        for process in children.get(waiting.pop(), []):
            found[process.pid] = process
            waiting.append(process.pid)
    return found


def marked(mark: str) -> dict[int, Process]:
    """Every process that was started with ``mark``, a ``NAME=value``, in its environment.

    So is all that it starts, whoever its parent is by now, unless it is given another one.
    """
    wanted = b"\0" + mark.encode() + b"\0"
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it is gone, or somebody else's
                is_marked = wanted in b"\0" + Path(f"/proc/{name}/environ").read_bytes()
                if is_marked and (process := look(int(name))) is not None:
                    found[process.pid] = process
    return found


def lasting(find: Callable[[], dict[int, Process]], *, within: float) -> list[Process]:
    """What ``find`` still finds ``within`` seconds from now; at once when that is nothing."""
    deadline = time.monotonic() + within
    while (found := find()) and time.monotonic() < deadline:
        _pause(PERIOD)
    return list(found.values())


def is_alive(process: Process) -> bool:
    """Whether it runs or could; a zombie does not."""
    now = look(process.pid)
    return now is not None and now.started == process.started and now.state not in "ZX"


def send(process: Process, number: int) -> bool:
    """Signal it, unless it is gone; whether it was there."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(process.pid)
        try:
            if is_alive(process):  # and so the one that the descriptor is of
                signal.pidfd_send_signal(pidfd, number)
                return True
        finally:
            os.close(pidfd)
    return False


def list_text(processes: list[Process]) -> str:
    """Processes as a message names them."""
    return ", ".join(map(str, processes))
