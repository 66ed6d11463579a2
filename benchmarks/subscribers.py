"""A hundred subscribers, each to a session of its own, and two to everything.

Two questions.  With 20,000 events a second offered: does each get all of its events, once and in
order, how late, and how much of the log's time does that take?  And how many events does the log
get committed when as many come as can, with and without subscribers, in turn?  The second one
hurts wherever subscribers, senders and daemon share few processors: all of them are in it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Final

import msgspec

import holdfast
from benchmarks.daemon import Daemon, running_daemon
from benchmarks.driven import Driven, driven
from benchmarks.material import DATA, TYPE
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave
from benchmarks.processes import cpu_ns
from benchmarks.subscribing import END, SESSIONS

__all__ = ["run"]

PROCESSES: Final = 4
ALL: Final = 2  # of the processes have one subscriber to everything
RATE: Final = 20_000  # events a second
NAME: Final = f"{SESSIONS} subscribers, {RATE:,}/s"
PACE: Final = 0.002  # seconds between two bursts of the offered load
FLOOD: Final = 10_000  # events in a round as fast as they go
SHARE: Final = 20.0  # percent of the log's time


def run(budget: Budget) -> list[Figure]:
    """The offered load first, then the flood in rounds."""
    with ExitStack() as stack:
        daemon = stack.enter_context(running_daemon())
        hub = stack.enter_context(daemon.connect())
        per = SESSIONS // PROCESSES
        readers = [
            stack.enter_context(
                driven(
                    "benchmarks.subscribing",
                    str(daemon.run_dir),
                    "all" if n < ALL else "own",
                    str(n * per),
                    str((n + 1) * per),
                )
            )
            for n in range(PROCESSES)
        ]
        emitter = _Emitter(hub)
        offered = _offered(daemon, hub, readers, emitter, budget.seconds / 2)
        flood = _flood(readers, emitter, budget.seconds / 2)
    return [*offered, flood]


class _Emitter:
    """Emits to the sessions in turn, and numbers what it emits in each round."""

    def __init__(self, hub: holdfast.Hub) -> None:
        self._hub = hub
        self.count = 0

    def emit(self, many: int) -> None:
        """So many."""
        emit = self._hub.events.emit
        for n in range(self.count, self.count + many):
            emit(TYPE, {**DATA, "n": n}, session=f"s{n % SESSIONS}")
        self.count += many

    def end(self) -> int:
        """The last events of a round; how many there were before."""
        for n in range(SESSIONS):
            self._hub.events.emit(END, session=f"s{n}")
        count, self.count = self.count, 0
        self._hub.flush()
        return count

    def pace(self, seconds: float) -> float:
        """RATE events a second; how many it were."""
        began = time.monotonic()
        before = self.count
        while (passed := time.monotonic() - began) < seconds:
            self.emit(min(int(passed * RATE) + before - self.count, RATE // 20))
            time.sleep(max(0.0, began + passed + PACE - time.monotonic()))
        self._hub.flush()
        return (self.count - before) / (time.monotonic() - began)


def _offered(
    daemon: Daemon, hub: holdfast.Hub, readers: list[Driven], emitter: _Emitter, seconds: float
) -> list[Figure]:
    log = daemon.pids(hub)["log"]
    emitter.pace(min(1.0, seconds))  # warms up
    used = cpu_ns(log)
    emitter.pace(seconds)
    alone = (cpu_ns(log) - used) / 1e9 / seconds
    emitter.end()
    for reader in readers:
        reader.ask("subscribe")
    used = cpu_ns(log)
    rate = emitter.pace(seconds)
    together = (cpu_ns(log) - used) / 1e9 / seconds
    count = emitter.end()
    wrong, lags = _collected(readers, count)
    share = absolute(
        f"{NAME}: of the log's time",
        "%",
        [[100 * (together - alone)]],
        bound=SHARE,
    )
    cpu = {"without": alone / rate * 1e6, "with": together / rate * 1e6}
    return [
        absolute(f"{SESSIONS} subscribers: offered", "1/s", [[rate]], better="higher"),
        absolute(
            f"{SESSIONS} subscribers: lost, twice or out of order", "events", [[wrong]], bound=0
        ),
        msgspec.structs.replace(share, cpu_us=cpu),
        absolute(f"{SESSIONS} subscribers: from emit to hand-out", "ms", [lags]),
    ]


def _flood(readers: list[Driven], emitter: _Emitter, seconds: float) -> Figure:
    def flood() -> float:
        began = time.perf_counter()
        emitter.emit(FLOOD)
        emitter._hub.flush()
        return FLOOD / (time.perf_counter() - began)

    def without() -> Round:
        rate = flood()
        emitter.end()
        return [rate]

    def together() -> Round:
        for reader in readers:
            reader.ask("subscribe")
        rate = flood()
        _collected(readers, emitter.end())
        return [rate]

    rates, floor = interleave(seconds, together, without)
    return compare(
        f"{SESSIONS} subscribers: committed, beside none", "1/s", rates, floor, better="higher"
    )


def _collected(readers: list[Driven], count: int) -> tuple[int, list[float]]:
    """How many events are not as they should be, and all lags in milliseconds."""
    for reader in readers:
        reader.begin("collect", count)
    wrong, lags = 0, []
    for reader in readers:
        mistakes, late = reader.end()
        wrong += mistakes
        lags += [microseconds / 1000 for microseconds in late]
    return wrong, lags
