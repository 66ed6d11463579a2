"""What the kernel lets a child take: address space, descriptors, its share of the processor.

Applied in the child before its actor is made.  Owns the memory that is kept back to say of what it
died; lost with the process, as the limits are.
"""

from __future__ import annotations

import mmap
import os
import resource
import traceback
from typing import Final

from holdfast.errors import ConfigError
from holdfast.supervisors.linux import address_space
from holdfast.supervisors.settings import ChildSettings

__all__ = [
    "Reserve",
    "apply_limits",
    "free_descriptors",
    "is_out_of_memory",
    "leave_no_core",
    "widen_descriptors",
]

# The soft limit that the daemon was started with: what its children get.
_NOFILE: Final = resource.getrlimit(resource.RLIMIT_NOFILE)[0]

# Bytes of address space, not of memory: enough to make a traceback, log it and say farewell.
RESERVE: Final = 8 * 1024 * 1024


class Reserve:
    """Address space that nobody uses until the end."""

    def __init__(self, size: int) -> None:
        self._mapping = mmap.mmap(-1, size) if size else None

    def lift(self) -> None:
        """Let the rest of this process have it; harmless when it does."""
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None


def apply_limits(run: ChildSettings) -> Reserve:
    """Take on the limits of ``run``; to be lifted when memory has run out.

    Raises ConfigError for one that cannot be had.
    """
    if run.nice:
        os.nice(run.nice)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if run.nofile:
        _limit("nofile", resource.RLIMIT_NOFILE, run.nofile)
    elif (
        soft != _NOFILE
    ):  # the zygote is a later one, forked by a supervisor that had widened its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (_NOFILE, hard))
    if not run.memory_max:
        return Reserve(0)
    taken = address_space() + RESERVE
    if run.memory_max <= taken:
        raise ConfigError(
            f"memory_max = {run.memory_max}: expected bytes of address space > {taken}, "
            "which this process has before it does anything"
        )
    reserve = Reserve(RESERVE)
    _limit("memory_max", resource.RLIMIT_AS, run.memory_max)
    return reserve


def widen_descriptors() -> None:
    """Let this process, a supervisor, have as many descriptors as it may: some eight a child.

    Not its children: a program that uses select(2) breaks above 1,024.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def leave_no_core() -> None:
    """Have no crash of this process, or of what it starts, write its memory to a file.

    One byte and not none: so a program that the kernel would pipe it to gets nothing, too
    (core(5)).  The limit is the soft one: who wants a core raises it again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard else 0, hard))


def free_descriptors() -> int:
    """How many more this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - len(os.listdir("/proc/self/fd"))


def is_out_of_memory(failure: BaseException) -> bool:
    """Whether an exception is a MemoryError or was raised from one."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, MemoryError):
            # What filled the memory may be a local of a frame that the traceback holds.
            traceback.clear_frames(seen.__traceback__)
            return True
        seen = seen.__cause__
    return False


def _limit(key: str, which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY and value > hard:
        raise ConfigError(
            f"{key} = {value}: expected at most {hard}, the limit that it starts with"
        )
    resource.setrlimit(which, (value, value))
