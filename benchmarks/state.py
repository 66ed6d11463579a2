"""Relational state beside apsw alone: the same tables, the same statements, no processes.

Reads beside the floor of an ask, too: a bare ping-pong between two processes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import holdfast
from benchmarks.ask import ping
from benchmarks.bare import peer
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.measure import (
    Budget,
    CpuMeter,
    Figure,
    Round,
    absolute,
    compare,
    interleave,
    rate,
    timed,
)
from holdfast import changes
from holdfast.clock import SystemClock
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.state_questions import Condition, EntityFilter, Order
from holdfast.storage.state_records import ChangeState

__all__ = ["run"]

ENTITIES: Final = 10_000
WANTED: Final = 100  # of them, by a property
MANY: Final = 2_000  # entities in one multi-get
CALLS: Final = 200  # a round
CALLERS: Final = 8
OF_A_CALLER: Final = 100  # calls in flight together, for each of them
BOUND_GET: Final = 1.5  # of the ask floor
BOUND_MANY: Final = 100_000  # a second
BOUND_CREATE: Final = 5_000  # a second, one caller
BOUND_CREATE_MANY: Final = 20_000  # a second, eight callers
BOUND_QUERY_US: Final = 2_000.0

IDS: Final = [f"agent-{number:05}" for number in range(ENTITIES)]
_numbers = count()


def properties(number: int) -> dict[str, Any]:
    """What an agent's record looks like: one in a hundred is busy."""
    status = "busy" if number % (ENTITIES // WANTED) == 0 else "idle"
    return {"name": f"planner {number}", "status": status, "age": number, "score": 0.5}


def run(budget: Budget) -> list[Figure]:
    """Reads, then commits of one caller and of eight."""
    share = budget.seconds / 3
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon())
        hub = stack.enter_context(daemon.connect())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
        alone = Alone(Path(folder) / "floor.db")
        stack.callback(alone.close)
        for at in range(0, ENTITIES, 2_000):
            made = [
                changes.create("agent", properties(number), id=IDS[number])
                for number in range(at, at + 2_000)
            ]
            hub.state.batch(made)
            alone.change(list(made))
        figures = _reads(share, daemon, hub, alone)
        return figures + _writes(share, daemon, hub, alone)


def _reads(share: float, daemon: Daemon, hub: holdfast.Hub, alone: Alone) -> list[Figure]:
    state, reader = hub.state, alone.reader
    meter = CpuMeter({"query": daemon.pids(hub)["query"]})

    def many() -> Round:
        ids = IDS[:MANY]
        with meter.running():
            return rate(MANY, lambda: state.get_many(ids))

    with peer("echo") as sock:
        floor, get, alone_get = interleave(
            share / 2,
            lambda: timed(CALLS, lambda: ping(sock)),
            lambda: timed(CALLS, lambda: state.get(IDS[next(_numbers) % ENTITIES])),
            lambda: timed(CALLS, lambda: reader.entity(IDS[next(_numbers) % ENTITIES])),
        )
    rates, alone_rates = interleave(
        share / 4, many, lambda: rate(MANY, lambda: reader.entities_of(IDS[:MANY], 2**24))
    )
    wanted = EntityFilter("agent", [Condition("status", "=", '"busy"')])
    queries, alone_queries = interleave(
        share / 4,
        lambda: timed(20, lambda: state.query(type="agent", where={"status": "busy"})),
        lambda: timed(20, lambda: reader.entities(wanted, Order(), WANTED, 2**24)),
    )
    cpu = meter.per(MANY * (len(rates) + 1))
    return [
        compare("state: get, beside an ask", "us", get, floor, bound=BOUND_GET),
        compare("state: get, beside apsw", "us", get, alone_get),
        absolute("state: multi-get", "1/s", rates, better="higher", bound=BOUND_MANY),
        compare(
            "state: multi-get, beside apsw",
            "1/s",
            rates,
            alone_rates,
            better="higher",
            cpu_us=cpu,
        ),
        absolute("state: query 100 of 10,000", "us", queries, bound=BOUND_QUERY_US),
        compare("state: query, beside apsw", "us", queries, alone_queries),
    ]


