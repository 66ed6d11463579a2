"""Writers that should not be, and databases that are half-way to today's schema, in a real tree."""

from __future__ import annotations

import os
import select
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from holdfast.clock import SystemClock
from holdfast.storage import sqlite_schema
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.faults import AtPoint, Kill, Stop
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.working import CONFIG, Work


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG, faults=[]) as daemon:
        yield daemon


@pytest.mark.parametrize("point", ["writer.before_begin", "writer.after_answer"])
def test_a_writer_whose_file_another_one_has_opened_commits_nothing_more(
    daemon: Daemon, point: str
) -> None:
    """Scenario D7: the lock is bypassed, the epoch alone refuses the zombie, which ends.

    Its next life has the highest epoch again, and goes on where the database is.
    """
    work = Work(daemon)
    work.do(1)
    zombie = daemon.pid("writer")
    daemon.faults.arm(AtPoint(point=point, process="writer", action=Stop()))
    daemon.hub.events.emit("of:the:zombie", 1)
    daemon.until(daemon.faults.injected)
    os.unlink(f"{daemon.database}.lock")  # whoever comes locks a file of its own
    intruder = SqliteDatabase(
        daemon.database, daemon="test", durability="committed", clock=SystemClock()
    )
    intruder.close()
    daemon.resume("writer")
    work.do(1)
    daemon.wait_until_running("writer", after=zombie)
    assert "FencedError" in daemon.log
    work.check()
    assert daemon.hub.events.count(types="of:the:zombie") == 1


def old_database(path: Path, version: int) -> None:
    """A file as a holdfast of that schema left it."""
    path.parent.mkdir(parents=True)
    connection = apsw.Connection(str(path))
    connection.pragma("page_size", 16384)
    connection.pragma("auto_vacuum", "INCREMENTAL")
    connection.pragma("journal_mode", "WAL")
    for step in range(version):
        sqlite_schema._take_step(connection, step)
    connection.execute(
        "INSERT INTO events (seq, daemon, time_us, type, source, depth, data)"
        " VALUES (1, 'test', 1, 'old', 'test', 0, '42')"
    )
    connection.close()


@pytest.mark.parametrize("point", ["before_step", "in_step", "after_step"])
def test_a_migration_that_is_killed_half_way_is_repeated(tmp_path: Path, point: str) -> None:
    """Scenario D13: each step is there as a whole or not at all, and is taken once."""
    kill = AtPoint(point=f"migration.{point}", process="writer", action=Kill(), times=3, nth=2)
    daemon = Daemon(tmp_path, CONFIG, faults=[kill])
    old_database(daemon.database, 1)
    versions = []
    for _ in range(3):  # a child that fails in the first start of the tree ends the daemon
        daemon.spawn()
        assert daemon.process.wait(daemon.timeout) != 0
        versions.append(version_of(daemon.database))
    assert versions == ([3, 5, 7] if point == "after_step" else [2, 3, 4])
    with daemon:
        work = Work(daemon)
        work.do(1)
        work.check()
        (old,) = daemon.hub.events.query(types="old")
        assert (old.seq, old.data) == (1, 42)
    assert version_of(daemon.database) == sqlite_schema.VERSION


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as viewer:
        version: int = viewer.execute("PRAGMA user_version").fetchone()[0]
    return version


@pytest.mark.parametrize(
    ("point", "process"),
    [
        ("child.before_pdeathsig", "log"),
        ("child.after_start", "log"),
        ("zygote.before_fork", "zygote:state"),
        ("zygote.after_fork", "zygote:state"),
        ("supervisor.before_registering", "state"),
    ],
)
def test_who_stands_in_the_middle_of_a_fork_dies_with_the_root(
    daemon: Daemon, point: str, process: str
) -> None:
    """Scenario 25: also before a child is told to die with its parent."""
    daemon.faults.arm(AtPoint(point=point, process=process, action=Stop()))
    daemon.kill("log")
    daemon.until(daemon.faults.injected)
    (stopped,) = daemon.faults.injected()
    watch = os.pidfd_open(stopped.pid)
    daemon.kill("root")
    assert select.select([watch], [], [], 1.0)[0]
    os.close(watch)
    daemon.restart()
    work = Work(daemon)
    work.do(1)
    work.check()
