"""The write-ahead log: copied into the database file often enough, and watched for who stops it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Final, cast

import apsw
from loguru import logger

from holdfast.errors import StorageError
from holdfast.storage.log_pass import LogPass
from holdfast.storage.log_sync import FILE_SYNCS
from holdfast.storage.ports import Wal
from holdfast.storage.sqlite_connection import BUSY_TIMEOUT
from holdfast.storage.sqlite_doubt import is_in_doubt
from holdfast.storage.wal_file import FRAME_HEAD, HEAD, cut_off_in

__all__ = ["WalKeeper"]

# 64 MB of 8 KiB pages: fewer checkpoints rewrite hot pages less often.
CHECKPOINT_FRAMES: Final = 8_000
# 4 MB while a copier follows: the writer is stopped for it, and everybody waits for what is left.
SHORT_FRAMES: Final = 500
# 2 MiB: some 5 ms, where 64 MB are 50 and more.
HURRIED_FRAMES: Final = 256
# 256 MB: with readers that overlap there is no moment without one, so that the log never begins
# anew by itself.  From here on commits wait for them, once in CHECKPOINT_FRAMES; not for who has
# been reading for long, whom all of the log would have to be copied behind.
LONG_FRAMES: Final = 32_000
PATIENCE: Final = 200  # milliseconds, for all of them; new ones are in nobody's way
# 8 MB: more at once is for a pass; a reader may have let go of a gigabyte just now.
MOST_FRAMES: Final = 1_000
# Where room is scarce the log takes one in so many bytes of what is free, but some pages.
SHARE: Final = 4
FEWEST_FRAMES: Final = 16
# A supervisor that stops its writer waits 5 s; most of it belongs to what is still to be written.
CLOSE_TIMEOUT: Final = 1_000  # milliseconds


class WalKeeper:
    """Does what SQLite's own automatic checkpoint does, outside of commits, and says so."""

    def __init__(self, connection: apsw.Connection, *, path: str, vfs: str | None = None) -> None:
        self._connection = connection
        self._path = path
        self._pass: LogPass | None = None  # from the first one on
        self._can_pass = True  # as far as is known
        self._is_to_finish = False  # what a pass beside the connection has begun
        self._is_file = vfs is None  # not so sure of what a test's file system has
        self._frames = 0
        self._checkpointed = 0
        self._stuck = 0
        self._attempted = 0  # frames in the log at the last attempt
        self._long = LONG_FRAMES  # frames in the log at the next wait for readers
        self.is_kept_short = False  # for a stop that others wait for
        self._page_size = cast(int, connection.pragma("page_size"))
        connection.set_wal_hook(self._note_commit)

    def look_for_cut(self) -> int:
        """How many pages of the log are behind a broken one, and are lost; told, and kept aside.

        At the start, before the first commit.
        """
        if not self._is_file:
            return 0
        with contextlib.suppress(apsw.BusyError):
            frames, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            log = f"{self._path}-wal"
            if lost := cut_off_in(log, frames, self._page_size):
                kept = f"{log}.cut-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
                with contextlib.suppress(OSError):  # a full disk: it is told all the same
                    shutil.copyfile(log, kept)
                logger.error(
                    "{}: the log is broken after {} pages, and the {} behind that are lost, "
                    "commits among them: a power cut does so, or the disk; it is kept as {}",
                    self._path,
                    frames,
                    lost,
                    kept,
                )
                return lost
        return 0

    @property
    def figures(self) -> Wal:
        """The state of the log after the last commit."""
        return Wal(self._frames, self._checkpointed, self._stuck)

    def _note_commit(self, connection: apsw.Connection, name: str, frames: int) -> int:
        if frames < self._frames:
            # All of it was in the database file, so the writer began at its start again.
            self._checkpointed = 0
            self._attempted = 0
            self._long = LONG_FRAMES
        self._frames = frames
        return apsw.SQLITE_OK

    def begin(self, every: int | None = None) -> LogPass | None:
        """The long part of a checkpoint that is due, for any thread; ``maintain`` does the rest.

        It is due when the log has grown by ``every`` pages.
        """
        if self._is_to_finish or not self._is_due(every):
            return None
        if self._pass is None:
            self._can_pass = (vfs := self._connection.open_vfs) in FILE_SYNCS
            if not self._can_pass:
                return None
            try:
                self._pass = LogPass(self._path, vfs)
            except StorageError:  # then the connection does it all
                self._can_pass = False
                return None
        self._is_to_finish = True
        return self._pass.begin()

    def cut_short(self) -> None:
        """Have the pass that is under way, if one is, end with the step that it is at."""
        if self._pass is not None:
            self._pass.is_cut_short = True

    def maintain(self, *, is_hurried: bool) -> Wal:
        """Checkpoint when it is due; earlier, and so shorter, when somebody must not wait."""
        if self._is_passing:
            return self.figures
        if self._is_to_finish:
            # What a reader has kept from the pass, and may have let go of since, is for the next.
            left = self._pass.left if self._pass is not None else 0
            self._is_to_finish = False
            self._attempt(left, is_hurried=is_hurried)
        elif self._is_due(HURRIED_FRAMES if is_hurried else None) and not (
            is_hurried and self._can_pass and self._frames - self._checkpointed > MOST_FRAMES
        ):
            self._attempt(0, is_hurried=is_hurried)
        return self.figures

    def _attempt(self, left: int, *, is_hurried: bool) -> None:
        if left > MOST_FRAMES:
            self._attempted = self._frames
            self._checkpointed = max(self._checkpointed, self._frames - left)
        else:
            if not self._copy():
                self._attempted = self._frames
            if self._frames >= self._long and self._attempted - self._checkpointed <= MOST_FRAMES:
                self._wait_for_readers()
        if not is_hurried:  # those meet a reader at work too often to say anything
            self._watch(is_stuck=self._checkpointed < self._attempted)

    def _copy(self, mode: int = apsw.SQLITE_CHECKPOINT_PASSIVE) -> bool:
        """False: another program is at it, or with RESTART a reader.

        PASSIVE as a rule, never TRUNCATE here: TRUNCATE waits for readers and stalls every agent.
        """
        with contextlib.suppress(apsw.BusyError):
            self._attempted, self._checkpointed = self._connection.wal_checkpoint(mode=mode)
            return True
        return False

    def _wait_for_readers(self) -> None:
        """Have the next commit begin the log anew, if those that read now end soon."""
        self._long = self._frames + CHECKPOINT_FRAMES
        self._connection.set_busy_timeout(PATIENCE)
        try:
            self._copy(apsw.SQLITE_CHECKPOINT_RESTART)
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT)

    @property
    def _is_passing(self) -> bool:
        return self._pass is not None and self._pass.is_under_way

    def _is_due(self, every: int | None) -> bool:
        grown = self._frames - self._attempted
        return grown >= FEWEST_FRAMES and grown >= (every or self._most_frames())

    def _most_frames(self) -> int:
        """Fewer where the disk is nearly full: the log must not take the room to be copied into."""
        wanted = SHORT_FRAMES if self.is_kept_short else CHECKPOINT_FRAMES
        if not self._is_file:
            return wanted
        try:
            disk = os.statvfs(self._path)
        except OSError:
            return wanted
        fitting = disk.f_bavail * disk.f_frsize // SHARE // self._page_size
        return max(FEWEST_FRAMES, min(wanted, fitting))

    def make_room(self) -> Wal:
        """The disk is full: have the log be begun anew, where what it holds finds a place.

        What transactions that failed have left at its end goes back to the disk first: most
        pages of the rest are in the database file already, and so need no room there.
        Raises FullError.
        """
        if self._is_file and self._frames:
            self._cut_what_failed()
        if self._is_passing:
            return self.figures
        self._copy()
        return self.figures

    def _cut_what_failed(self) -> None:
        size = HEAD + self._frames * (FRAME_HEAD + self._page_size)
        self._connection.execute("BEGIN IMMEDIATE")  # nobody else appends
        try:
            with contextlib.suppress(OSError):
                if os.stat(name := f"{self._path}-wal").st_size > size:
                    os.truncate(name, size)
        finally:
            self._connection.execute("ROLLBACK")

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

    def close(self) -> None:
        """Let go of what passes have open; none is under way.  ``release`` follows."""
        if self._pass is not None:
            self._pass.close()

    def release(self) -> None:
        """After the connection was closed."""
        if self._pass is not None:
            self._pass.release()
            self._pass = None

    def empty(self) -> None:
        """At the end: copy everything, leave no log; all of it where an fsync has failed."""
        self.close()
        if is_in_doubt(self._path):
            logger.warning(
                "{}: an fsync failed, so the log is kept; the next start writes it again",
                self._path,
            )
            return
        self._connection.set_busy_timeout(CLOSE_TIMEOUT)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            logger.warning(
                "{}: a reader kept the log from being emptied; the next start does it", self._path
            )
        except apsw.FullError:
            logger.warning(
                "{}: the disk is full, so the log was not emptied; nothing of it is lost, and the "
                "next start goes on with it",
                self._path,
            )
