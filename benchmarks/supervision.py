"""What supervision costs: the start of many children, idling, a thousand restarts, a crash loop."""

from __future__ import annotations

import os
import time
from typing import Final, Literal

import msgspec

from benchmarks import crash_loop, wear
from benchmarks.bare import peer
from benchmarks.daemon import running_daemon
from benchmarks.kills import fork, kill_and_see
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave
from benchmarks.processes import cpu_ns

__all__ = ["run"]

CHILDREN: Final = 64
BOUND_MS: Final = 2_000.0  # for all of them to be ready
BOUND_IDLE: Final = 1.0  # per cent of one core
SETTLING: Final = 3.0  # seconds after a start that do not count
IDLING: Final = 10.0  # seconds


def run(budget: Budget) -> list[Figure]:
    """Many children first, then one that is killed, then one that never lives long."""
    idle = _idle(min(IDLING, budget.seconds))
    return [*_starts(budget.seconds), *idle, *wear.run(budget), *crash_loop.run(budget)]


def _starts(seconds: float) -> list[Figure]:
    """A tree with them, minus one without: what they add to the time until it is ready."""
    agents = _agents()
    with peer("zygote") as sock:

        def tree(start: Literal["sequential", "parallel"], *, children: bool = True) -> float:
            with running_daemon(agents if children else {}, start=start) as daemon:
                return daemon.start_seconds * 1000

        def added(start: Literal["sequential", "parallel"]) -> Round:
            return [tree(start) - tree("sequential", children=False)]

        def bare() -> Round:
            began = time.perf_counter()
            descriptors = [os.pidfd_open(fork(sock)) for _ in range(CHILDREN)]
            milliseconds = (time.perf_counter() - began) * 1000
            for descriptor in descriptors:
                kill_and_see(descriptor)
            return [milliseconds]

        floor, sequential, parallel = interleave(
            seconds, bare, lambda: added("sequential"), lambda: added("parallel")
        )
    return [
        _judged(compare(f"{CHILDREN} children, one by one: ready", "ms", sequential, floor)),
        _judged(compare(f"{CHILDREN} children, in parallel: ready", "ms", parallel, floor)),
    ]


def _judged(figure: Figure) -> Figure:
    reached = figure.ours.p50 <= BOUND_MS
    return msgspec.structs.replace(figure, target=f"<= {BOUND_MS:,g} ms", reached=reached)


def _idle(seconds: float) -> list[Figure]:
    """Processor time of the children and of whom they have above them; nobody is connected."""
    with running_daemon(_agents()) as daemon:
        with daemon.connect() as hub:
            pids = daemon.pids(hub)
        time.sleep(SETTLING)
        children = [pid for name, pid in pids.items() if name in _agents()]
        supervisor, root, together = _percent(
            seconds, [pids["agents"]], [daemon.process.pid], children
        )
    name = f"{CHILDREN} idle children: processor"
    return [
        absolute(f"{name}, supervisor", "%", [[supervisor]], bound=BOUND_IDLE),
        absolute(f"{name}, root", "%", [[root]], bound=BOUND_IDLE),
        absolute(f"{name}, children", "%", [[together]]),
    ]


def _percent(seconds: float, *groups: list[int]) -> list[float]:
    """What each group of processes takes together, of one core."""
    before, began = [sum(map(cpu_ns, pids)) for pids in groups], time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    after = [sum(map(cpu_ns, pids)) for pids in groups]
    return [(end - start) / 1e7 / passed for start, end in zip(before, after, strict=True)]


def _agents() -> dict[str, str]:
    return {f"echo{number}": "agents:Echo" for number in range(CHILDREN)}
