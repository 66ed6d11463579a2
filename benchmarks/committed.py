"""Events of 1 KB from a program to committed rows, beside apsw alone with the same schema.

And every group fsynced (``durability = "disk"``), beside the same without.
"""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final, Literal

import apsw

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.material import DATA, SESSION, TYPE, raw_events
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave
from holdfast.storage.sqlite_connection import open_writing
from holdfast.storage.sqlite_events import EventTable
from holdfast.storage.sqlite_payloads import PayloadTable
from holdfast.storage.sqlite_text import TextIndex
from holdfast.storage.sqlite_wal import CHECKPOINT_FRAMES

__all__ = ["run", "run_disk"]

EVENTS: Final = 10_000  # a round
GROUP: Final = 500  # rows in one transaction of the floor
BOUND: Final = 0.8  # of apsw alone
BOUND_DISK: Final = 0.9  # of ours at committed


def run(budget: Budget) -> list[Figure]:
    """With a session (two indexes), and with session and key (three)."""
    figures = []
    for keyed in (False, True):
        with (
            running_daemon() as daemon,
            tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder,
            daemon.connect() as hub,
        ):
            pids = daemon.pids(hub)
            meter = CpuMeter({"log": pids["log"], "writer": pids["writer"]})
            ours = Ours(hub, meter, keyed=keyed)
            alone = Alone(Path(folder) / "floor.db", keyed=keyed)
            rows, floor = interleave(budget.seconds / 2, ours.round, alone.round)
            alone.close()
            cpu = meter.per(EVENTS * (len(rows) + 1))
        cpu["floor"] = alone.cpu_us()
        name = f"committed 1 KB, {3 if keyed else 2} indexes"
        figures.append(compare(name, "1/s", rows, floor, better="higher", bound=BOUND, cpu_us=cpu))
    return figures


def run_disk(budget: Budget) -> list[Figure]:
    """Two daemons in turn, which differ in ``durability``; the floor is ours at "committed"."""
    figures = []
    for keyed in (False, True):
        with (
            running_daemon(durability="disk") as fsynced,
            running_daemon() as committed,
            fsynced.connect() as fsynced_hub,
            committed.connect() as committed_hub,
        ):
            pids = fsynced.pids(fsynced_hub)
            meter = CpuMeter({"log": pids["log"], "writer": pids["writer"]})
            ours = Ours(fsynced_hub, meter, keyed=keyed, level="disk")
            floor = Ours(committed_hub, CpuMeter({}), keyed=keyed)
            rows, bare = interleave(budget.seconds / 2, ours.round, floor.round)
            cpu = meter.per(EVENTS * (len(rows) + 1))
        name = f"disk beside committed, {3 if keyed else 2} indexes"
        figures.append(
            compare(name, "1/s", rows, bare, better="higher", bound=BOUND_DISK, cpu_us=cpu)
        )
    return figures


class Ours:
    """Emits from here; the round ends when all of it is committed and known to be."""

    def __init__(
        self,
        hub: holdfast.Hub,
        meter: CpuMeter,
        *,
        keyed: bool,
        level: Literal["committed", "disk"] = "committed",
    ) -> None:
        self._hub = hub
        self._meter = meter
        self._keyed = keyed
        self._level = level
        self._number = count()

    def round(self) -> Round:
        """Rows a second."""
        emit, number = self._hub.events.emit, self._number
        with self._meter.running():
            began = time.perf_counter()
            for _ in range(EVENTS):
                key = f"benchmark.{next(number)}" if self._keyed else None
                emit(TYPE, DATA, session=SESSION, key=key)
            self._hub.flush(self._level)
            seconds = time.perf_counter() - began
        return [EVENTS / seconds]


class Alone:
    """executemany on one connection, opened and filled as the writer does it."""

    def __init__(self, path: Path, *, keyed: bool) -> None:
        self._connection = open_writing(str(path), durability="committed", vfs=None)
        # The writer has its own keeper of the log, which checkpoints as often.
        self._connection.pragma("wal_autocheckpoint", CHECKPOINT_FRAMES)
        self._insert = _insert_statement(self._connection)
        self._keyed = keyed
        self._seq = 0
        self._cpu = self._rows = 0

    def round(self) -> Round:
        """Rows a second; making them is not counted, it is the sender's work."""
        first = self._seq + 1
        events = raw_events(EVENTS, first=first, keyed=self._keyed)
        rows = [(seq, "bench", *event) for seq, event in enumerate(events, first)]
        self._seq += EVENTS
        used, began = time.thread_time_ns(), time.perf_counter()
        for at in range(0, EVENTS, GROUP):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, rows[at : at + GROUP])
            self._connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        self._cpu += time.thread_time_ns() - used
        self._rows += EVENTS
        return [EVENTS / seconds]

    def cpu_us(self) -> float:
        """Processor time of one row."""
        return round(self._cpu / 1000 / self._rows, 2)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _insert_statement(connection: apsw.Connection) -> str:
    """The writer's INSERT, by watching it: a hand-made copy would drift away."""
    seen: list[str] = []

    def watch(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        seen.append(statement)
        return True

    connection.exec_trace = watch
    connection.execute("BEGIN")
    payloads = PayloadTable(connection, limit=0)
    text = TextIndex(connection)
    events = EventTable(connection, daemon="bench", payloads=payloads, text=text)
    events.append(raw_events(2, first=1, keyed=False))  # type: ignore[arg-type]  # without types
    connection.exec_trace = None
    connection.execute("ROLLBACK")
    return next(statement for statement in seen if "INSERT INTO events" in statement)
