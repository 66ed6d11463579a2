"""A swap from SQLite to PostgreSQL under load, with few rows and with many.

2,000 events/s and 200 changes of entities a second go on meanwhile, and what each sender waited
at most is noted.  The floor of the copy is COPY of the same rows from a file, in the same run: when
the load is over, and once more while it goes on, in the new database.
What was lost or doubled is counted with sqlite3 and psycopg alone.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg

import holdfast
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.material import DATA
from benchmarks.measure import Budget, Figure, absolute, compare
from holdfast.storage.postgresql.connection import connect
from holdfast.storage.postgresql.events import COLUMNS
from holdfast.storage.postgresql.schema import migrate
from tests.conformance.servers import PostgresqlServer, running_postgresql

__all__ = ["run"]

PAUSE_MS: Final = 500.0
COPY_BOUND: Final = 0.5  # of COPY from a file
EVENTS: Final = 2_000  # a second
CHANGES: Final = 200  # a second, of all who change
CHANGERS: Final = 4
BEFORE: Final = 2.0  # seconds of load before the swap, and after it
FRAME: Final = 5_000  # events that are stored without a look at what became of them
LONG: Final = 3_600.0  # seconds
BLOCK: Final = 1 << 18  # bytes sent at once
NOTED: Final = 0.01  # seconds; shorter waits are none
LOOK: Final = 0.02  # seconds between two looks at how far the copy is
# As Debian's server comes, but for the disk's worth of old log.
OPTIONS: Final = ("max_wal_size=4GB",)


def run(budget: Budget) -> list[Figure]:
    """With a hundredth of the budget's rows, and with all of them."""
    figures = []
    for rows in (budget.database // 100, budget.database):
        with running_postgresql(options=OPTIONS) as server, running_daemon() as daemon:
            figures += _swap(rows, server, daemon)
    return figures


def _swap(rows: int, server: PostgresqlServer, daemon: Daemon) -> list[Figure]:
    dsn = server.new_database()
    with daemon.connect() as hub:
        _fill(hub, rows)
        with _loaded(daemon) as senders:
            time.sleep(BEFORE)
            senders.forget_waits()
            rate, held = _reload(hub, daemon, dsn)
            time.sleep(BEFORE)
            waits = senders.waits_before_and_from(held)
            record = hub.supervision.swaps()[-1]
            loaded_floor = _copied_from_a_file(Path(record.old), server)
    floor = _copied_from_a_file(Path(record.old), server)
    wrong = _lost_or_doubled(Path(record.old), dsn, senders)
    what = f"swap of {rows:,} events"
    return [
        absolute(f"{what}: longest wait of any sender", "ms", [[max(waits) * 1000]],
                 bound=PAUSE_MS),
        absolute(f"{what}: the same of those that ended while it copied", "ms",
                 [[waits[0] * 1000]]),
        absolute(f"{what}: first actor stopped to last one ready", "ms", [[record.pause * 1000]]),
        absolute(f"{what}: the whole of it, with the proof", "s", [[record.seconds]]),
        compare(f"{what}: rows copied, beside COPY of a file", "1/s", [[rate]], [[floor]],
                better="higher", bound=COPY_BOUND),
        compare(f"{what}: the same, beside COPY under the same load", "1/s", [[rate]],
                [[loaded_floor]], better="higher"),
        absolute(f"{what}: lost, doubled, changed or out of order", "", [[wrong]], bound=0.0),
    ]  # fmt: skip


def _fill(hub: holdfast.Hub, rows: int) -> None:
    for at in range(0, rows, FRAME):
        for number in range(at, min(rows, at + FRAME)):
            hub.events.emit("before", DATA, session="before", key=f"k{number}")
        hub.flush(timeout=LONG)


def _reload(hub: holdfast.Hub, daemon: Daemon, dsn: str) -> tuple[float, float]:
    """Have it move; rows a second of the copy, from the first look at it to the last, and when it
    was last seen to copy or to follow."""
    config = daemon.run_dir.parent / "bench.toml"
    text = config.read_text()
    place = f'[storage]\nbackend = "postgresql"\ndsn = "{dsn}"\n'
    config.write_text(text.replace("[storage]\n", place))
    looks: list[tuple[float, int]] = []
    following: list[float] = []
    is_done = threading.Event()

    def look() -> None:
        with daemon.connect() as other:
            while not is_done.wait(LOOK):
                status = other.supervision.swap(timeout=LONG).status
                if status is not None and status.phase == "copying":
                    looks.append((time.perf_counter(), status.rows))
                elif status is not None and status.phase == "following":
                    following.append(time.perf_counter())
                    if len(following) == 1:
                        looks.append((following[0], status.rows))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        hub.supervision.reload(timeout=LONG)
    finally:
        is_done.set()
        looking.join()
    (began, first), (ended, last) = looks[0], looks[-1]
    return (last - first) / max(ended - began, LOOK), max([ended, *following])


class _Senders:
    """What each of them sent, was told, and waited at most."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.is_enough = threading.Event()
        self.emitted = 0
        self.versions = dict.fromkeys((f"e{n}" for n in range(CHANGERS)), 1)
        self._waits: deque[tuple[float, float]] = deque()  # when each ended, and seconds
        self.error: BaseException | None = None

    def waits_before_and_from(self, then: float) -> tuple[float, float]:
        """The longest that ended before that, and the longest of the others; seconds."""
        waits = list(self._waits)
        return (
            max((seconds for ended, seconds in waits if ended < then), default=0.0),
            max((seconds for ended, seconds in waits if ended >= then), default=0.0),
        )

    def forget_waits(self) -> None:
        """Count from now on."""
        self._waits.clear()

    def emit(self) -> None:
        """Events, in their numbers' order, as fast as the clock says."""
        with self._daemon.connect() as hub:
            start = time.monotonic()
            while not self.is_enough.wait(0.005):
                due = int((time.monotonic() - start) * EVENTS)
                while self.emitted < due:
                    self._timed(lambda: hub.events.emit("load", {"n": self.emitted}))
                    self.emitted += 1
            hub.flush(timeout=LONG)

    def change(self, id: str) -> None:
        """One entity, each time with the version that was told last: a lost one is a Conflict."""
        pause = CHANGERS / CHANGES
        with self._daemon.connect() as hub:
            hub.state.create("counter", {"n": 1}, id=id)
            while not self.is_enough.wait(pause):
                self._timed(lambda: self._change(hub, id))

    def _change(self, hub: holdfast.Hub, id: str) -> None:
        version = self.versions[id]
        done = hub.state.update(id, {"n": version + 1}, expected_version=version, timeout=LONG)
        self.versions[id] = int(done.version)

    def _timed(self, do: Callable[[], None]) -> None:
        began = time.perf_counter()
        do()
        ended = time.perf_counter()
        if ended - began > NOTED:
            self._waits.append((ended, ended - began))

    def guarded(self, do: Callable[[], None]) -> None:
        """With what goes wrong kept."""
        try:
            do()
        except BaseException as error:  # raised where it is waited for
            self.error = error


@contextmanager
def _loaded(daemon: Daemon) -> Iterator[_Senders]:
    senders = _Senders(daemon)
    work: list[Callable[[], None]] = [senders.emit]
    work += [lambda id=id: senders.change(id) for id in senders.versions]  # type: ignore[misc]  # the lambda's own
    threads = [threading.Thread(target=senders.guarded, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    try:
        yield senders
    finally:
        senders.is_enough.set()
        for thread in threads:
            thread.join()
    if senders.error is not None:
        raise senders.error


def _copied_from_a_file(old: Path, server: PostgresqlServer) -> float:
    """Rows a second of COPY, in one transaction, of the events that were moved."""
    dsn = server.new_database()
    with connect(dsn, application="benchmark") as connection:
        migrate(connection, "here")
    names = [name.strip() for name in COLUMNS.split(",")]
    with tempfile.TemporaryFile() as file:
        count = 0
        with closing(_opened(old)) as source:
            for row in source.execute(f"SELECT {', '.join(names)} FROM events"):
                file.write("\t".join(map(_text, row)).encode() + b"\n")
                count += 1
        file.seek(0)
        with psycopg.connect(dsn, autocommit=True) as plain:
            began = time.perf_counter()
            with plain.cursor().copy(f"COPY holdfast.events ({COLUMNS}) FROM STDIN") as copy:
                while block := file.read(BLOCK):
                    copy.write(block)
            return count / (time.perf_counter() - began)


def _lost_or_doubled(old: Path, dsn: str, senders: _Senders) -> float:
    """How many rows are not as they have to be."""
    columns = "seq, type, source, session, key, data"
    with closing(_opened(old)) as source, psycopg.connect(dsn) as target:
        target.execute("SET search_path = holdfast")
        was = source.execute(f"SELECT {columns} FROM events ORDER BY seq")
        with target.cursor(name="all") as now:
            now.execute(f"SELECT {columns} FROM events ORDER BY seq")
            wrong = sum(row != next(now, None) for row in was)
        rows = target.execute("SELECT data FROM events WHERE type = 'load' ORDER BY seq")
        numbers = [json.loads(data)["n"] for (data,) in rows]
        wrong += abs(len(numbers) - senders.emitted)
        wrong += sum(n != number for n, number in enumerate(numbers))
        rows = target.execute("SELECT id, version FROM entities WHERE type = 'counter'")
        wrong += dict(rows.fetchall()) != senders.versions
    return float(wrong)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def _text(value: object) -> str:
    if value is None:
        return "\\N"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
