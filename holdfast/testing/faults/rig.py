"""One process's share of the rig: whose process it is, and what of the plan is due here now.

Owns the counts of occasions in this life.  Lost when the process dies: those, so that its next
life counts anew; how often a fault was injected in the whole tree is in the record.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import assert_never

from holdfast.testing.faults.plan import (
    Action,
    AtPoint,
    Delay,
    DiskFault,
    Exit,
    Hit,
    Injected,
    Kill,
    Line,
    Plan,
    PlanFile,
    Raise,
    Record,
    Stop,
)

__all__ = ["Rig", "perform"]

_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)


class Rig:
    """What is patched asks it; ``on_change`` hear of another plan, or of another process."""

    def __init__(self, plan: Path, process: str) -> None:
        self.process = process
        self.on_change: list[Callable[[Plan], None]] = []
        self.is_limited = False  # this process has limits that are not to hinder the rig
        self.disk_recording = plan.with_suffix(".disk")
        self._file = PlanFile(plan)
        self._record = Record(plan)
        self._plan: Plan | None = None  # as ``on_change`` know it
        self._counts: dict[str, int] = {}  # occasions in this life, by fault or by point
        self._is_telling = False

    def become(self, process: str) -> None:
        """This is another process than the one it was forked from."""
        self.process = process
        self._counts.clear()
        self._plan = None
        self.look()

    def look(self) -> Plan:
        """What is armed now."""
        with self._unhindered():
            plan = self._file.read()
        if plan is not self._plan and not self._is_telling:
            self._plan, self._is_telling = plan, True
            try:
                for hear in self.on_change:
                    hear(plan)
            finally:
                self._is_telling = False
        return plan

    def write_down(self, line: Line) -> None:
        """Add to the record."""
        with self._unhindered():
            self._record.append(line)

    def passes(self, point: str) -> None:
        """This process is at a point: do what is armed there.  Raises OSError if that is."""
        plan = self.look()
        if any(fnmatchcase(point, wanted) for wanted in plan.hits):
            self.write_down(Hit(process=self.process, point=point, nth=self._count(point)))
        for fault in plan.of(AtPoint, self.process):
            if fnmatchcase(point, fault.point) and self.is_due(fault, fault.action, point):
                perform(fault.action, point)

    def is_due(
        self, fault: AtPoint | DiskFault, what: Action | str, target: str, detail: str = ""
    ) -> bool:
        """This is an occasion for the fault: whether to inject it, which is on record then."""
        if self._count(fault.id) < fault.nth:
            return False
        kind = what if isinstance(what, str) else type(what).__name__.lower()
        line = Injected(
            process=self.process, kind=kind, fault=fault.id, target=target, detail=detail
        )
        with self._unhindered():
            return self._record.claim(line, times=fault.times)

    def _count(self, what: str) -> int:
        self._counts[what] = count = self._counts.get(what, 0) + 1
        return count

    @contextmanager
    def _unhindered(self) -> Iterator[None]:
        """Without the limits of this process: they are for what it does otherwise."""
        if not self.is_limited:
            yield
            return
        limits = [(which, resource.getrlimit(which)) for which in _LIMITS]
        for which, (_, hard) in limits:
            resource.setrlimit(which, (hard, hard))
        try:
            yield
        finally:
            for which, limit in limits:
                resource.setrlimit(which, limit)


def perform(action: Action, point: str) -> None:
    """Do it to this process.  Raises OSError if that is what it is."""
    match action:
        case Kill():
            os.kill(os.getpid(), signal.SIGKILL)
        case Stop():
            os.kill(os.getpid(), signal.SIGSTOP)
        case Raise(errno=number):
            raise OSError(number, f"{os.strerror(number)} (injected at {point})")
        case Delay(seconds=seconds):
            threading.Event().wait(seconds)
        case Exit(code=code):
            os._exit(code)
        case _:
            assert_never(action)
