"""The end of a writer in this process as SIGKILL would have it: nothing is copied or deleted."""

from __future__ import annotations

import apsw

from holdfast.storage.sqlite import SqliteDatabase

__all__ = ["abandon"]


def abandon(database: SqliteDatabase) -> None:
    """Let go of its files as they are; the next one recovers them."""
    database._wal.close()
    database._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    database._connection.close()
    database._wal.release()
    database._lock.release()
    database._is_closed = True
