"""Signals as something to read: a wake-up descriptor instead of code that interrupts code."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType

__all__ = ["SignalPipe", "Terminal"]


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


class Terminal:
    """The terminal that this process was started from, if there was one."""

    def __init__(self) -> None:
        self._was_there = _has_terminal()

    @property
    def is_gone(self) -> bool:
        """There was one, and it has hung up: that is what SIGHUP tells then."""
        return self._was_there and not _has_terminal()


def _has_terminal() -> bool:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(fd)
    return True


def _wake(number: int, frame: FrameType | None) -> None:
    """Nothing: the wake-up descriptor was written before this ran."""
