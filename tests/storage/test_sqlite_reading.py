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
    monkeypatch.setattr(sqlite_wal, "MOST_FRAMES", 100 * FRAMES)
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


@pytest.mark.parametrize("is_hurried", [False, True])
def test_what_a_reader_has_kept_for_long_is_never_copied_by_the_connection_at_once(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch, is_hurried: bool
) -> None:
    """Commits would wait for a gigabyte when a backup ends."""
    for name, value in (("CHECKPOINT_FRAMES", FRAMES), ("HURRIED_FRAMES", FRAMES // 4)):
        monkeypatch.setattr(sqlite_wal, name, value)
    for name in ("LONG_FRAMES", "MOST_FRAMES"):
        monkeypatch.setattr(sqlite_wal, name, FRAMES // 2)
    waits: list[WalKeeper] = []
    monkeypatch.setattr(WalKeeper, "_wait_for_readers", lambda keeper: waits.append(keeper))
    database = open_database()
    append(database, events(1))
    viewer = reading(path)
    big = [event(n, data=f'"{"x" * 7_000}"') for n in range(40)]  # 20 pages

    def grow() -> bool:
        """Whether there was a pass."""
        append(database, big)
        if work := database.begin_checkpoint():
            work()
        return work is not None

    while not (grow() and database.wal.frames > 3 * FRAMES):
        database.checkpoint(is_hurried=is_hurried)
    assert not waits, "it does not end within a fifth of a second"
    viewer.close()
    blocked = database.wal.frames
    few = FRAMES // 20
    assert database.checkpoint(is_hurried=is_hurried).checkpointed < few
    while not grow():
        assert database.checkpoint(is_hurried=is_hurried).checkpointed < few
    assert database.checkpoint().checkpointed == database.wal.frames > blocked
    append(database, big)
    assert database.wal.frames < blocked, "the log does not begin at its start again"


def test_a_reader_that_has_been_there_for_long_is_not_waited_for(
    path: Path, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CHECKPOINT_FRAMES", FRAMES), ("LONG_FRAMES", 2 * FRAMES)):
        monkeypatch.setattr(sqlite_wal, name, value)
    monkeypatch.setattr(sqlite_wal, "MOST_FRAMES", FRAMES)
    waits: list[WalKeeper] = []
    monkeypatch.setattr(WalKeeper, "_wait_for_readers", lambda keeper: waits.append(keeper))
    database = open_database()
    append(database, events(1))
    viewer = reading(path)
    while database.wal.frames < 4 * FRAMES:
        append(database, [event(n, data=f'"{"x" * 7_000}"') for n in range(40)])
        database.checkpoint()
    viewer.close()
    assert not waits
