"""The disk of a daemon under test: what the plan says of SQLite's files, through a VFS.

The VFS is the default one of this process and of its forks, so the daemon opens its database with
it and does not know.  Owns the recorder of this process.
"""

from __future__ import annotations

import os
import signal
import threading
from fnmatch import fnmatchcase

import apsw

from holdfast.testing.faults.plan import DiskFault, DiskRecording, Operation, Plan
from holdfast.testing.faults.recording import Recorder
from holdfast.testing.faults.rig import Rig
from holdfast.testing.faults.shared_memory import watch_maps
from holdfast.testing.faults.vfs import Disk, FaultyVFS, io_error

__all__ = ["install"]


class _ArmedDisk(Disk):
    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._pid = 0  # whose the recorder is

    def hear(self, plan: Plan) -> None:
        """Files that are open go on as they were opened."""
        if not plan.of(DiskRecording, self._rig.process):
            self.recorder = None
        elif self.recorder is None or self._pid != os.getpid():
            self.recorder, self._pid = Recorder(self._rig.disk_recording), os.getpid()

    def before(self, operation: Operation, file: str, end: int) -> int | None:
        kept = None
        for fault in self._rig.look().of(DiskFault, self._rig.process):
            if fault.operation != operation or not fnmatchcase(file, fault.file):
                continue
            if fault.does == "full" and end <= fault.max_bytes:
                continue
            if self._rig.is_due(fault, fault.does, file, operation):
                kept = _inject(fault)
        return kept

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def _inject(fault: DiskFault) -> int | None:
    match fault.does:
        case "full":
            raise apsw.FullError("injected")
        case "ioerr":
            raise io_error(fault.operation)
        case "slow":
            threading.Event().wait(fault.seconds)
            return None
        case "torn":
            return fault.max_bytes


def install(rig: Rig) -> None:
    """Have SQLite use the disk of the plan in this process and in its forks."""
    disk = _ArmedDisk(rig)
    rig.on_change.append(disk.hear)
    watch_maps(disk)
    _kept.append(FaultyVFS("holdfast-faults", disk, is_default=True))


_kept: list[FaultyVFS] = []  # a VFS that nobody refers to is unregistered
