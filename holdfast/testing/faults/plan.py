"""What is armed in a daemon under test, and what came of it: two files that its processes share.

The plan is one JSON file, replaced as a whole; every process of the tree looks at it whenever it
passes a place where something could be injected, so a test arms and disarms a tree that runs.
Beside it is the record, JSON lines: each fault that was injected, and each hit that was asked for.
Lost when a process dies: nothing; a line is in the record before its fault is.
"""

from __future__ import annotations

import fcntl
import os
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec

from holdfast.errors import ConfigError

__all__ = [
    "ENVIRONMENT",
    "Action",
    "AtPoint",
    "ClockStep",
    "Delay",
    "DiskFault",
    "DiskRecording",
    "Exit",
    "Fault",
    "Hit",
    "Injected",
    "Kill",
    "Limit",
    "Line",
    "Operation",
    "Plan",
    "PlanFile",
    "Raise",
    "Record",
    "Stop",
]

ENVIRONMENT: Final = "HOLDFAST_FAULTS"  # the plan's path, for all processes of the tree

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Operation: TypeAlias = Literal["open", "read", "write", "sync", "truncate", "delete", "map"]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]


# -- what happens at a point ----------------------------------------------------------------------


class _Action(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """What the process does to itself."""


class Kill(_Action, tag="kill", frozen=True):
    """SIGKILL: nothing after the point is done."""


class Stop(_Action, tag="stop", frozen=True):
    """SIGSTOP: it stands at the point until somebody continues or kills it."""


class Raise(_Action, tag="raise", frozen=True):
    """OSError, as the kernel would have refused what comes next."""

    errno: int


class Delay(_Action, tag="delay", frozen=True):
    """It stands at the point for so long."""

    seconds: Seconds


class Exit(_Action, tag="exit", frozen=True):
    """It ends at once with this code, and runs nothing on the way out."""

    code: Annotated[int, msgspec.Meta(ge=0, le=255)]


Action: TypeAlias = Kill | Stop | Raise | Delay | Exit


# -- what is armed --------------------------------------------------------------------------------


class _Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="fault",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Common to all.

    ``nth`` counts the occasions in one life of one process since it saw the fault armed; that one
    and those after it are injected, until it were ``times`` in the whole tree.
    """

    id: str = ""  # what the record counts by; given by ``Faults.arm`` and never used twice
    process: str = "*"  # a pattern for names: an actor, a supervisor, "root", "zygote:state"
    nth: Count = 1
    times: Annotated[int, msgspec.Meta(ge=0)] = 1  # 0: without end


class AtPoint(_Fault, tag="at_point", frozen=True):
    """At a failpoint (``failpoints.POINTS``), or at those that a pattern names."""

    point: str
    action: Action


class DiskFault(_Fault, tag="disk", frozen=True):
    """SQLite's next ``operation`` on a file fails, waits or is done by half.

    ``full``: SQLITE_FULL, for what would make a file longer than ``max_bytes``; ``ioerr``:
    SQLITE_IOERR; ``slow``: waits ``seconds`` before; ``torn``: writes the first ``max_bytes`` of
    what it should, then the process is killed.  To ``map`` is to get at the memory that a log's
    readers and writer share: when a database is opened, and when the log has grown.
    """

    does: Literal["full", "ioerr", "slow", "torn"]
    operation: Operation = "write"
    file: str = "*"  # a pattern for the name of the file, without its folder: "*-wal"
    seconds: Seconds = 0.0
    max_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class ClockStep(_Fault, tag="clock", frozen=True):
    """While armed the wall clock is so much ahead (or, negative, behind); steps add up.

    ``nth`` and ``times`` mean nothing here.
    """

    seconds: float


class Limit(_Fault, tag="limit", frozen=True):
    """While armed, the soft limit of a process (setrlimit).

    It is taken up by each process that begins, and by one that runs at its next point; disarming
    gives back what it had.  ``nth`` and ``times`` mean nothing here.
    """

    resource: Literal["NOFILE", "AS", "FSIZE"]
    value: Annotated[int, msgspec.Meta(ge=0)]


class DiskRecording(_Fault, tag="disk_recording", frozen=True):
    """What a process does to files that it opens while this is armed is recorded.

    In the file ``.disk`` beside the plan, for ``recording.read_recording``.  ``nth`` and ``times``
    mean nothing here.
    """


Fault: TypeAlias = AtPoint | DiskFault | DiskRecording | ClockStep | Limit
F = TypeVar("F", bound=Fault)


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is armed now."""

    faults: tuple[Fault, ...] = ()
    hits: tuple[str, ...] = ()  # patterns of points whose hits are recorded, also unarmed
    count: int = 0  # of the faults that were ever armed: what the next id is made of

    def of(self, kind: type[F], process: str) -> list[F]:
        """What is armed of one kind for a process, in the order it was armed."""
        return [
            fault
            for fault in self.faults
            if isinstance(fault, kind) and fnmatchcase(process, fault.process)
        ]


# -- what came of it ------------------------------------------------------------------------------


class _Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="line"):
    """Common to all; ``at`` is the monotonic clock, one for all processes of the machine."""

    at: float = msgspec.field(default_factory=time.monotonic)
    process: str
    pid: int = msgspec.field(default_factory=os.getpid)


