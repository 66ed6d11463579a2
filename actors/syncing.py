"""What is committed gets to the disk: the waits for it, in a thread that does nothing else.

Owns who waits for which of them.  Lost when the process dies: nothing, since nobody was answered;
the next life asks for a sync of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Final, Protocol

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import Synced
from holdfast.actors.reactor import Timer
from holdfast.clock import Clock
from holdfast.errors import DiskFullError

__all__ = ["DiskDone", "SyncDue", "Syncing"]

SLOW: Final = 10.0  # seconds of one wait for the disk that are told

Wait = Callable[[], None]


class SyncDue(msgspec.Struct, frozen=True):
    """What was committed ``interval`` seconds ago has to reach the disk."""


class DiskDone(msgspec.Struct, frozen=True):
    """The thread has waited for the disk, which has it all, or failed."""

    error: BaseException | None


class Box(Protocol):
    """Of a mailbox, what it takes to be told."""

    def after(self, delay: float, message: object) -> Timer:
        """Deliver it then."""

    def watch(self, fd: int, read: Callable[[], Iterable[object]]) -> None:
        """Deliver what ``read`` returns when ``fd`` is readable."""


class Syncing:
    """One wait at a time; who comes during one waits for the next, which covers more.

    ``begin`` is the database's ``begin_sync``; ``on_full`` is told that it found no room.
    """

    def __init__(
        self,
        *,
        begin: Callable[[], Wait | None],
        on_full: Callable[[DiskFullError], None],
        interval: float,
        box: Box,
        clock: Clock,
    ) -> None:
        self.interval = interval  # seconds from a commit to the sync that nobody asked for
        self._begin, self._on_full = begin, on_full
        self._box, self._now = box, clock.monotonic
        self._is_due = False  # a timer runs; one for all commits until it fires
        self._is_under_way = self._is_wanted = self._is_told = False
        self._began = 0.0
        self._waiting: list[Delivery] = []  # for the one that is under way
        self._next: list[Delivery] = []
        self._waits: SimpleQueue[Wait | None] = SimpleQueue()
        self._over: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        box.watch(self._wakeup, self._ended)

    def later(self) -> None:
        """Something was committed."""
        if not self._is_due:
            self._is_due = True
            self._box.after(self.interval, SyncDue())

    def due(self) -> None:
        """``SyncDue`` came."""
        self._is_due = False
        try:
            self._want()
        except DiskFullError as error:  # tried again as long as the barrier has no room
            self._on_full(error)
            self.later()
        if self._is_under_way and not self._is_told and self._now() - self._began > SLOW:
            self._is_told = True
            logger.warning(
                "the disk takes over {:.0f} s for one sync: what is committed since would not "
                "survive a loss of power", SLOW,
            )  # fmt: skip

    def ask(self, delivery: Delivery) -> None:
        """Answer it when all that is committed now is on the disk.  Raises DiskFullError."""
        self._next.append(delivery)
        try:
            self._want()
        except DiskFullError:
            self._next.remove(delivery)
            raise

    def done(self, message: DiskDone) -> None:
        """``DiskDone`` came.  Raises its error: nobody knows what reached the disk."""
        self._is_under_way = self._is_told = False
        if message.error is not None:
            raise message.error
        self._answer()
        if self._is_wanted:
            self._go_on()

    def stop(self) -> None:
        """Answer who waits for the wait that is under way, when that is over; begin no other."""
        if self._thread is None:
            return
        self._waits.put(None)
        self._thread.join()
        while not self._over.empty():
            if self._over.get() is None:
                self._answer()

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            delivery.set(Synced())

    def _want(self) -> None:
        self._is_wanted = self._is_under_way
        if self._is_wanted:
            return
        wait = self._begin()
        self._waiting += self._next
        self._next = []
        if wait is None:
            self.done(DiskDone(None))
            return
        if self._thread is None and not self._start():
            wait()
            self.done(DiskDone(None))
            return
        self._is_under_way, self._began = True, self._now()
        self._waits.put(wait)

    def _go_on(self) -> None:
        try:
            self._want()
        except DiskFullError as error:
            refused, self._next = self._next, []
            for delivery in refused:
                delivery.set_exception((type(error), error, None))
            self._on_full(error)
            self.later()

    def _start(self) -> bool:
        """Whether there is a thread now; without memory for one this thread waits."""
        thread = threading.Thread(target=self._work, name="disk", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            return False
        self._thread = thread
        return True

    def _ended(self) -> Iterable[object]:
        os.eventfd_read(self._wakeup)
        while not self._over.empty():
            yield DiskDone(self._over.get())

    def _work(self) -> None:
        """All that the thread does."""
        while (wait := self._waits.get()) is not None:
            error: BaseException | None = None
            try:
                wait()
            except BaseException as caught:  # raised by ``done``, where it is somebody's
                error = caught
            self._over.put(error)
            os.eventfd_write(self._wakeup, 1)
