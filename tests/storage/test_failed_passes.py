"""What a pass beside the connection leaves when its fsync failed, or when it is cut short."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.errors import StorageError
from holdfast.storage import sqlite_wal
from holdfast.storage.migrating.sqlite_source import move_aside
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.faults.vfs import io_error
from tests.storage.conftest import Opener
from tests.storage.faulty_vfs import FaultyDisk
from tests.storage.making import append, event

DUE = 20  # pages of the log
COUNT = 20 * DUE  # events that are more
LARGE = f'"{"x" * 900}"'


@pytest.fixture(autouse=True)
def soon_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", DUE)


@pytest.fixture
def before(path: Path, open_database: Opener) -> bytes:
    """What the disk has of the database when all that is copied into it later gets lost."""
    open_database().close()
    return path.read_bytes()


@pytest.fixture
def failed(before: bytes, open_database: Opener, disk: FaultyDisk) -> SqliteDatabase:
    """Its log is in the database as far as SQLite knows, and not on the disk."""
    database = open_database(vfs="faulty")
    append(database, [event(data=LARGE)] * COUNT)
    work = database.begin_checkpoint()
    assert work is not None
    disk.on_write = lambda: append(database, [event()])  # so that SQLite leaves the sync to us
    disk.database_sync_fault = io_error("sync")
    with pytest.raises(StorageError, match="the disk reports an error"):
        work()
    disk.database_sync_fault = None
    return database


def check_all_is_in_the_log(path: Path, before: bytes, open_database: Opener, count: int) -> None:
    path.write_bytes(before)
    again = open_database()
    again.close()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM events").fetchone() == (count,)


def test_a_stop_keeps_the_log_that_is_the_only_sure_copy(
    path: Path, before: bytes, failed: SqliteDatabase, open_database: Opener
) -> None:
    """The thread may fail when the writer was told to stop, which hears of it no more."""
    failed.close()
    check_all_is_in_the_log(path, before, open_database, COUNT + 1)


def test_a_stop_whose_own_fsync_fails_keeps_the_log(
    path: Path, before: bytes, open_database: Opener, disk: FaultyDisk
) -> None:
    """SQLite's close would try again, what it copied earlier left out, and delete the log."""
    database = open_database(vfs="faulty")
    append(database, [event(data=LARGE)] * COUNT)
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    viewer.execute("BEGIN; SELECT count(*) FROM events").fetchall()
    append(database, [event()])
    assert database.checkpoint().checkpointed > 0  # without a sync: the viewer is in the way
    viewer.close()
    disk.database_sync_fault = io_error("sync")
    with pytest.raises(StorageError, match="the disk reports an error"):
        database.close()
    disk.database_sync_fault = None
    check_all_is_in_the_log(path, before, open_database, COUNT + 1)


def test_nothing_begins_the_log_anew_before_the_failure_is_heard_of(
    failed: SqliteDatabase,
) -> None:
    long = failed.wal.frames
    for is_hurried, is_pressed in ((False, False), (True, False), (False, True)):
        append(failed, [event(data=LARGE)] * COUNT)
        assert failed.begin_checkpoint() is None
        failed.checkpoint(is_hurried=is_hurried, is_pressed=is_pressed)
        append(failed, [event()])
        assert failed.wal.frames > long
        long = failed.wal.frames


def test_a_database_that_is_moved_aside_is_settled_first(
    path: Path, before: bytes, failed: SqliteDatabase, open_database: Opener
) -> None:
    failed.close()
    path.write_bytes(before)
    aside = Path(move_aside(str(path)))
    assert not Path(f"{path}.doubt").exists()
    with closing(sqlite3.connect(aside)) as file:
        assert file.execute("SELECT count(*) FROM events").fetchone() == (COUNT + 1,)


def test_a_pass_that_is_cut_short_ends_with_the_step_that_it_is_at(
    path: Path, open_database: Opener, disk: FaultyDisk
) -> None:
    """A stop has five seconds, of which a slow disk takes one for each fsync."""
    database = open_database(vfs="faulty")
    append(database, [event(data=LARGE)] * COUNT)
    work = database.begin_checkpoint()
    assert work is not None
    append(database, [event()])
    disk.syncs.clear()
    disk.on_write = database.cut_checkpoint_short
    work()
    assert disk.syncs == ["wal", "database"]  # SQLite's own, at the end of the log
    append(database, [event()])
    database.close()
    assert not Path(f"{path}-wal").exists()
    assert open_database().last_seq == COUNT + 2
