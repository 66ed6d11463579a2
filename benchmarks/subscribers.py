"""A hundred subscribers, each to a session of its own, and two to all of these.

Two questions.  With 20,000 events a second offered: does each get all of its events, once and in
order, how late, and how much of the log's time does that take?  And how many events does the log
get committed when as many come as can, with and without subscribers, in turn?  A fifth of those are
asked for, since reading them takes the subscribers longer than the daemon takes to store them, and
they share the processors with it.
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
OTHERS: Final = 4  # of the flood, for each one that is asked for: about RATE of those a second
OTHER: Final = "llm:token"
SHARE: Final = 20.0  # percent of the log's time
BOUND: Final = 0.8  # of the rate without subscribers


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

    def emit(self, many: int, *, others: int = 0) -> None:
        """So many, and ``others`` that nobody asks for beside each of them."""
        emit = self._hub.events.emit
        for n in range(self.count, self.count + many):
            emit(TYPE, {**DATA, "n": n}, session=f"s{n % SESSIONS}")
            for _ in range(others):
                emit(OTHER, {**DATA, "n": n}, session=f"other{n % SESSIONS}")
        self.count += many

    def flood(self) -> float:
        """As many as go, of which one in OTHERS + 1 is asked for; events a second."""
        began = time.perf_counter()
        self.emit(FLOOD // (OTHERS + 1), others=OTHERS)
        self._hub.flush()
        return FLOOD / (time.perf_counter() - began)

    def end(self) -> int:
        """The last events of a round; how many there were before."""
        for n in range(SESSIONS):
            self._hub.events.emit(END, session=f"s{n}")
        count, self.count = self.count, 0
        self._hub.flush()
        return count

    def pace(self, seconds: float) -> tuple[int, float]:
        """RATE events a second; how many it were, in how many seconds until all is committed."""
        began = time.monotonic()
        before = self.count
        while (passed := time.monotonic() - began) < seconds:
            self.emit(min(int(passed * RATE) + before - self.count, RATE // 20))
            time.sleep(max(0.0, began + passed + PACE - time.monotonic()))
        self._hub.flush()
        return self.count - before, time.monotonic() - began


def _offered(
    daemon: Daemon, hub: holdfast.Hub, readers: list[Driven], emitter: _Emitter, seconds: float
) -> list[Figure]:
    log = daemon.pids(hub)["log"]
    emitter.pace(min(1.0, seconds))  # warms up

    def paced() -> tuple[float, float, float]:
        """Events a second; processor time of the log, as a share and in microseconds an event."""
        used = cpu_ns(log)
        count, took = emitter.pace(seconds)
        used = cpu_ns(log) - used
        return count / took, used / 1e9 / took, used / 1e3 / count

    _, alone, each_alone = paced()
    emitter.end()
    for reader in readers:
        reader.ask("subscribe")
    rate, together, each = paced()
    count = emitter.end()
    wrong, lags = _collected(readers, count)
    share = absolute(
        f"{NAME}: of the log's time",
        "%",
        [[100 * (together - alone)]],
        bound=SHARE,
    )
    cpu = {"without": each_alone, "with": each}
    return [
        absolute(f"{SESSIONS} subscribers: offered", "1/s", [[rate]], better="higher"),
        absolute(
            f"{SESSIONS} subscribers: lost, twice or out of order", "events", [[wrong]], bound=0
        ),
        msgspec.structs.replace(share, cpu_us=cpu),
        absolute(f"{SESSIONS} subscribers: from emit to hand-out", "ms", [lags]),
    ]


def _flood(readers: list[Driven], emitter: _Emitter, seconds: float) -> Figure:
    def without() -> Round:
        rate = emitter.flood()
        emitter.end()
        return [rate]

    def together() -> Round:
        for reader in readers:
            reader.ask("subscribe")
        rate = emitter.flood()
        wrong, _ = _collected(readers, emitter.end())
        if wrong:
            raise holdfast.DeliveryError(f"subscribers: {wrong} events are not as they should be")
        return [rate]

    rates, floor = interleave(seconds, together, without)
    name = f"{SESSIONS} subscribers: committed, beside none"
    return compare(name, "1/s", rates, floor, better="higher", bound=BOUND)


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
