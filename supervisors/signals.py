"""Signals as something to read: a wake-up descriptor instead of code that interrupts code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType

__all__ = ["SignalPipe"]


class SignalPipe:
    """While it is open, the given signals of this process do nothing but show up in ``read``."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        """Only on the main thread, and only one at a time."""
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_fd = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        # The descriptor is written to only for signals with a handler in Python.
        self._old = {number: signal.signal(number, _wake) for number in numbers}

    def fileno(self) -> int:
        """Readable when there is something to read."""
        return self._read_end

    def read(self) -> list[int]:
        """The signals that came, in order.  A SIGCHLD may stand for several deaths."""
        try:
            return list(os.read(self._read_end, 4096))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        os.close(self._read_end)
        os.close(self._write_end)


def _wake(number: int, frame: FrameType | None) -> None:
    """Nothing: the wake-up descriptor was written before this ran."""
