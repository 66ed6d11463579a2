"""The write-ahead log is copied beside the commits."""

from __future__ import annotations

import threading

import apsw
import pytest

from holdfast.errors import StorageError
from holdfast.storage import sqlite_wal, sqlite_wal_pass
from holdfast.storage.sqlite import SqliteDatabase
from tests.storage.conftest import Opener
from tests.storage.making import append, events

FRAMES = 20


@pytest.fixture
def database(open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> SqliteDatabase:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", FRAMES)
    return open_database()


def test_commits_do_not_wait_for_a_pass_over_the_log(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, go_on = sqlite_wal_pass.copy_log, threading.Event()

    def copy_late(connection: apsw.Connection) -> tuple[int, int]:
        assert go_on.wait(30.0)
        return copy(connection)

    monkeypatch.setattr(sqlite_wal_pass, "copy_log", copy_late)
    for _ in range(10):
        append(database, events(20))
        assert database.checkpoint().checkpointed == 0
    assert database.last_seq == 200
    go_on.set()
    assert database.checkpoint(wait=True).checkpointed > FRAMES


def test_a_log_that_commits_never_leave_alone_begins_anew_all_the_same(
    database: SqliteDatabase,
) -> None:
    longest, beginnings, frames = 0, 0, database.wal.frames
    for _ in range(200):
        append(database, events(5))
        wal = database.checkpoint()
        append(database, events(5))  # during the pass
        database.checkpoint(wait=True)
        beginnings += wal.frames < frames
        frames = wal.frames
        longest = max(longest, frames)
    assert beginnings > 5
    assert longest < 10 * FRAMES


def test_what_went_wrong_in_a_pass_is_told_with_a_later_commit(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: apsw.Connection) -> tuple[int, int]:
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(sqlite_wal_pass, "copy_log", fail)
    append(database, events(100))
    database.checkpoint()
    with pytest.raises(StorageError, match="disk reports an error"):
        database.checkpoint(wait=True)