class Hit(_Line, tag="hit", frozen=True):
    """A process passed a point; ``nth`` in its life since it saw that hits are wanted."""

    point: str
    nth: int


class Injected(_Line, tag="injected", frozen=True):
    """A fault is injected now, into this process."""

    kind: str  # kill, stop, raise, delay, exit, full, ioerr, slow, torn, clock, limit, net:reset
    fault: str = ""  # the id it was armed with; empty when somebody outside the tree did it
    target: str = ""  # the point, the file, the connection
    detail: str = ""


Line: TypeAlias = Hit | Injected

_encode = msgspec.json.Encoder().encode
_decode_plan = msgspec.json.Decoder(Plan).decode
_decode_line = msgspec.json.Decoder(Line).decode


class PlanFile:
    """The plan as one process sees it: read again whenever the file is another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._plan = Plan()

    def read(self) -> Plan:
        """What is armed now; nothing when there is no file.  Raises ConfigError for a bad one."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            self._seen, self._plan = None, Plan()
            return self._plan
        seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            try:
                self._plan = _decode_plan(self.path.read_bytes())
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                raise ConfigError(f"{self.path}: {error}: expected a plan of faults") from None
            self._seen = seen
        return self._plan

    def write(self, plan: Plan) -> None:
        """Replace it; a reader sees the old one or the new one."""
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_bytes(msgspec.json.format(_encode(plan)) + b"\n")
        new.replace(self.path)


class Record:
    """The record that lies beside a plan; any process appends, one write for each line."""

    def __init__(self, plan: Path) -> None:
        self.path = plan.with_suffix(".jsonl")

    def append(self, line: Line) -> None:
        """Add a line, behind what all others have added."""
        with self.path.open("ab", buffering=0) as file:
            file.write(_encode(line) + b"\n")

    def claim(self, line: Injected, *, times: int) -> bool:
        """Add a line unless its fault was injected ``times`` times; whether it was added.

        Exact between processes: a fault of which one is left is injected by one of them.
        """
        with self.path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # gone with this descriptor, also when it is killed
            file.seek(0)
            so_far = sum(_is_of(line.fault, known) for known in _lines(file.read()))
            if times and so_far >= times:
                return False
            file.write(_encode(line) + b"\n")
            return True

    def lines(self) -> list[Line]:
        """All of it so far, oldest first."""
        return _lines(self.path.read_bytes()) if self.path.exists() else []


def _lines(data: bytes) -> list[Line]:
    return [_decode_line(line) for line in data.splitlines()]


def _is_of(fault: str, line: Line) -> bool:
    return isinstance(line, Injected) and line.fault == fault
