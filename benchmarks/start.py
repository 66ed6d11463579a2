"""The start of the tree on a large database, beside opening it and reading the newest events.

The database is in the page cache, on both sides: it was just made, and is read over and over.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import msgspec

import holdfast
from benchmarks.bare import LENGTH, peer
from benchmarks.daemon import running_daemon
from benchmarks.material import raw_events
from benchmarks.measure import Budget, Figure, Round, compare, interleave
from holdfast.actors.messages import log
from holdfast.clock import SystemClock
from holdfast.storage.records import AppendEvents, RawEvent
from holdfast.storage.sqlite import SqliteDatabase

__all__ = ["filled_folder", "ring_of", "run"]

NEWEST: Final = 10_000  # what a ring holds
BOUND_MS: Final = 300.0
DEADLINE: Final = 30.0  # seconds
BULK: Final = 1_000  # events in one transaction of what is made beforehand


def run(budget: Budget) -> list[Figure]:
    """From the process's start to "ready", and to a full ring."""
    with (
        filled_folder(budget.database) as folder,
        peer("newest", str(folder / "holdfast.db"), str(NEWEST)) as sock,
    ):
        full: list[Round] = []

        def tree() -> Round:
            began = time.perf_counter()
            with running_daemon(data_dir=folder) as daemon:
                with daemon.connect() as hub:
                    while ring_of(hub) < NEWEST:
                        assert time.perf_counter() - began < DEADLINE, "the ring does not fill"
                full.append([(time.perf_counter() - began) * 1000])
                return [daemon.start_seconds * 1000]

        def bare() -> Round:
            sock.sendall(b"r")
            microseconds: int = LENGTH.unpack(sock.recv(LENGTH.size))[0]
            return [microseconds / 1000]

        ready, floor = interleave(budget.seconds, tree, bare)
    name = f"start, {budget.database:,} events"
    return [
        _judged(compare(f"{name}: ready", "ms", ready, floor)),
        compare(f"{name}: ring full", "ms", full[1:], floor),
    ]


def _judged(figure: Figure) -> Figure:
    reached = figure.ours.p50 <= BOUND_MS
    return msgspec.structs.replace(figure, target=f"<= {BOUND_MS:g} ms", reached=reached)


def ring_of(hub: holdfast.Hub) -> int:
    """How many events the log holds in memory."""
    reply = hub.ask("log", log.Stats(), timeout=DEADLINE)
    return msgspec.convert(reply, log.LogStats).ring


@contextmanager
def filled_folder(events: int) -> Iterator[Path]:
    """A data directory whose database holds as many, made by the storage itself."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        database = SqliteDatabase(
            folder / "holdfast.db", daemon="bench", durability="committed", clock=SystemClock()
        )
        try:
            for first in range(1, events + 1, BULK):
                rows = cast("list[RawEvent]", raw_events(BULK, first=first, keyed=True))
                outcomes: list[Any] = database.apply([AppendEvents(None, rows)])
                assert outcomes[0].stored == BULK, outcomes
                database.checkpoint()
        finally:
            database.close()
        yield folder
