"""Clock steps: the wall clock of the tree is ahead or behind, as after a hand or NTP set it.

Python's ``time.time`` and ``time.time_ns`` are shifted, and so ``holdfast.clock``; the monotonic
clock is not, as in the kernel.  SQLite's own ``now`` and ``datetime.now`` are the machine's.
"""

from __future__ import annotations

import time

from holdfast.testing.faults.plan import ClockStep, Injected, Plan
from holdfast.testing.faults.rig import Rig

__all__ = ["install"]


def install(rig: Rig) -> None:
    """Have this process and its forks look at the plan whenever they ask for the time."""
    true_time, true_time_ns = time.time, time.time_ns
    known: dict[str, str] = {}  # steps that are on record, by fault, with the process

    def shift() -> float:
        return sum(step.seconds for step in rig.look().of(ClockStep, rig.process))

    def hear(plan: Plan) -> None:
        for step in plan.of(ClockStep, rig.process):
            if known.get(step.id) != rig.process:
                known[step.id] = rig.process
                rig.write_down(
                    Injected(
                        process=rig.process,
                        kind="clock",
                        fault=step.id,
                        target="wall clock",
                        detail=f"{step.seconds:+g} s",
                    )
                )

    rig.on_change.append(hear)
    time.time = lambda: true_time() + shift()
    time.time_ns = lambda: true_time_ns() + round(shift() * 1e9)
