"""Scenario D12: a reader cannot stop the writer."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import sqlite_wal
from holdfast.storage.records import EventFilter
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
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
        database.checkpoint(wait=True)
        assert database.wal.frames < 10 * FRAMES, "never found to be stuck"
    blocked = database.wal.frames
    viewer.execute("ROLLBACK")
    viewer.close()
    while database.wal.stuck:
        append(database, big)
        database.checkpoint(wait=True)
        assert database.wal.frames < 3 * blocked, "never found to be free"
    append(database, big)
    assert database.wal.frames < blocked, "the log does not begin at its start again"
