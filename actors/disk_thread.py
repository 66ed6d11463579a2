"""A thread that waits for the disk, so that its actor does not: one piece of work at a time.

Owns nothing that anybody else changes.  It ends with ``stop``, or with the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Final, Protocol

__all__ = ["SLOW", "Box", "DiskThread", "Work"]

SLOW: Final = 10.0  # seconds of one piece of work that are told

Work = Callable[[], None]


class Box(Protocol):
    """Of a mailbox, what it takes to be told."""

    def watch(self, fd: int, read: Callable[[], Iterable[object]]) -> None:
        """Deliver what ``read`` returns when ``fd`` is readable."""


class DiskThread:
    """Starts with the first ``begin``.  ``done`` makes the message of each end, with its error."""

    def __init__(
        self, name: str, *, done: Callable[[BaseException | None], object], box: Box
    ) -> None:
        self._name, self._done = name, done
        self._works: SimpleQueue[Work | None] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        box.watch(self._wakeup, self._ended)

    def begin(self, work: Work) -> bool:
        """Have it done; False: there is no memory for a thread, so the caller has to."""
        if self._thread is None and not self._start():
            return False
        self._works.put(work)
        return True

    def stop(self) -> list[BaseException | None]:
        """Wait for what was begun; how that ended, unless it was delivered."""
        if self._thread is None:
            return []
        self._works.put(None)
        self._thread.join()
        self._thread = None
        return self._read()

    def _start(self) -> bool:
        thread = threading.Thread(target=self._work_through, name=self._name, daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            return False
        self._thread = thread
        return True

    def _read(self) -> list[BaseException | None]:
        ends = []
        while not self._ends.empty():
            ends.append(self._ends.get())
        return ends

    def _ended(self) -> Iterable[object]:
        os.eventfd_read(self._wakeup)
        return [self._done(error) for error in self._read()]

    def _work_through(self) -> None:
        """All that the thread does."""
        while (work := self._works.get()) is not None:
            error: BaseException | None = None
            try:
                work()
            except BaseException as caught:  # raised where its end is delivered
                error = caught
            self._ends.put(error)
            os.eventfd_write(self._wakeup, 1)