def _writes(share: float, daemon: Daemon, hub: holdfast.Hub, alone: Alone) -> list[Figure]:
    state = hub.state
    pids = daemon.pids(hub)
    meter = CpuMeter({"writer": pids["writer"], "log": pids["log"]})
    create = lambda: state.create("job", properties(1))  # noqa: E731  # beside the others
    update = lambda: state.update(IDS[next(_numbers) % ENTITIES], {"age": 1})  # noqa: E731
    one, alone_one = interleave(
        share / 2, lambda: rate(CALLS, lambda: repeat(create)), alone.creating
    )
    with ExitStack() as stack:
        hubs = [stack.enter_context(daemon.connect()) for _ in range(CALLERS)]
        pool = stack.enter_context(ThreadPoolExecutor(CALLERS))

        def eight() -> Round:
            with meter.running():
                return rate(CALLERS * OF_A_CALLER, lambda: list(pool.map(_create_some, hubs)))

        many, alone_many = interleave(share, eight, alone.creating_in_groups)
    updates, alone_updates = interleave(
        share / 2, lambda: rate(CALLS, lambda: repeat(update)), alone.updating
    )
    cpu = meter.per(CALLERS * OF_A_CALLER * (len(many) + 1))
    return [
        absolute("state: create, one caller", "1/s", one, better="higher", bound=BOUND_CREATE),
        compare("state: create, beside apsw", "1/s", one, alone_one, better="higher"),
        absolute("state: create, 8 callers", "1/s", many, better="higher", bound=BOUND_CREATE_MANY),
        compare(
            "state: 8 callers, beside apsw",
            "1/s",
            many,
            alone_many,
            better="higher",
            cpu_us=cpu,
        ),
        compare("state: update, beside apsw", "1/s", updates, alone_updates, better="higher"),
    ]


def _create_some(hub: holdfast.Hub) -> None:
    for _ in range(OF_A_CALLER):
        hub.state.create("job", properties(1))


def repeat(call: Callable[[], object]) -> None:
    """A round of calls, one after the other."""
    for _ in range(CALLS):
        call()


class Alone:
    """The storage in this process: what the writer and the query actor do, without them."""

    def __init__(self, path: Path) -> None:
        self._database = SqliteDatabase(
            path, daemon="bench", durability="committed", clock=SystemClock()
        )
        self.reader = SqliteReader(path)

    def change(self, wanted: list[Any]) -> None:
        """One transaction of one command."""
        (outcome,) = self._database.apply([ChangeState(None, wanted)])
        if isinstance(outcome, Exception):
            raise outcome
        self._database.checkpoint()

    def creating(self) -> Round:
        """A transaction each, a second."""
        made = [changes.create("job", properties(1)) for _ in range(CALLS)]
        began = time.perf_counter()
        for one in made:
            self.change([one])
        return [CALLS / (time.perf_counter() - began)]

    def creating_in_groups(self) -> Round:
        """As many commands in a transaction as there are callers, a second."""
        made = [
            [ChangeState(None, [changes.create("job", properties(1))]) for _ in range(CALLERS)]
            for _ in range(OF_A_CALLER)
        ]

        def work() -> None:
            for group in made:
                self._database.apply(group)
                self._database.checkpoint()

        return rate(CALLERS * OF_A_CALLER, work)

    def updating(self) -> Round:
        """A transaction each, a second."""
        made = [changes.update(id, {"age": 1}) for id in IDS[:CALLS]]
        began = time.perf_counter()
        for one in made:
            self.change([one])
        return [CALLS / (time.perf_counter() - began)]

    def close(self) -> None:
        """Close both."""
        self.reader.close()
        self._database.close()
