"""The file: made right, refused when it is not ours, owned by one writer, left clean."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from loguru import logger

from holdfast.errors import AlreadyRunningError, FencedError, SchemaError, StorageError
from holdfast.storage import sqlite_schema, sqlite_wal
from holdfast.storage.checkpoint_records import StoreCheckpoint
from holdfast.storage.commands import Command
from holdfast.storage.database_file import PAGE_SIZE
from holdfast.storage.ports import NoDatabaseError
from holdfast.storage.records import AppendEvents
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.wal_file import FRAME_HEAD, HEAD, cut_off_in
from tests.storage.conftest import Opener, ReaderOpener, StillClock
from tests.storage.making import append, event, events, origin

WRITER = """
import signal, sys
from holdfast.clock import SystemClock
from holdfast.storage.records import AppendEvents, Origin
from holdfast.storage.sqlite import SqliteDatabase

database = SqliteDatabase(sys.argv[1], daemon="d", durability="committed", clock=SystemClock())
event = (1, "t", "s", None, None, None, None, None, 0, None, "{}")
first = 1
while True:
    (outcome,) = database.apply([AppendEvents(Origin("a", "1.1", "log", first), [event] * 3)])
    print(outcome.mark, flush=True)
    first = outcome.mark + 1
"""


@pytest.fixture
def other_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes; it has printed its first acknowledgement."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 10)
    assert ready, "the other writer did not start"
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


def pragma(path: Path, name: str) -> object:
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return viewer.pragma(name)
    finally:
        viewer.close()


def test_a_new_file_has_what_only_a_new_file_can_be_given(
    database: SqliteDatabase, path: Path
) -> None:
    assert pragma(path, "page_size") == 8192
    assert pragma(path, "auto_vacuum") == 2
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "user_version") == sqlite_schema.VERSION
    assert pragma(path, "application_id") == sqlite_schema.APPLICATION_ID


def test_a_creation_that_was_interrupted_is_finished(path: Path, open_database: Opener) -> None:
    half = apsw.Connection(str(path))
    half.pragma("page_size", 16384)
    half.pragma("auto_vacuum", 2)
    half.pragma("journal_mode", "wal")
    half.close()
    assert append(open_database(), events(1)).first_seq == 1


def test_a_newer_schema_is_refused_with_both_versions(path: Path, open_database: Opener) -> None:
    open_database().close()
    newer = apsw.Connection(str(path))
    newer.pragma("user_version", 99)
    newer.close()
    before = path.read_bytes()
    for open_it in (open_database, lambda: SqliteReader(path)):
        with pytest.raises(SchemaError, match=f"version 99.*up to {sqlite_schema.VERSION}"):
            open_it()
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_refused_and_left_alone(
    path: Path, open_database: Opener
) -> None:
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    for open_it in (open_database, lambda: SqliteReader(path)):
        with pytest.raises(SchemaError, match="another program"):
            open_it()
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path, open_database: Opener) -> None:
    path.write_text("just some text, long enough to be read as a header\n" * 100)
    for open_it in (open_database, lambda: SqliteReader(path)):
        with pytest.raises(SchemaError, match="a text that begins 'just some"):
            open_it()


def test_a_folder_that_is_missing_or_read_only_is_named(path: Path) -> None:
    # Even root cannot make files in /proc.
    for where in (path.parent / "missing" / "x.db", Path("/proc/x.db")):
        with pytest.raises(StorageError, match=f"{where}.lock: cannot be created.*folder"):
            SqliteDatabase(where, daemon="d", durability="committed", clock=None)  # type: ignore[arg-type]  # not reached


def test_a_path_that_is_a_folder_is_an_error(path: Path, open_database: Opener) -> None:
    path.mkdir()
    with pytest.raises(StorageError, match=r"holdfast\.db"):
        open_database()


def test_an_sqlite_that_corrupts_is_refused(
    monkeypatch: pytest.MonkeyPatch, open_database: Opener
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StorageError, match=r"3\.51\.2 is older than 3\.51\.3.*pip install"):
        open_database()


def test_a_step_of_a_migration_is_all_or_nothing(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database().close()
    steps = (*sqlite_schema.MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", steps)
    monkeypatch.setattr(sqlite_schema, "VERSION", len(steps))
    with pytest.raises(StorageError, match="nowhere"):
        open_database()
    monkeypatch.undo()
    assert append(open_database(), events(1)).first_seq == 1


def test_a_second_writer_is_refused_with_path_and_pid(
    path: Path, other_writer: subprocess.Popen[str], open_database: Opener
) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(AlreadyRunningError, match=f"{path}: pid {other_writer.pid} "):
            SqliteDatabase(name, daemon="d", durability="committed", clock=None)  # type: ignore[arg-type]  # not reached


def test_a_killed_writer_leaves_its_lock_free_and_loses_nothing_acknowledged(
    other_writer: subprocess.Popen[str], open_database: Opener, open_reader: ReaderOpener
) -> None:
    assert other_writer.stdout is not None
    acknowledged = [int(other_writer.stdout.readline()) for _ in range(20)]
    os.kill(other_writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in other_writer.stdout if line.endswith("\n")]
    other_writer.wait(10)
    database = open_database()
    mark = database.mark("a", "1.1", "log").number
    assert mark >= acknowledged[-1]
    assert mark % 3 == 0, "half a frame"
    assert database.last_seq == mark
    assert len(open_reader().newest(mark + 1)) == mark


def test_a_reader_works_while_another_process_writes(
    other_writer: subprocess.Popen[str], open_reader: ReaderOpener
) -> None:
    reader = open_reader()
    assert other_writer.stdout is not None
    for _ in range(50):
        acknowledged = int(other_writer.stdout.readline())
        rows = reader.newest(1_000_000)
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert len(rows) >= acknowledged
        assert len(rows) % 3 == 0


def test_without_the_lock_the_epoch_alone_refuses_a_zombie(
    path: Path, open_database: Opener, open_reader: ReaderOpener
) -> None:
    zombie = open_database()
    append(zombie, events(1), origin(1))
    os.unlink(f"{path}.lock")  # the next writer locks a file of its own
    successor = open_database()
    group: list[Command] = [
        AppendEvents(origin(2), events(1)),
        StoreCheckpoint(None, "planner", 1, "{}"),
    ]
    for attempt in (
        lambda: zombie.apply(group),
        zombie.sync,
        lambda: zombie.forget("planner", "1.1"),
    ):
        with pytest.raises(FencedError, match="epoch 1, but a writer of epoch 2"):
            attempt()
    assert open_reader().last_seq() == 1
    assert append(successor, events(1), origin(2)).first_seq == 2
    assert successor.position().epoch == 2


def test_every_opening_raises_the_epoch(open_database: Opener) -> None:
    for epoch in (1, 2, 3):
        database = open_database()
        assert database.position().epoch == epoch
        database.close()


def test_close_leaves_one_file_and_a_free_lock(path: Path, open_database: Opener) -> None:
    database = open_database()
    append(database, events(1000))
    database.close()
    assert sorted(os.listdir(path.parent)) == ["holdfast.db", "holdfast.db.lock"]
    assert Path(f"{path}.lock").read_text() == "\nmade\n"
    assert append(open_database(), events(1)).first_seq == 1001


def test_close_empties_the_log_although_readers_are_connected(
    path: Path, open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database()
    reader = open_reader()
    append(database, events(100))
    assert len(reader.newest(200)) == 100
    database.close()
    assert os.path.getsize(f"{path}-wal") == 0
    assert len(reader.newest(200)) == 100
    assert len(open_reader().newest(200)) == 100


def test_a_reader_before_the_file_exists_says_so(path: Path) -> None:
    with pytest.raises(NoDatabaseError, match=str(path)):
        SqliteReader(path)
    apsw.Connection(str(path)).close()
    with pytest.raises(NoDatabaseError):
        SqliteReader(path)


def test_a_reader_opens_a_file_whose_writer_is_gone(
    open_database: Opener, open_reader: ReaderOpener
) -> None:
    database = open_database()
    append(database, events(3))
    database.close()
    reader = open_reader()
    assert reader.last_seq() == 3
    append(open_database(), events(2))
    assert len(reader.newest(10)) == 5


def test_checkpoints_keep_the_log_short(
    open_database: Opener, open_reader: ReaderOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", 20)
    database = open_database()
    reader = open_reader()
    append(database, events(1))
    database.checkpoint()  # of the pages that making the tables took
    longest = 0
    for _ in range(200):
        append(database, [event(data=f'"{"x" * 900}"')] * 20)
        assert reader.last_seq() == database.last_seq
        longest = max(longest, database.checkpoint().frames)
    assert longest < 50
    assert database.wal.stuck == 0


def test_a_reader_that_blocks_checkpoints_is_reported_once(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", 20)
    database = open_database()
    append(database, events(1))
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert viewer.execute("BEGIN; SELECT count(*) FROM events").get == 1
    warnings: list[str] = []
    sink = logger.add(warnings.append, level="WARNING", format="{message}")
    try:
        for _ in range(100):
            append(database, [event(data=f'"{"x" * 900}"')] * 20)
            database.checkpoint()
    finally:
        logger.remove(sink)
        viewer.close()
    assert len(warnings) == 1
    assert "a reader keeps" in warnings[0]
    wal = database.wal
    assert wal.stuck >= 2
    assert wal.checkpointed < wal.frames
    for _ in range(30):
        append(database, [event(data=f'"{"x" * 900}"')] * 20)
        database.checkpoint()
    assert database.wal.stuck == 0


def copy_of_the_living(path: Path, folder: Path) -> Path:
    """What SIGKILL would leave of an open database."""
    killed = folder / "killed" / "holdfast.db"
    killed.parent.mkdir()
    for suffix in ("", "-wal"):
        Path(f"{killed}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    return killed


def opened_and_heard(path: Path) -> tuple[SqliteDatabase, list[str]]:
    """A database, and what was logged when it was opened."""
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    try:
        return SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock()), lines
    finally:
        logger.remove(sink)


def test_a_log_that_is_broken_in_the_middle_is_told_and_kept_and_the_start_goes_on(
    path: Path, open_database: Opener, tmp_path: Path
) -> None:
    """A power cut does so, too: the database is whole, and ends before what is broken."""
    database = open_database()
    append(database, events(20), origin(1))
    intact = os.stat(f"{path}-wal").st_size
    for first in range(21, 60, 3):
        append(database, events(3, first=first), origin(first))
    killed = copy_of_the_living(path, tmp_path)
    with open(f"{killed}-wal", "r+b") as log:
        log.seek(intact + 5_000)
        log.write(b"\xff\x00\xff")
    reopened, lines = opened_and_heard(killed)
    assert reopened.last_seq == 20
    reopened.close()
    (line,) = [line for line in lines if "the log is broken after" in line]
    (kept,) = killed.parent.glob("holdfast.db-wal.cut-*")
    assert str(kept) in line
    assert kept.stat().st_size > intact


def test_what_a_killed_transaction_left_in_the_log_is_no_damage(
    path: Path, open_database: Opener, tmp_path: Path
) -> None:
    """Frames without a commit, and those from before the log was begun anew."""
    database = open_database()
    for first in range(1, 60, 3):
        append(database, events(3, first=first), origin(first))
    database._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    append(database, events(3), origin(61))
    killed = copy_of_the_living(path, tmp_path)
    reopened, lines = opened_and_heard(killed)
    assert reopened.last_seq == 63
    reopened.close()
    assert not [line for line in lines if "broken" in line]


def test_a_commit_that_readers_were_not_told_of_is_no_hole_in_the_log(
    open_database: Opener, path: Path
) -> None:
    """As a writer leaves it that dies in between, or whose fsync fails."""
    database = open_database()
    append(database, events(1))
    log = f"{path}-wal"
    known = (os.stat(log).st_size - HEAD) // (FRAME_HEAD + PAGE_SIZE)
    append(database, events(1, first=1))
    append(database, events(1, first=2))
    assert cut_off_in(log, known, PAGE_SIZE) == 0
    with open(log, "r+b") as file:  # the same, but that its first frame did not reach the disk
        file.seek(HEAD + known * (FRAME_HEAD + PAGE_SIZE) + FRAME_HEAD)
        file.write(bytes(PAGE_SIZE))
    assert cut_off_in(log, known, PAGE_SIZE) > 0
