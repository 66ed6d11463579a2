"""What an idle tree takes: memory and processor time of all its processes, and of a full ring.

PSS: resident memory, with what is shared divided by who shares it.  There is no floor.
"""

from __future__ import annotations

import time
from typing import Final

import holdfast
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.material import DATA, SESSION, TYPE
from benchmarks.measure import Budget, Figure, absolute
from benchmarks.processes import cpu_ns, pss_bytes
from benchmarks.start import NEWEST, filled_folder, ring_of
from holdfast.cli.daemon import family

__all__ = ["run"]

MEBI: Final = 2**20
BOUND_TREE: Final = 120e6 / MEBI  # 120 MB
BOUND_RING: Final = 12.0  # MiB
BOUND_IDLE: Final = 0.1  # per cent of one core: 0 when rounded to whole ones
SETTLING: Final = 3.0  # seconds after a start, or after the ring was filled, that do not count


def run(budget: Budget) -> list[Figure]:
    """The default tree without agents."""
    with running_daemon() as daemon:
        time.sleep(SETTLING)
        tree = sum(pss_bytes(pid) for pid in family(daemon.process.pid))
        percent = _idle_percent(daemon, max(2.0, budget.seconds / 2))
        with daemon.connect() as hub:
            emitted = _growth_by_emitting(hub, daemon.pids(hub)["log"])
    return [
        absolute("memory: idle tree", "MiB", [[tree / MEBI]], bound=round(BOUND_TREE, 1)),
        absolute("memory: ring of 10,000, emitted", "MiB", [[emitted]], bound=BOUND_RING),
        absolute("memory: ring of 10,000, read", "MiB", [[_growth_by_reading()]], bound=BOUND_RING),
        absolute("idle tree: processor", "%", [[percent]], bound=BOUND_IDLE),
    ]


def _idle_percent(daemon: Daemon, seconds: float) -> float:
    """Of one core, over some seconds in which nobody is connected."""
    pids = family(daemon.process.pid)
    before, began = sum(map(cpu_ns, pids)), time.perf_counter()
    time.sleep(seconds)
    used = sum(map(cpu_ns, pids)) - before
    return used / 1e7 / (time.perf_counter() - began)


def _growth_by_emitting(hub: holdfast.Hub, pid: int) -> float:
    """MiB of the log, from an empty ring to one that was filled by emitting."""
    ring_of(hub)  # it has answered once: what that needs is there
    before = pss_bytes(pid)
    for number in range(NEWEST):
        hub.events.emit(TYPE, DATA, session=SESSION, key=f"benchmark.{number}")
    hub.flush()
    assert ring_of(hub) == NEWEST, "the ring is not full"
    time.sleep(SETTLING)
    return (pss_bytes(pid) - before) / MEBI


def _growth_by_reading() -> float:
    """MiB of a log that read a full ring at its start, above one that had nothing to read."""
    with (
        filled_folder(NEWEST) as folder,
        running_daemon(data_dir=folder) as full,
        full.connect() as hub,
    ):
        while ring_of(hub) < NEWEST:
            assert full.process.poll() is None, "the daemon ended"
        time.sleep(SETTLING)
        filled = pss_bytes(full.pids(hub)["log"])
    with running_daemon() as empty, empty.connect() as hub:
        ring_of(hub)
        return (filled - pss_bytes(empty.pids(hub)["log"])) / MEBI
