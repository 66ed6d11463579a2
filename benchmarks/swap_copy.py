"""A live migration of events beside COPY of the same rows from a file; what its log costs.

Ours reads each range from SQLite, writes it, reads it back and sums it; the floor only writes.
Both write into an empty database of one server, with fsync and all indexes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.material import raw_events
from benchmarks.measure import Budget, Figure, Round, compare, interleave, rate
from holdfast.clock import SystemClock
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import Place
from holdfast.storage.postgresql.connection import connect
from holdfast.storage.postgresql.events import COLUMNS
from holdfast.storage.postgresql.schema import migrate
from holdfast.storage.records import AppendEvents
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import ChangeState, CreateEntity, UpdateEntity
from tests.conformance.servers import PostgresqlServer, running_postgresql

__all__ = ["run"]

BOUND: Final = 0.5  # of COPY from a file
LOG_BOUND: Final = 0.8  # of a writer that keeps no log
EVENTS: Final = 40_000  # a round
FRAME: Final = 1_000  # events
ENTITIES: Final = 100
GROUPS: Final = 200  # of ten events and an update: 2,000 to 200
BLOCK: Final = 1 << 18  # bytes sent at once
# As Debian's server comes, but for the disk's worth of old log.
OPTIONS: Final = ("max_wal_size=4GB",)
SWAP: Final = "benchmark"


def run(budget: Budget) -> list[Figure]:
    """The copy; and a writer with the log of a migration beside one without."""
    with tempfile.TemporaryDirectory() as name, running_postgresql(options=OPTIONS) as server:
        copying = Copying(server, Path(name))
        try:
            ours, floor = interleave(budget.seconds, copying.migrate, copying.copy)
        finally:
            copying.close()
    with tempfile.TemporaryDirectory() as name:
        logging, plain = Writing(Path(name), has_log=True), Writing(Path(name), has_log=False)
        try:
            logged, unlogged = interleave(budget.seconds / 2, logging.round, plain.round)
        finally:
            logging.close()
            plain.close()
    return [
        compare("migration to PostgreSQL, events of 1 KB, beside COPY of a file", "1/s", ours,
                floor, better="higher", bound=BOUND),
        compare("writer with the log of a migration, beside one without", "1/s", logged, unlogged,
                better="higher", bound=LOG_BOUND),
    ]  # fmt: skip


class Copying:
    """One source, and a file of its rows as COPY takes them; a new database each time."""

    def __init__(self, server: PostgresqlServer, folder: Path) -> None:
        self._server = server
        self._clock = SystemClock()
        self._source = Place(backend="sqlite", path=str(folder / "source.db"), daemon="d")
        self._database = SqliteDatabase(
            self._source.path, daemon="d", durability="committed", clock=self._clock
        )
        self._file = folder / "rows"
        events = raw_events(EVENTS, first=1, keyed=True)
        for at in range(0, EVENTS, FRAME):
            self._database.apply([AppendEvents(None, events[at : at + FRAME])])  # type: ignore[arg-type]  # as off the wire
        self._database.begin_capture(SWAP)
        with self._file.open("w") as file:
            for seq, event in enumerate(events, 1):
                row = ("d", seq, *event, None)
                file.write("\t".join("\\N" if value is None else _text(value) for value in row))
                file.write("\n")

    def migrate(self) -> Round:
        """Rows a second, from the first range to the last."""
        target = Place(
            backend="postgresql", dsn=self._server.new_database(), daemon="d", home="here"
        )
        moving = Migration(self._source, target, swap=SWAP, mode="copy", clock=self._clock)
        moving.prepare()
        try:
            return rate(EVENTS, lambda: moving.copy(3600.0))
        finally:
            moving.abandon()

    def copy(self) -> Round:
        """Rows a second, in one transaction."""
        dsn = self._server.new_database()
        with connect(dsn, application="benchmark") as connection:
            migrate(connection, "here")
        with psycopg.connect(dsn, autocommit=True) as plain:
            return rate(EVENTS, lambda: self._copy(plain))

    def _copy(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        statement = f"COPY holdfast.events ({COLUMNS}) FROM STDIN"
        with self._file.open("rb") as file, connection.cursor().copy(statement) as copy:
            while block := file.read(BLOCK):
                copy.write(block)

    def close(self) -> None:
        """Close the source."""
        self._database.close()


class Writing:
    """2,000 events to 200 changes of entities, in commits of ten events and a change."""

    def __init__(self, folder: Path, *, has_log: bool) -> None:
        path = folder / f"{'with' if has_log else 'without'}.db"
        self._database = SqliteDatabase(
            path, daemon="d", durability="committed", clock=SystemClock()
        )
        for n in range(ENTITIES):
            self._database.apply([ChangeState(None, [CreateEntity(f"e{n}", "t", '{"n":0}')])])
        if has_log:
            self._database.begin_capture(SWAP)
        self._count = 0

    def round(self) -> Round:
        """Commits a second."""
        frames = [raw_events(10, first=n * 10, keyed=True) for n in self._numbers()]
        return rate(GROUPS, lambda: self._commit_all(frames))

    def _numbers(self) -> range:
        self._count += GROUPS
        return range(self._count - GROUPS, self._count)

    def _commit_all(self, frames: list[list[tuple[object, ...]]]) -> None:
        change = UpdateEntity(f"e{self._count % ENTITIES}", '{"n":1}')
        for frame in frames:
            self._database.apply([AppendEvents(None, frame), ChangeState(None, [change])])  # type: ignore[arg-type]  # as off the wire
            self._database.checkpoint()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _text(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
