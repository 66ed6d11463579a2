"""Scenario D12: a reader cannot stop the writer."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import sqlite_wal
from holdfast.storage.records import EventFilter
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.sqlite_wal import WalKeeper
from tests.storage.conftest import Opener
from tests.storage.making import append, event, events

FRAMES = 200  # between two checkpoints; 4,000 where it is not a test


def test_a_question_that_takes_too_long_is_ended_and_the_next_is_answered(
    path: Path, database: SqliteDatabase
) -> None:
    append(database, events(20_000))
    reader = SqliteReader(path, statement_timeout=0.000_001)
    try:
        with pytest.raises(InvalidInputError, match="narrow it"):
            reader.count(EventFilter(types=("*a*b*c*",)))
        assert reader.last_seq() == 20_000
    finally:
        reader.close()


def test_a_blocked_log_is_told_and_shrinks_when_the_reader_lets_go(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wal, "CHECKPOINT_FRAMES", FRAMES)
    database = open_database()
    append(database, events(1))
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    viewer.execute("BEGIN")
    viewer.execute("SELECT count(*) FROM events").fetchall()
    big = [event(n, data=f'"{"x" * 7_000}"') for n in range(40)]  # 20 pages
    while database.wal.stuck < 2:
        append(database, big)
        database.checkpoint()
        assert database.wal.frames < 10 * FRAMES, "never found to be stuck"
    blocked = database.wal.frames
    viewer.execute("ROLLBACK")
    viewer.close()
    while database.wal.stuck:
        append(database, big)
        database.checkpoint()
        assert database.wal.frames < 3 * blocked, "never found to be free"
    append(database, big)
    assert database.wal.frames < blocked, "the log does not begin at its start again"


def reading(path: Path) -> apsw.Connection:
    """In the middle of a read transaction."""
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    viewer.execute("BEGIN; SELECT count(*) FROM events").fetchall()
    return viewer


def test_readers_that_overlap_are_waited_for_when_the_log_is_long(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is to blame, and there is no moment without one."""
    for name, value in (("CHECKPOINT_FRAMES", FRAMES), ("LONG_FRAMES", 4 * FRAMES)):
        monkeypatch.setattr(sqlite_wal, name, value)
    monkeypatch.setattr(sqlite_wal, "PATIENCE", 20_000)  # a bound of failure
    database = open_database()
    append(database, events(1))
    viewers = [reading(path)]
    ends: list[threading.Thread] = []
    wait = WalKeeper._wait_for_readers

    def waited(keeper: WalKeeper) -> None:
        ends.append(threading.Thread(target=viewers[-1].close))
        ends[-1].start()
        wait(keeper)

    monkeypatch.setattr(WalKeeper, "_wait_for_readers", waited)
    big = [event(n, data=f'"{"x" * 7_000}"') for n in range(40)]  # 20 pages
    longest = 0
    while database.wal.frames >= longest:
        longest = database.wal.frames
        assert longest < 6 * FRAMES, "the log does not begin at its start again"
        append(database, big)
        if not ends:
            viewers.append(reading(path))
            viewers[-2].close()
        database.checkpoint()
    assert longest >= 4 * FRAMES
    assert len(ends) == 1
    ends[0].join()


def test_a_reader_that_stays_is_waited_for_now_and_then(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CHECKPOINT_FRAMES", FRAMES), ("LONG_FRAMES", 4 * FRAMES)):
        monkeypatch.setattr(sqlite_wal, name, value)
    monkeypatch.setattr(sqlite_wal, "HURRIED_FRAMES", FRAMES // 4)
    monkeypatch.setattr(sqlite_wal, "PATIENCE", 1)
    database = open_database()
    waits: list[int] = []
    wait = WalKeeper._wait_for_readers

    def waited(keeper: WalKeeper) -> None:
        waits.append(database.wal.frames)
        wait(keeper)

    monkeypatch.setattr(WalKeeper, "_wait_for_readers", waited)
    append(database, events(1))
    viewer = reading(path)
    big = [event(n, data=f'"{"x" * 7_000}"') for n in range(40)]  # 20 pages
    while database.wal.frames < 8 * FRAMES:
        append(database, big)
        database.checkpoint(is_hurried=True)  # as while retention deletes
    viewer.close()
    assert 3 <= len(waits) <= 4
    assert all(later - wait >= FRAMES for wait, later in pairwise(waits))
