"""Power loss, simulated: a writer is recorded, and the power fails after each of its writes.

``python -m holdfast.testing.faults.power --seed N --cuts M``; docs/TESTING.md says what it shows.
"""

from __future__ import annotations

from holdfast.testing.faults.power.cuts import Cuts, Violation, cut_everywhere
from holdfast.testing.faults.power.platter import LOSSES, Loss, Platter
from holdfast.testing.faults.power.runs import Run, Summary, cut_run, plan_runs

__all__ = [
    "LOSSES",
    "Cuts",
    "Loss",
    "Platter",
    "Run",
    "Summary",
    "Violation",
    "cut_everywhere",
    "cut_run",
    "plan_runs",
]
