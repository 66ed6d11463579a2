"""The test kit for agents: a real daemon in a test, its events, and a clock moved by hand.

There is no agent in the test's own process, and nothing that stands in for the storage: a daemon
is ready in 0.3 s.  docs/TESTING.md shows how; ``pytest_plugin`` has the fixtures.
"""

from __future__ import annotations

from holdfast.testing.clock import ManualClock
from holdfast.testing.config import PROFILE
from holdfast.testing.daemon import Daemon, StartDaemon
from holdfast.testing.daemon_process import TIMEOUT, DaemonEndedError
from holdfast.testing.events import Events

__all__ = [
    "PROFILE",
    "TIMEOUT",
    "Daemon",
    "DaemonEndedError",
    "Events",
    "ManualClock",
    "StartDaemon",
]
