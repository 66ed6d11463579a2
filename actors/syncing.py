"""What is committed gets to the disk: the waits for it, in a thread that does nothing else.

Owns who waits for which of them.  Lost when the process dies: nothing, since nobody was answered;
the next life asks for a sync of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
from loguru import logger

from holdfast.actors import disk_thread
from holdfast.actors.delivery import Delivery
from holdfast.actors.disk_thread import SLOW, DiskThread, Work
from holdfast.actors.messages.writer import Synced
from holdfast.actors.reactor import Timer
from holdfast.clock import Clock
from holdfast.errors import DiskFullError

__all__ = ["DiskDone", "SyncDue", "Syncing"]


class SyncDue(msgspec.Struct, frozen=True):
    """What was committed ``interval`` seconds ago has to reach the disk."""


class DiskDone(msgspec.Struct, frozen=True):
    """The thread has waited for the disk, which has it all, or failed."""

    error: BaseException | None


class Box(disk_thread.Box, Protocol):
    """Of a mailbox, what it takes to be told."""

    def after(self, delay: float, message: object) -> Timer:
        """Deliver it then."""


class Syncing:
    """One wait at a time; who comes during one waits for the next, which covers more.

    ``begin`` is the database's ``begin_sync``; ``on_full`` is told that it found no room.
    """

    def __init__(
        self,
        *,
        begin: Callable[[], Work | None],
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
        self._thread = DiskThread("disk", done=DiskDone, box=box)

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
        for error in self._thread.stop():
            if error is None:
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
        if not self._thread.begin(wait):
            wait()
            self.done(DiskDone(None))
            return
        self._is_under_way, self._began = True, self._now()

    def _go_on(self) -> None:
        try:
            self._want()
        except DiskFullError as error:
            refused, self._next = self._next, []
            for delivery in refused:
                delivery.set_exception((type(error), error, None))
            self._on_full(error)
            self.later()
