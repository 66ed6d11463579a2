"""How a figure is made: short rounds of ours and of the floor in turn, so that load hits both.

The ratio is the median of the ratios of neighbouring rounds: it survives a machine whose speed
changes during the run, which two separate runs do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, Literal

import msgspec

__all__ = [
    "Budget",
    "CpuMeter",
    "Figure",
    "Spread",
    "absolute",
    "compare",
    "compare_p99",
    "interleave",
    "rate",
    "timed",
]

LEAST_ROUNDS: Final = 3  # counted ones; a median of fewer is no median

Round = list[float]
Side = Callable[[], Round]  # one short round; its samples


class Budget(msgspec.Struct, frozen=True):
    """How long a benchmark may measure and offer load, in seconds; how often it may kill each
    actor, and one of them to see what restarts leave behind; how many events are in the database
    of a start."""

    seconds: float
    kills: int
    restarts: int
    load_seconds: float
    database: int


class Spread(msgspec.Struct, frozen=True):
    """The middle and the bad end of the samples: the 99th percentile of times, the slowest
    hundredth of rates."""

    p50: float
    p99: float
    samples: int


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.  ``ratio`` is ours by the floor; ``target`` bounds it, or ``ours``.

    ``cpu_us`` is processor time per unit of work, by process.
    """

    figure: str
    unit: str
    ours: Spread
    floor: Spread | None = None
    ratio: float | None = None
    target: str = ""
    reached: bool | None = None
    cpu_us: dict[str, float] = {}


def interleave(seconds: float, *sides: Side, least: int = LEAST_ROUNDS) -> list[list[Round]]:
    """The rounds of each side, ``least`` at least.  The first of each warms up, uncounted."""
    for side in sides:
        side()
    rounds: list[list[Round]] = [[] for _ in sides]
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end or turn < least:
        # Forwards and backwards in turn: nobody always runs in another one's wake.
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            rounds[index].append(sides[index]())
        turn += 1
    return rounds


def compare(
    figure: str,
    unit: str,
    ours: Sequence[Round],
    floor: Sequence[Round],
    *,
    better: Literal["lower", "higher"] = "lower",
    bound: float | None = None,
    cpu_us: dict[str, float] | None = None,
) -> Figure:
    """Ours beside the floor; ``bound`` is the ratio to reach."""
    pairs = zip(ours, floor, strict=True)
    ratio = median(median(mine) / median(theirs) for mine, theirs in pairs)
    target, reached = _judged(ratio, better, bound, "x")
    return Figure(
        figure=figure,
        unit=unit,
        ours=_spread(ours, better),
        floor=_spread(floor, better),
        ratio=ratio,
        target=target,
        reached=reached,
        cpu_us=cpu_us or {},
    )


def compare_p99(
    figure: str, unit: str, ours: Sequence[Round], floor: Sequence[Round], *, bound: float
) -> Figure:
    """The bad ends of times beside each other.

    The ratio is of the percentiles over all rounds: a round has too few samples for one.
    """
    mine, theirs = _spread(ours), _spread(floor)
    ratio = mine.p99 / theirs.p99
    return Figure(
        figure=figure,
        unit=unit,
        ours=mine,
        floor=theirs,
        ratio=ratio,
        target=f"<= {bound:g}x",
        reached=ratio <= bound,
    )


def absolute(
    figure: str,
    unit: str,
    ours: Sequence[Round],
    *,
    better: Literal["lower", "higher"] = "lower",
    bound: float | None = None,
) -> Figure:
    """Ours alone; ``bound`` is what the middle has to reach."""
    spread = _spread(ours, better)
    target, reached = _judged(spread.p50, better, bound)
    return Figure(figure=figure, unit=unit, ours=spread, target=target, reached=reached)


def _judged(
    value: float, better: Literal["lower", "higher"], bound: float | None, unit: str = ""
) -> tuple[str, bool | None]:
    """What the target says, and whether it is reached."""
    if bound is None:
        return "", None
    if better == "lower":
        return f"<= {bound:,g}{unit}", value <= bound
    return f">= {bound:,g}{unit}", value >= bound


def _spread(rounds: Sequence[Round], better: Literal["lower", "higher"] = "lower") -> Spread:
    """Percentiles over the samples of all rounds."""
    samples = sorted(
        (sample for samples in rounds for sample in samples), reverse=better == "higher"
    )
    last = len(samples) - 1
    return Spread(median(samples), samples[round(last * 0.99)], len(samples))


def rate(count: int, work: Callable[[], object]) -> Round:
    """How many a second, when the work is ``count`` of them."""
    began = time.perf_counter()
    work()
    return [count / (time.perf_counter() - began)]


def timed(count: int, call: Callable[[], object]) -> Round:
    """Microseconds of each of ``count`` calls."""
    samples = []
    for _ in range(count):
        began = time.perf_counter_ns()
        call()
        samples.append((time.perf_counter_ns() - began) / 1000)
    return samples


def _cpu_ns(pid: int) -> int:
    """Processor time of a process's main thread so far; exact where /proc/PID/stat has ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


class CpuMeter:
    """Adds up what the given processes, and this one if ``here``, use while ``running``."""

    def __init__(self, processes: dict[str, int], *, here: bool = True) -> None:
        self._processes = processes
        self._here = here
        self._used = dict.fromkeys(self._now(), 0)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is used inside."""
        before = self._now()
        yield
        for name, used in self._now().items():
            self._used[name] += used - before[name]

    def per(self, count: int) -> dict[str, float]:
        """Microseconds for each of ``count`` units of work."""
        return {name: round(used / 1000 / count, 2) for name, used in self._used.items()}

    def _now(self) -> dict[str, int]:
        used = {name: _cpu_ns(pid) for name, pid in self._processes.items()}
        # All threads of this process: the hub's own one does half of the work.
        return {"here": time.process_time_ns(), **used} if self._here else used
