"""Where processes run: on one core or on two, which decides more than what they do.

Left alone, the scheduler keeps a ping-pong on one core and spreads anything busier over two, where
each wake-up of an idle core costs tens of microseconds: the two would not be compared alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = ["on_core", "pin", "placements"]


def placements() -> list[tuple[str, int, int]]:
    """A name, the core of this process, and that of the other side."""
    cores = sorted(os.sched_getaffinity(0))
    return [("one core", cores[0], cores[0]), ("two cores", cores[0], cores[-1])]


def pin(pids: Iterable[int], core: int) -> None:
    """Have these processes run there."""
    for pid in pids:
        os.sched_setaffinity(pid, {core})


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run there meanwhile; so does what is started meanwhile, also later."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
