"""The write-ahead log: copied into the database file often enough, and watched for who stops it."""

from __future__ import annotations

import contextlib
from typing import Final

import apsw
from loguru import logger

from holdfast.storage.ports import Wal

__all__ = ["WalKeeper"]

# 64 MB of 8 KiB pages: fewer checkpoints rewrite hot pages less often.
CHECKPOINT_FRAMES: Final = 8_000
# 2 MiB: some 5 ms, where 64 MB are 50 and more.
HURRIED_FRAMES: Final = 256
# A supervisor that stops its writer waits 5 s; most of it belongs to what is still to be written.
CLOSE_TIMEOUT: Final = 1_000  # milliseconds


class WalKeeper:
    """Does what SQLite's own automatic checkpoint does, outside of commits, and says so."""

    def __init__(self, connection: apsw.Connection, *, path: str) -> None:
        self._connection = connection
        self._path = path
        self._frames = 0
        self._checkpointed = 0
        self._stuck = 0
        self._attempted = 0  # frames in the log at the last attempt
        connection.set_wal_hook(self._note_commit)

    @property
    def figures(self) -> Wal:
        """The state of the log after the last commit."""
        return Wal(self._frames, self._checkpointed, self._stuck)

    def _note_commit(self, connection: apsw.Connection, name: str, frames: int) -> int:
        if frames < self._frames:
            # All of it was in the database file, so the writer began at its start again.
            self._checkpointed = 0
            self._attempted = 0
        self._frames = frames
        return apsw.SQLITE_OK

    def maintain(self, *, is_hurried: bool) -> Wal:
        """Checkpoint when it is due; earlier, and so shorter, when somebody must not wait."""
        every = HURRIED_FRAMES if is_hurried else CHECKPOINT_FRAMES
        if self._frames >= self._attempted + every:
            # PASSIVE, never TRUNCATE here: TRUNCATE waits for readers and stalls every agent.
            frames = self._frames
            # Busy: another program is at it.  That is no progress of ours either.
            with contextlib.suppress(apsw.BusyError):
                frames, self._checkpointed = self._connection.wal_checkpoint(
                    mode=apsw.SQLITE_CHECKPOINT_PASSIVE
                )
            self._attempted = frames
            if not is_hurried:  # those meet a reader at work too often to say anything
                self._watch(is_stuck=self._checkpointed < frames)
        return self.figures

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

    def empty(self) -> None:
        """At the end: copy everything, leave no log."""
        self._connection.set_busy_timeout(CLOSE_TIMEOUT)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            logger.warning(
                "{}: a reader kept the log from being emptied; the next start does it", self._path
            )
