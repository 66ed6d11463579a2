"""The background thread of a program's connections: sends what was queued, reads what comes.

Owns a reactor.  It sleeps until it is woken, or something arrives; after something was queued it
looks again by itself for a while, since to wake a thread takes the waker 5 to 15 us, several times
as long as an emit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast.actors.reactor import READ, Reactor
from holdfast.clock import Clock

__all__ = ["THREAD", "Background"]

THREAD: Final = "holdfast"  # the name of the thread
NAP: Final = 0.001  # seconds that an offer may wait for the thread to look
NAPS: Final = 50  # looks in a row that find nothing new before the thread has to be woken again


class Background:
    """One thread; ``send`` is called with the lock, and says how much was ever queued."""

    def __init__(self, *, lock: threading.RLock, clock: Clock, send: Callable[[], int]) -> None:
        self.reactor = Reactor(clock=clock)
        self.is_asleep = False  # it waits to be woken, or is about to
        self.naps = False  # it waits, and will look by itself within NAP
        self._lock = lock
        self._send = send
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ends = False
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self.reactor.add(self._wakeup, READ, self._woken)

    def start(self) -> None:
        """Begin; ``send`` may be called from now on."""
        self._thread.start()

    def wake(self) -> None:
        """Have it look now."""
        self.is_asleep = self.naps = False
        with suppress(BlockingIOError):
            os.eventfd_write(self._wakeup, 1)

    def end(self) -> None:
        """Let it end, and wait for that unless it is what calls."""
        self._ends = True
        self.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def close(self) -> None:
        """Close what it waited with."""
        self.reactor.close()
        os.close(self._wakeup)

    def _woken(self, _events: int) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wakeup)

    def _run(self) -> None:
        ready: list[tuple[int, int]] = []
        seen = naps = 0
        while not self._ends:
            with self._lock:
                self.is_asleep = self.naps = False
                self.reactor.dispatch(ready)
                queued = self._send()
                naps = NAPS if queued != seen else naps - 1
                seen = queued
                self.naps, self.is_asleep = naps > 0, naps <= 0
                timeout = self.reactor.bounded(NAP if naps > 0 else None)
            ready = self.reactor.select(timeout)
