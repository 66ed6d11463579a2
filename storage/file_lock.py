"""Locks on files that end with their process, and the wait for one whose process is still dying."""

from __future__ import annotations

import fcntl
import time
from typing import Final

__all__ = ["DYING", "lock_within"]

# Seconds.  After a SIGKILL of the root the rest of its tree is gone within one, where a disk lets
# a process go: one that waits for an fsync dies when that has ended.
DYING: Final = 5.0
_AGAIN: Final = 0.005  # seconds between two looks; flock itself knows no deadline
_pause = time.sleep


def lock_within(descriptor: int, seconds: float) -> bool:
    """Whether it has the lock (exclusive): at once, or when its holder ended in the meantime."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            _pause(_AGAIN)
        else:
            return True
