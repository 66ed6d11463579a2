"""How long a call of emit takes, beside encoding the event and keeping it, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.emitting import Bare, burst, paced
from benchmarks.material import DATA, SESSION, TYPE
from benchmarks.measure import Budget, Figure, Round, compare, interleave

__all__ = ["run"]

PERIOD: Final = 0.0005  # seconds from call to call of a paced round in a program
BOUND_P50: Final = 2.0  # microseconds, in an agent
BOUND_P99: Final = 50.0


def run(budget: Budget) -> list[Figure]:
    """In a program and in an agent, each back to back and paced; each beside its own floor."""
    with running_daemon({"emitter": "sending:Emitter"}) as daemon, daemon.connect() as hub:
        return _program(budget.seconds / 2, hub) + _agent(budget.seconds / 2, hub)


def _program(seconds: float, hub: holdfast.Hub) -> list[Figure]:
    def emit() -> None:
        hub.events.emit(TYPE, DATA, session=SESSION)

    def flushed() -> Round:
        samples = burst(emit)
        hub.flush()
        return samples

    bare = Bare()
    floor, paced_floor, bursts, single = interleave(
        seconds,
        lambda: burst(bare.emit),
        lambda: paced(bare.emit, PERIOD),
        flushed,
        lambda: paced(emit, PERIOD),
    )
    return [
        compare("emit 1 KB, back to back", "us", bursts, floor),
        compare("emit 1 KB, paced", "us", single, paced_floor),
    ]


def _agent(seconds: float, hub: holdfast.Hub) -> list[Figure]:
    """The agent takes the samples, within one handler a round."""
    emitter = hub.ref("emitter")

    def samples(way: str) -> Round:
        return msgspec.convert(emitter.ask(way, timeout=30.0), list[float])

    ways = ("bare burst", "bare paced", "burst", "paced")
    sides: list[Callable[[], Round]] = [partial(samples, way) for way in ways]
    floor, paced_floor, bursts, single = interleave(seconds, *sides)
    return [
        _judged(compare("emit 1 KB in an agent, back to back", "us", bursts, floor)),
        _judged(compare("emit 1 KB in an agent, 1,000 a second", "us", single, paced_floor)),
    ]


def _judged(figure: Figure) -> Figure:
    """By its own percentiles, whatever the floor is."""
    reached = figure.ours.p50 <= BOUND_P50 and figure.ours.p99 <= BOUND_P99
    target = f"<= {BOUND_P50:g}, p99 <= {BOUND_P99:g} us"
    return msgspec.structs.replace(figure, target=target, reached=reached)
