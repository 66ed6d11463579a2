"""Relational state in PostgreSQL, from a program through the daemon, beside psycopg alone.

Both sides use one server, with fsync, and the same tables.  The floor is what a program without
holdfast would do: look whether the entity is there, write it, its properties and an event of the
change, each statement when the one before is answered, and COMMIT.  It keeps no marks, no answers.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any, Final

import psycopg

import holdfast
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.measure import Budget, CpuMeter, Figure, Round, compare, interleave, rate, timed
from benchmarks.postgresql import OPTIONS
from benchmarks.state import CALLERS, properties
from holdfast import changes
from holdfast.storage.postgresql.events import COLUMNS
from tests.conformance.servers import running_postgresql

__all__ = ["run"]

CALLS: Final = 50  # a round
OF_A_CALLER: Final = 25
ENTITIES: Final = 1_000  # that are read and updated
IDS: Final = [f"agent-{number:04}" for number in range(ENTITIES)]

_INSERT: Final = f"INSERT INTO events ({COLUMNS}) VALUES ({', '.join(['%s'] * 14)})"

_numbers = count()


def run(budget: Budget) -> list[Figure]:
    """Creates of one caller and of eight, updates and gets."""
    with ExitStack() as stack:
        server = stack.enter_context(running_postgresql(options=OPTIONS))
        dsn = server.new_database()
        config = f'backend = "postgresql"\ndsn = "{dsn}"\n'
        daemon = stack.enter_context(running_daemon(more=config))
        hub = stack.enter_context(daemon.connect())
        hub.state.batch([changes.create("agent", properties(n), id=id) for n, id in enumerate(IDS)])
        alone = Alone(dsn)
        stack.callback(alone.close)
        for number, id in enumerate(IDS):
            alone.create([(id, "agent", number)])
        return _figures(budget.seconds / 4, daemon, hub, alone)


def _figures(share: float, daemon: Daemon, hub: holdfast.Hub, alone: Alone) -> list[Figure]:
    state, pids = hub.state, daemon.pids(hub)
    meter = CpuMeter({"writer": pids["writer"]})
    one = interleave(
        share, lambda: rate(CALLS, lambda: _create(hub, CALLS)), lambda: alone.creating(CALLS, 1)
    )
    with ExitStack() as stack:
        hubs = [stack.enter_context(daemon.connect()) for _ in range(CALLERS)]
        pool = stack.enter_context(ThreadPoolExecutor(CALLERS))
        total = CALLERS * OF_A_CALLER

        def eight() -> Round:
            with meter.running():
                work = lambda: list(pool.map(_create, hubs, [OF_A_CALLER] * CALLERS))  # noqa: E731
                return rate(total, work)

        many = interleave(share, eight, lambda: alone.creating(OF_A_CALLER, CALLERS))
    cpu = meter.per(total * (len(many[0]) + 1))
    updates = interleave(
        share,
        lambda: rate(CALLS, lambda: _update(hub)),
        lambda: rate(CALLS, lambda: _update_alone(alone)),
    )
    gets = interleave(
        share / 2,
        lambda: timed(CALLS, lambda: state.get(IDS[next(_numbers) % ENTITIES])),
        lambda: timed(CALLS, lambda: alone.get(IDS[next(_numbers) % ENTITIES])),
    )
    name = "state in PostgreSQL"
    return [
        compare(f"{name}: create, one caller", "1/s", *one, better="higher"),
        compare(f"{name}: create, {CALLERS} callers", "1/s", *many, better="higher", cpu_us=cpu),
        compare(f"{name}: update, one caller", "1/s", *updates, better="higher"),
        compare(f"{name}: get, one caller", "us", *gets),
    ]


def _create(hub: holdfast.Hub, calls: int) -> None:
    for _ in range(calls):
        hub.state.create("job", properties(1))


def _update(hub: holdfast.Hub) -> None:
    for _ in range(CALLS):
        hub.state.update(IDS[next(_numbers) % ENTITIES], {"age": 1})


def _update_alone(alone: Alone) -> None:
    for _ in range(CALLS):
        alone.update(IDS[next(_numbers) % ENTITIES], {"age": 1})


class Alone:
    """One connection, as another daemon of the same tables."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("SET search_path = holdfast")
        self._connection.execute(
            "INSERT INTO entity_types (daemon, name) VALUES ('floor', 'agent'), ('floor', 'job')"
        )
        self._seq = 0

    def creating(self, groups: int, size: int) -> Round:
        """As many groups of entities in a transaction each, entities a second."""
        wanted = [[(f"job-{next(_numbers)}", "job", 1) for _ in range(size)] for _ in range(groups)]
        began = time.perf_counter()
        for group in wanted:
            self.create(group)
        return [groups * size / (time.perf_counter() - began)]

    def create(self, group: list[tuple[str, str, int]]) -> None:
        """Ids, types and numbers, in one transaction."""
        with self._connection.transaction():
            cursor = self._connection.cursor()
            for id, type, number in group:
                found = properties(number)
                sql = "SELECT version FROM entities WHERE daemon = 'floor' AND id = %s"
                assert cursor.execute(sql, (id,)).fetchone() is None
                self._seq += 1
                now, text = time.time_ns() // 1000, json.dumps(found)
                cursor.execute(
                    "INSERT INTO entities (daemon, number, id, type, version, created_us,"
                    " updated_us, properties) VALUES ('floor', %s, %s, %s, 1, %s, %s, %s)",
                    (self._seq, id, type, now, now, text),
                )
                cursor.executemany(
                    "INSERT INTO properties (daemon, entity, name, type, kind, key_number,"
                    " key_text, rest) VALUES ('floor', %s, %s, %s, %s, %s, %s, '')",
                    [(self._seq, name, type, *_key(value)) for name, value in found.items()],
                )
                self._tell(cursor, "state:entity:created", id, text)

    def update(self, id: str, values: dict[str, int]) -> None:
        """Some properties of one, in a transaction."""
        with self._connection.transaction():
            cursor = self._connection.cursor()
            sql = "SELECT number, properties FROM entities WHERE daemon = 'floor' AND id = %s"
            row = cursor.execute(sql, (id,)).fetchone()
            assert row is not None
            cursor.execute(
                "UPDATE entities SET version = version + 1, updated_us = %s, properties = %s"
                " WHERE daemon = 'floor' AND number = %s",
                (time.time_ns() // 1000, json.dumps(json.loads(row[1]) | values), row[0]),
            )
            for name, value in values.items():
                cursor.execute(
                    "UPDATE properties SET kind = %s, key_number = %s, key_text = %s"
                    " WHERE daemon = 'floor' AND entity = %s AND name = %s",
                    (*_key(value), row[0], name),
                )
            self._seq += 1
            self._tell(cursor, "state:entity:updated", id, json.dumps(values))

    def get(self, id: str) -> object:
        """Its properties, decoded."""
        sql = "SELECT properties FROM entities WHERE daemon = 'floor' AND id = %s"
        row = self._connection.execute(sql, (id,)).fetchone()
        assert row is not None
        return json.loads(row[0])

    def _tell(self, cursor: psycopg.Cursor[Any], type: str, id: str, data: str) -> None:
        row = ("floor", self._seq, time.time_ns() // 1000, type, "state", id, None, None, None)
        cursor.execute(_INSERT, (*row, None, 0, None, data, None))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _key(value: object) -> tuple[int, float, str]:
    """Kind, number and text of a property, as its index has them."""
    return (3, 0, value) if isinstance(value, str) else (2, float(str(value)), "")
