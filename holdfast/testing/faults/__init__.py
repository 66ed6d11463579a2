"""The fault rig: a daemon that fails where, when and how a test says.

No hook for it stands in the code of the daemon.  ``python -m holdfast.testing.faults start ...``
patches the named places from outside and then runs the ordinary command line; docs/TESTING.md
shows how.
"""

from __future__ import annotations

from holdfast.testing.faults.arming import Faults
from holdfast.testing.faults.plan import (
    AtPoint,
    ClockStep,
    Delay,
    DiskFault,
    DiskRecording,
    Exit,
    Hit,
    Injected,
    Kill,
    Limit,
    Plan,
    Raise,
    Stop,
)
from holdfast.testing.faults.processes import Strike, Strikes, schedule

__all__ = [
    "AtPoint",
    "ClockStep",
    "Delay",
    "DiskFault",
    "DiskRecording",
    "Exit",
    "Faults",
    "Hit",
    "Injected",
    "Kill",
    "Limit",
    "Plan",
    "Raise",
    "Stop",
    "Strike",
    "Strikes",
    "schedule",
]
