"""What supervision asks of Linux and Python does not offer: prctl, and a few lines of /proc."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "ProcessStat",
    "address_space",
    "adopt_orphans",
    "buffer_c_output_by_lines",
    "children_of_this_process",
    "die_with_parent",
    "process_name",
    "process_stat",
    "set_process_name",
    "shown_name",
]

PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
PR_SET_CHILD_SUBREAPER: Final = 36
IOLBF: Final = 1

_libc: Final = ctypes.CDLL(None, use_errno=True)
_page_bytes: Final = os.sysconf("SC_PAGESIZE")
_ticks: Final = os.sysconf("SC_CLK_TCK")  # of processor time in a second


def die_with_parent(parent: int) -> None:
    """Be SIGKILLed when ``parent`` dies; exit now when it is already dead.

    The comparison closes the gap between the fork and this call.  It is with the expected pid and
    not with 1, because orphans go to the nearest subreaper.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def buffer_c_output_by_lines() -> None:
    """Have what C code prints appear at once, though standard output is no terminal.

    The exit of a child would not write out what is left: it is past the C library's own end.
    """
    stdout = ctypes.c_void_p.in_dll(_libc, "stdout")
    _libc.setvbuf(stdout, None, IOLBF, 0)


def set_process_name(name: str) -> None:
    """Show as ``name`` in ps and top, as far as ``shown_name`` says."""
    _prctl(PR_SET_NAME, ctypes.c_char_p(shown_name(name).encode()))


def shown_name(name: str) -> str:
    """What the kernel keeps of a process's name."""
    return name[:15]


def process_name(pid: int) -> str:
    """The name that a process shows; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


class ProcessStat(NamedTuple):
    """How a process is: its state as one letter, processor time in seconds, resident bytes."""

    state: str
    cpu: float
    rss: int


def process_stat(pid: int) -> ProcessStat | None:
    """How a process is; None when it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(fd, 4096)
    except OSError:  # it went just now
        return None
    finally:
        os.close(fd)
    # The name in parentheses may hold anything; proc(5) counts the fields from it on.
    fields = line.rpartition(b")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / _ticks
    return ProcessStat(fields[0].decode(), cpu, int(fields[21]) * _page_bytes)


def address_space() -> int:
    """Bytes of address space that this process has, used or not."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * _page_bytes


def children_of_this_process() -> list[int]:
    """The pids of the children, zombies included.

    Orphans that a subreaper adopts hang on its main thread.
    """
    pid = os.getpid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _prctl(option: int, argument: int | ctypes.c_char_p) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
