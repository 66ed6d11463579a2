"""Events of 1 KB from a program to rows committed in PostgreSQL, beside psycopg alone.

Both sides use one server, with fsync, and the same tables; the floor is ``executemany``.
"""

from __future__ import annotations

import time
from typing import Final

import psycopg

from benchmarks.committed import EVENTS, GROUP, Ours
from benchmarks.daemon import running_daemon
from benchmarks.material import raw_events
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave
from holdfast.storage.postgresql.events import COLUMNS
from tests.conformance.servers import running_postgresql

__all__ = ["run"]

BOUND: Final = 0.7  # of psycopg's executemany alone
# As Debian's server comes, but for the disk's worth of old log.
OPTIONS: Final = ("max_wal_size=4GB",)


def run(budget: Budget) -> list[Figure]:
    """With a session (two indexes), and with session and key (three)."""
    figures = []
    for keyed in (False, True):
        with running_postgresql(options=OPTIONS) as server:
            dsn = server.new_database()
            config = f'backend = "postgresql"\ndsn = "{dsn}"\n'
            with running_daemon(more=config) as daemon, daemon.connect() as hub:
                pids = daemon.pids(hub)
                meter = CpuMeter({"log": pids["log"], "writer": pids["writer"]})
                ours = Ours(hub, meter, keyed=keyed)
                alone = Alone(dsn, keyed=keyed)
                rows, floor = interleave(budget.seconds / 2, ours.round, alone.round)
                alone.close()
                cpu = meter.per(EVENTS * (len(rows) + 1))
        cpu["floor"] = alone.cpu_us()
        name = f"committed in PostgreSQL, 1 KB, {3 if keyed else 2} indexes"
        figures.append(compare(name, "1/s", rows, floor, better="higher", bound=BOUND, cpu_us=cpu))
    return figures


class Alone:
    """executemany on one connection, as another daemon of the same tables."""

    def __init__(self, dsn: str, *, keyed: bool) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("SET search_path = holdfast")
        marks = ", ".join(["%s"] * len(COLUMNS.split(",")))
        self._insert = f"INSERT INTO events ({COLUMNS}) VALUES ({marks})"
        self._keyed = keyed
        self._seq = 0
        self._cpu = self._rows = 0

    def round(self) -> Round:
        """Rows a second; making them is not counted, it is the sender's work."""
        first = self._seq + 1
        events = raw_events(EVENTS, first=first, keyed=self._keyed)
        rows = [("floor", seq, *event, None) for seq, event in enumerate(events, first)]
        self._seq += EVENTS
        used, began = time.thread_time_ns(), time.perf_counter()
        for at in range(0, EVENTS, GROUP):
            with self._connection.transaction():
                self._connection.cursor().executemany(self._insert, rows[at : at + GROUP])
        seconds = time.perf_counter() - began
        self._cpu += time.thread_time_ns() - used
        self._rows += EVENTS
        return [EVENTS / seconds]

    def cpu_us(self) -> float:
        """Processor time of one row."""
        return round(self._cpu / 1000 / self._rows, 2)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
