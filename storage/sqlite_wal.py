"""The write-ahead log: copied into the database file often enough, and watched for who stops it."""

from __future__ import annotations

import contextlib
from typing import Final, cast

import apsw
from loguru import logger

from holdfast.storage.ports import Wal
from holdfast.storage.sqlite_connection import PAGE_SIZE
from holdfast.storage.sqlite_wal_pass import WalPass, copy_log

__all__ = ["WalKeeper"]

# All are numbers of PAGE_SIZE; of larger pages as many fewer.
# 64 MB: fewer checkpoints rewrite hot pages less often.
CHECKPOINT_FRAMES: Final = 8_000
# The log begins anew only when no commit came during a pass.  Where they come all the time, the
# writer stops once for the last of its pages, when it is so many times as long.
LONGEST: Final = 2
FEW_FRAMES: Final = 256  # for which the writer may stop: 2 MiB and two fsyncs
PASSES: Final = 4  # then it stops however many are left; each pass leaves fewer than the one before
FLUSH_FRAMES: Final = 256  # 2 MiB: less a barrier writes as quickly itself
# A supervisor that stops its writer waits 5 s; most of it belongs to what is still to be written.
CLOSE_TIMEOUT: Final = 1_000  # milliseconds


class WalKeeper:
    """Does what SQLite's own automatic checkpoint does, beside the commits, and says so."""

    def __init__(self, connection: apsw.Connection, *, path: str, vfs: str | None = None) -> None:
        self._connection = connection
        self._path = path
        self._pass = WalPass(path, vfs=vfs)
        self._share = PAGE_SIZE / cast(int, connection.pragma("page_size"))
        self._frames = 0
        self._checkpointed = 0
        self._stuck = 0
        self._attempted = 0  # frames in the log at the last attempt
        self._passes = 0  # in a row, since the log is long
        self._flushed = 0  # frames in the log when it was written to the disk last
        self._logs = 0  # begun so far, to tell what a pass says of an earlier one
        self._log_of_pass = 0
        connection.set_wal_hook(self._note_commit)

    @property
    def figures(self) -> Wal:
        """The state of the log after the last commit."""
        return Wal(self._frames, self._checkpointed, self._stuck, self._is_to_be_ended())

    def _note_commit(self, connection: apsw.Connection, name: str, frames: int) -> int:
        if frames < self._frames:
            # All of it was in the database file, so the writer began at its start again.
            self._checkpointed = self._attempted = self._passes = self._flushed = 0
            self._logs += 1
        self._frames = frames
        return apsw.SQLITE_OK

    def maintain(self) -> Wal:
        """Checkpoint when it is due.  What went wrong in a pass is raised here afterwards."""
        copied = self._pass.take()
        if copied is not None and self._log_of_pass == self._logs:
            self._note_pass(*copied)
            if self._is_to_be_ended():
                self._end_log()
        if not self._pass.is_under_way and self._has_grown(self._attempted, CHECKPOINT_FRAMES):
            self._begin_pass()
        return self.figures

    def flush(self) -> None:
        """Begin to write the log to the disk, of which nobody is told: a barrier that follows has
        less to wait for then, and commits wait for the barrier."""
        if not self._pass.is_under_way and self._has_grown(self._flushed, FLUSH_FRAMES):
            self._flushed = self._frames
            self._pass.flush()

    def wait(self) -> Wal:
        """Maintain it once the pass under way has ended, if there is one."""
        self._pass.wait()
        return self.maintain()

    def _has_grown(self, since: int, by: int) -> bool:
        return self._frames >= since + by * self._share

    def _begin_pass(self) -> None:
        self._attempted = self._frames
        self._log_of_pass = self._logs
        self._pass.begin()

    def _note_pass(self, frames: int, copied: int) -> None:
        """``frames`` are those that were there when it began: without a reader all are copied."""
        self._attempted, self._checkpointed = frames, copied
        self._watch(is_stuck=copied < frames)

    def _is_to_be_ended(self) -> bool:
        """Whether commits keep the log from beginning anew, and have for long enough."""
        is_long = self._has_grown(0, LONGEST * CHECKPOINT_FRAMES)
        return is_long and self._frames > self._checkpointed and not self._stuck

    def _end_log(self) -> None:
        """Copy the few pages that came during the pass while nothing is committed."""
        if self._has_grown(self._checkpointed, FEW_FRAMES) and self._passes < PASSES:
            self._passes += 1
            self._begin_pass()
            return
        self._passes = 0
        with contextlib.suppress(apsw.BusyError):  # another program is at it
            self._note_pass(*copy_log(self._connection))

    def _watch(self, *, is_stuck: bool) -> None:
        """One attempt meets a reader at work by chance; two in a row do not."""
        self._stuck = self._stuck + 1 if is_stuck else 0
        if self._stuck == 2:
            logger.warning(
                "{}: a reader keeps {} pages of the log from being checkpointed; "
                "end the program that holds a read transaction open",
                self._path,
                self._frames - self._checkpointed,
            )

    def release(self) -> None:
        """After the connection has been closed: the end."""
        self._pass.release()

    def empty(self) -> None:
        """At the end: copy everything, leave no log."""
        self._pass.close()
        self._connection.set_busy_timeout(CLOSE_TIMEOUT)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            logger.warning(
                "{}: a reader kept the log from being emptied; the next start does it", self._path
            )
