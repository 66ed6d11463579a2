"""How long commits take while everything in a large database is deleted, beside before and after.

One sender, one event at a time: emitted, and waited for until it is committed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import msgspec

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.measure import Budget, Figure, Round, absolute, compare
from benchmarks.start import filled_folder
from holdfast.actors.messages.writer import Prune, Pruned
from holdfast.errors import StorageError

__all__ = ["run"]

# No round but the one that is asked for.
CONFIG: Final = "[retention]\nmax_count = 1\nperiod = 3600.0\n"
BOUND_MS: Final = 20.0
TIMEOUT: Final = 600.0  # seconds for the round
ROUND: Final = 200  # commits
BYTES_AN_EVENT: Final = 2_000  # of disk, with the indexes and the log; generous


def run(budget: Budget) -> list[Figure]:
    """Commits before, during and after a round that deletes all there is."""
    name = f"retention of {budget.database:,} events"
    with filled_folder(budget.database) as folder:
        free = shutil.disk_usage(folder).free
        if free < budget.database * BYTES_AN_EVENT // 4:
            raise StorageError(f"{folder}: {free / 1e9:.1f} GB free: set TMPDIR to another folder")
        with (
            running_daemon(data_dir=folder, more=CONFIG) as daemon,
            daemon.connect() as hub,
            daemon.connect() as other,
        ):
            _commits(hub)  # warms up
            end = time.monotonic() + budget.seconds / 2
            without = _rounds(hub, lambda: time.monotonic() >= end)
            began = time.monotonic()
            asked = other.ref("writer").ask(Prune(False), block=False, timeout=TIMEOUT)
            during = _rounds(hub, lambda: _is_done(other, budget.database))
            pruned = msgspec.convert(asked.get(), Pruned)
            seconds = time.monotonic() - began
            after = time.monotonic() + budget.seconds / 2
            without += _rounds(hub, lambda: time.monotonic() >= after)
    deleted = sum(each.count for each in pruned.deletions)
    assert deleted >= budget.database, f"only {deleted} were deleted"
    usual = compare(f"{name}: commit", "ms", _as_many(during, without), without)
    longest = max(map(max, during))
    return [
        usual,
        _judged(absolute(f"{name}: longest commit", "ms", [[longest]]), median(without[0])),
        absolute("the same without: longest commit", "ms", [[max(map(max, without))]]),
        absolute(f"{name}: deleted", "1/s", [[deleted / seconds]], better="higher"),
    ]


def _judged(figure: Figure, usual: float) -> Figure:
    reached = figure.ours.p50 <= usual + BOUND_MS
    return msgspec.structs.replace(figure, target=f"usual + {BOUND_MS:g} ms", reached=reached)


def _as_many(rounds: list[Round], others: list[Round]) -> list[Round]:
    """Cut into as many rounds as there are others; all samples stay."""
    samples = [sample for round in rounds for sample in round]
    count = len(others)
    return [samples[n::count] or [samples[0]] for n in range(count)]


def _rounds(hub: holdfast.Hub, is_over: Callable[[], bool]) -> list[Round]:
    rounds = [_commits(hub)]
    while not is_over():
        rounds.append(_commits(hub))
    return rounds


def _commits(hub: holdfast.Hub) -> Round:
    samples = []
    for n in range(ROUND):
        began = time.perf_counter()
        hub.events.emit("bench:commit", n)
        hub.flush()
        samples.append((time.perf_counter() - began) * 1000)
    return samples


def _is_done(hub: holdfast.Hub, events: int) -> bool:
    """What was there before is gone."""
    return hub.events.query(limit=1, payloads=False)[0].seq > events
