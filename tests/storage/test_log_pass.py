"""The log is copied into the database beside the writer's connection, which commits meanwhile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.errors import DiskFullError, StorageError
from holdfast.storage import sqlite_wal
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.faults.plan import Operation
from holdfast.testing.faults.power.dying import abandon
from holdfast.testing.faults.vfs import io_error
from tests.storage.conftest import Opener, ReaderOpener
from tests.storage.faulty_vfs import FaultyDisk
from tests.storage.making import append, event

DUE = 20  # pages of the log
TIMEOUT = 20.0  # seconds; a bound of failure
LARGE = f'"{"x" * 900}"'


class SlowDisk(FaultyDisk):
    """Once ``is_slow``, a sync of the database file ends when it may."""

    def __init__(self, name: str) -> None:
        self.is_slow = False
        self.began, self.may_end = threading.Event(), threading.Event()
        super().__init__(name)

    def before(self, operation: Operation, file: str, end: int) -> None:
        super().before(operation, file, end)
        if self.is_slow and operation == "sync" and file == "holdfast.db":
            self.began.set()
            assert self.may_end.wait(TIMEOUT)


@pytest.fixture(autouse=True)
def soon_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", DUE)


@pytest.fixture
def slow() -> Iterator[SlowDisk]:
    disk = SlowDisk("slow")
    yield disk
    disk.may_end.set()
    disk.unregister()


def fill(database: SqliteDatabase) -> None:
    """More than makes a checkpoint due."""
    append(database, [event(data=LARGE)] * 20 * DUE)


def begun(database: SqliteDatabase) -> Callable[[], None]:
    fill(database)
    work = database.begin_checkpoint()
    assert work is not None
    return work


def test_commits_go_on_while_a_pass_waits_for_the_disk(
    open_database: Opener, open_reader: ReaderOpener, slow: SlowDisk
) -> None:
    database = open_database(vfs="slow")
    work = begun(database)
    slow.is_slow = True
    thread = threading.Thread(target=work)
    thread.start()
    assert slow.began.wait(TIMEOUT)
    before = database.last_seq
    for _ in range(10):
        fill(database)
        assert database.begin_checkpoint() is None, "one at a time"
        database.checkpoint()
    assert database.last_seq == before + 10 * 20 * DUE
    slow.is_slow = False
    slow.may_end.set()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    database.checkpoint()
    long = database.wal.frames
    fill(database)
    assert database.wal.frames < long, "all of it was copied, so the log began anew"
    database.close()
    assert open_reader().last_seq() == database.last_seq


def test_a_pass_copies_what_was_there_and_the_connection_finishes(
    path: Path, open_database: Opener, tmp_path: Path
) -> None:
    database = open_database()
    begun(database)()
    alone = tmp_path / "alone.db"
    alone.write_bytes(path.read_bytes())  # without its log
    with closing(sqlite3.connect(alone)) as file:
        assert file.execute("SELECT count(*) FROM events").fetchone() == (20 * DUE,)
    append(database, [event()])
    wal = database.checkpoint()
    assert wal.checkpointed == wal.frames > 0
    assert database.begin_checkpoint() is None


def test_while_a_copier_follows_the_log_is_kept_short(
    open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is stopped for it in the end, and every sender waits for what is left to copy."""
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", 1_000 * DUE)
    monkeypatch.setattr(sqlite_wal, "SHORT_FRAMES", DUE)
    database = open_database()
    fill(database)
    assert database.begin_checkpoint() is None
    database.begin_capture("swap")
    begun(database)()
    database.checkpoint()
    database.close()
    database = open_database()  # it goes on in the next life
    begun(database)()
    database.checkpoint()
    database.end_capture()
    fill(database)
    assert database.begin_checkpoint() is None


def test_nothing_is_begun_before_it_is_due(open_database: Opener) -> None:
    database = open_database()
    begun(database)()
    database.checkpoint()
    append(database, [event()])
    assert database.begin_checkpoint() is None


def test_a_reader_ends_a_pass_early_and_is_no_error(path: Path, open_database: Opener) -> None:
    database = open_database()
    fill(database)
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert viewer.execute("BEGIN; SELECT count(*) FROM events").get == 20 * DUE
    begun(database)()
    wal = database.checkpoint()
    assert wal.checkpointed < wal.frames
    viewer.close()
    begun(database)()
    wal = database.checkpoint()
    assert wal.checkpointed == wal.frames


def test_a_full_disk_is_told_and_the_next_pass_copies_it(
    open_database: Opener, disk: FaultyDisk
) -> None:
    database = open_database(vfs="faulty")
    work = begun(database)
    disk.fault = apsw.FullError
    with pytest.raises(DiskFullError):
        work()
    with pytest.raises(DiskFullError):
        database.checkpoint()
    disk.fault = None
    work = database.begin_checkpoint()  # type: ignore[assignment]  # it is due
    work()
    wal = database.checkpoint()
    assert wal.checkpointed == wal.frames


def test_a_sync_that_fails_in_a_pass_is_named_and_the_next_opening_knows(
    path: Path, open_database: Opener, disk: FaultyDisk
) -> None:
    database = open_database(vfs="faulty")
    work = begun(database)
    disk.sync_fault = io_error("sync")
    with pytest.raises(StorageError, match="the disk reports an error"):
        work()
    assert Path(f"{path}.doubt").exists()
    disk.sync_fault = None


def test_without_a_connection_of_its_own_the_writers_does_it_all(
    open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_path: str, _vfs: str) -> None:
        raise StorageError("too many open files")

    monkeypatch.setattr(sqlite_wal, "LogPass", refused)
    database = open_database()
    fill(database)
    assert database.begin_checkpoint() is None
    wal = database.checkpoint()
    assert wal.checkpointed == wal.frames


READER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
print(file.execute("SELECT count(*) FROM events").fetchone()[0], flush=True)
sys.stdin.read()
"""


def test_pages_that_an_fsync_has_lost_are_copied_again(
    path: Path, open_database: Opener, disk: FaultyDisk, tmp_path: Path
) -> None:
    """A reader keeps the log's index, by which they are in the database already."""
    database = open_database(vfs="faulty")
    append(database, [event(data=LARGE)])
    before = path.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"1\n"
        work = begun(database)
        disk.on_write = lambda: append(database, [event()])  # so that SQLite leaves the sync to us
        disk.database_sync_fault = io_error("sync")
        with pytest.raises(StorageError, match="the disk reports an error"):
            work()
        abandon(database)
        disk.database_sync_fault = None
        path.write_bytes(before)  # what the disk has of it
        database = open_database(vfs="faulty")
        assert database.checkpoint(is_pressed=True).checkpointed > 0
        assert reader.stdin is not None
        reader.stdin.close()
    alone = tmp_path / "alone.db"
    alone.write_bytes(path.read_bytes())  # without its log
    with closing(sqlite3.connect(alone)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM events").fetchone() == (20 * DUE + 2,)
