"""The database's log: looked after behind each commit, the long part of it in a thread.

Owns what was said of it.  Lost when the process dies: nothing; the next life finds the log as long
as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from loguru import logger

from holdfast.actors.disk_thread import SLOW, Box, DiskThread
from holdfast.clock import Clock
from holdfast.errors import DiskFullError, StorageError
from holdfast.storage.ports import Database

__all__ = ["CheckpointDone", "LogKeeping"]

STUCK_WARNING: Final = 2  # blocked attempts in a row to empty the write-ahead log


class CheckpointDone(msgspec.Struct, frozen=True):
    """The thread has copied what was in the log when it began, or failed."""

    error: BaseException | None


class LogKeeping:
    """Of the writer's ``database``, which is asked for each time: it may not be open yet."""

    def __init__(self, *, database: Callable[[], Database], box: Box, clock: Clock) -> None:
        self._database, self._now = database, clock.monotonic
        self._thread = DiskThread("checkpoint", done=CheckpointDone, box=box)
        self._began: float | None = None  # when the thread did; None: nothing is under way
        self._warned_stuck = self._warned_full = self._warned_slow = False

    def look(self, *, is_hurried: bool = False, is_pressed: bool = False) -> None:
        """Something was committed, or could not be: see ``Database.checkpoint``."""
        self._warn_if_slow()
        try:
            if not is_pressed:
                self._begin()
            wal = self._database().checkpoint(is_hurried=is_hurried, is_pressed=is_pressed)
        except DiskFullError as error:  # the log is kept, and copied later
            self.warn_of_full_disk(error)
            return
        if wal.stuck < STUCK_WARNING:
            self._warned_stuck = False
        elif not self._warned_stuck:
            self._warned_stuck = True
            logger.warning(
                "the write-ahead log holds {} pages and cannot be emptied: a reader keeps a "
                "snapshot open; close viewers of the database",
                wal.frames,
            )

    def _begin(self) -> None:
        work = self._database().begin_checkpoint()
        if work is None:
            return
        if self._thread.begin(work):
            self._began = self._now()
        else:
            work()

    def _warn_if_slow(self) -> None:
        if self._began is None or self._warned_slow or self._now() - self._began <= SLOW:
            return
        self._warned_slow = True
        logger.warning(
            "the disk takes over {:.0f} s to take the write-ahead log into the database; the log "
            "grows until it has", SLOW,
        )  # fmt: skip

    def done(self, message: CheckpointDone) -> None:
        """``CheckpointDone`` came.  Raises its error, but for a full disk."""
        self._began, self._warned_slow = None, False
        if isinstance(message.error, DiskFullError):
            self.on_full(message.error)
        elif message.error is not None:
            raise message.error
        else:
            self.look()

    def stop(self) -> None:
        """Wait for the thread, which ends soon; the rest is done when the database is closed.

        Of an fsync that failed the database itself knows, and keeps its log.
        """
        if self._began is not None:
            self._database().cut_checkpoint_short()
        self._thread.stop()

    def on_full(self, error: DiskFullError) -> None:
        """Something found no room: say so, and give back what the log can do without."""
        self.warn_of_full_disk(error)
        self.look(is_pressed=True)

    def warn_of_full_disk(self, error: StorageError) -> None:
        """Once, until something was committed."""
        if not self._warned_full:
            self._warned_full = True
            logger.warning("{}; trying again and again", error)

    def has_room(self) -> None:
        """Something was committed."""
        self._warned_full = False
