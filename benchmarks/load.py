"""50,000 events a second of 1 KB, offered by four agents of the tree; what became of them.

The agents' clocks set the pace, not the daemon: who falls behind catches up.  Nothing here has a
floor: the figures are the promise that no event is lost and nobody waits.  They need about one
processor; where others take more than the rest, the waits are theirs: see the last row.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw
import msgspec

import holdfast
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.loaders import Offer, Offered
from benchmarks.measure import Budget, Figure, absolute
from benchmarks.processes import cpu_ns, machine_cpu_ns, rss_bytes
from holdfast.cli.daemon import family
from holdfast.supervisors.linux import process_name

__all__ = ["run"]

AGENTS: Final = 4
RATE: Final = 12_500  # events a second of each agent
WAIT_MS: Final = 50.0
FLUSH: Final = 120.0  # seconds for what is not committed at the end
PERIOD: Final = 0.2  # seconds between two looks at the memory
MEBI: Final = 2**20
BYTES_AN_EVENT: Final = 2_000  # of disk, with the indexes and the write-ahead log; generous


def run(budget: Budget) -> list[Figure]:
    """One run, all figures from it."""
    needed = int(AGENTS * RATE * budget.load_seconds * BYTES_AN_EVENT)
    names = [f"loader{number}" for number in range(AGENTS)]
    with running_daemon(dict.fromkeys(names, "loaders:Loader")) as daemon, daemon.connect() as hub:
        free = shutil.disk_usage(daemon.database.parent).free
        if free < needed:
            raise holdfast.StorageError(
                f"the load needs {needed / 1e9:.1f} GB in {daemon.database.parent}, which has "
                f"{free / 1e9:.1f}: set TMPDIR to another folder"
            )
        before, machine = _cpu_by_name(daemon), machine_cpu_ns()
        with _watched(daemon) as growth:
            offered = _offer(hub, names, budget.load_seconds)
        machine = machine_cpu_ns() - machine
        used = {name: ns - before[name] for name, ns in _cpu_by_name(daemon).items()}
        stored = {name: _stored(daemon, name) for name in names}
    others = 100 * (1 - sum(used.values()) / machine)
    return [
        *_figures(offered, stored, used),
        *_grown(growth),
        absolute("load: processor time of others", "%", [[others]]),
    ]


def _cpu_by_name(daemon: Daemon) -> dict[str, int]:
    """Nanoseconds of processor time: of what works, the agents as one, and of the rest."""
    used = dict.fromkeys(("loader", "log", "writer", "rest"), 0)
    for pid in family(daemon.process.pid):
        name = process_name(pid).rstrip("0123456789")
        used[name if name in used else "rest"] += cpu_ns(pid)
    return used


def _offer(hub: holdfast.Hub, names: list[str], seconds: float) -> dict[str, Offered]:
    """All agents at once, from one instant on."""
    offer = Offer(start=time.monotonic() + 0.5, rate=RATE, seconds=seconds, flush_timeout=FLUSH)
    timeout = seconds + FLUSH + 10.0
    asked = {name: hub.ref(name).ask(offer, block=False, timeout=timeout) for name in names}
    return {name: msgspec.convert(future.get(), Offered) for name, future in asked.items()}


def _stored(daemon: Daemon, name: str) -> int:
    """Rows of one agent in the database; that each is there once is checked by their numbers."""
    connection = apsw.Connection(str(daemon.database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        sql = (
            "SELECT count(*), count(DISTINCT data ->> 'step') FROM events"
            " WHERE source = ? AND type = 'tool:call'"
        )
        found, distinct = connection.execute(sql, (f"agent/{name}",)).fetchone() or (0, 0)
    finally:
        connection.close()
    if found != distinct:
        raise holdfast.StorageError(f"{name}: {found} rows, but {distinct} different events")
    return int(found)


def _figures(
    offered: dict[str, Offered], stored: dict[str, int], used: dict[str, int]
) -> list[Figure]:
    count = sum(each.count for each in offered.values())
    seconds = max(each.seconds for each in offered.values())
    flushed = max(each.flush_seconds for each in offered.values())
    lost = sum(each.count - stored[name] for name, each in offered.items())
    waits = [each.longest_ms for each in offered.values()]
    pending = [sum(counts) for counts in zip(*(o.pending for o in offered.values()), strict=False)]
    rate = absolute(
        "load: offered", "1/s", [[count / seconds]], better="higher", bound=AGENTS * RATE - 100
    )
    cpu = {name: round(ns / 1000 / count, 2) for name, ns in used.items()}
    return [
        msgspec.structs.replace(rate, cpu_us=cpu),
        absolute("load: offered, all", "events", [[count]]),
        absolute("load: committed, all", "events", [[sum(stored.values())]]),
        absolute("load: lost", "events", [[lost]], bound=0),
        absolute("load: longest wait of an emit", "ms", [[max(waits)]], bound=WAIT_MS),
        absolute("load: waits over 5 ms", "calls", [[sum(each.slow for each in offered.values())]]),
        absolute("load: most pending, together", "events", [[max(pending)]]),
        absolute("load: flush at the end", "s", [[flushed]]),
    ]


def _grown(seen: list[tuple[str, list[int]]]) -> list[Figure]:
    """Of the process that grew most, and of the one that grew most once half of the time was over.

    The first half holds what fills up once: the ring, SQLite's cache, the outboxes.
    """
    figures = []
    halves = [(name, series[len(series) // 2 :]) for name, series in seen]
    for title, part in (("growth", seen), ("growth, second half", halves)):
        name, series = max(part, key=lambda each: max(each[1]) - each[1][0])
        grown = (max(series) - series[0]) / MEBI
        figures.append(absolute(f"load: {title}, {name}", "MiB", [[grown]]))
    return figures


@contextmanager
def _watched(daemon: Daemon) -> Iterator[list[tuple[str, list[int]]]]:
    """The resident bytes of every process of the tree, with its name, while in the block."""
    series: dict[int, list[int]] = {pid: [] for pid in family(daemon.process.pid)}
    seen = [(process_name(pid), sizes) for pid, sizes in series.items()]
    stop = threading.Event()

    def watch() -> None:
        while True:
            for pid, sizes in series.items():
                sizes.append(rss_bytes(pid))
            if stop.wait(PERIOD):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
