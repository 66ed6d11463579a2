"""Recorded lives of a writer in this process, each drawn from a seed, and what cutting them shows.

Owns temporary folders only.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from holdfast.storage.ports import Durability
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.testing.clock import ManualClock
from holdfast.testing.faults.plan import Operation
from holdfast.testing.faults.power.cuts import DATABASE, Cuts, cut_everywhere
from holdfast.testing.faults.power.platter import LOSSES
from holdfast.testing.faults.power.work import RETENTION, Work
from holdfast.testing.faults.recording import Entry, Recorder, Told, read_recording
from holdfast.testing.faults.vfs import Disk, FaultyVFS, io_error

__all__ = ["Make", "Run", "Summary", "cut_run", "plan_runs", "scratch_folder"]

POINTS: Final = 1_000  # of one run; the next one is of another seed
NEW_FROM: Final = 500  # cuts: to make a file takes some 300 writes
WARM_UP: Final = 80  # steps before, so that there is something to change and to delete
_VFS: Final = "holdfast-power"

Make = Callable[..., SqliteDatabase]


class Run(msgspec.Struct, frozen=True):
    """One recorded life of a writer; the power fails at ``points`` of its writes at least."""

    seed: int
    points: int
    durability: Durability
    is_new: bool = False  # recorded from the making of the file on
    every_loss: bool = False
    syncs_fail: bool = False  # some, of which the writer dies; only at "committed"


class Summary(msgspec.Struct):
    """What came of a run."""

    run: Run
    cuts: Cuts
    commands: Counter[str]
    seconds: float
    is_tree: bool = False  # of a daemon under traffic, not of a writer in this process


def plan_runs(seed: int, cuts: int, *, every_loss: bool) -> list[Run]:
    """Runs with so many points together; the first of many makes its database."""
    runs = []
    for number, left in enumerate(range(cuts, 0, -POINTS)):
        durability: Durability = "disk" if number % 3 == 2 else "committed"
        points = min(POINTS, left)
        run_seed = seed * 1_000 + number
        is_new = number == 0 and cuts >= NEW_FROM
        syncs_fail = number % 3 == 1
        runs.append(Run(run_seed, points, durability, is_new, every_loss, syncs_fail))
    return runs


def scratch_folder() -> str | None:
    """Where files cost no disk, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def cut_run(run: Run, make: Make = SqliteDatabase, disk: Disk | None = None) -> Summary:
    """Record it, then cut it; ``make`` is called as ``SqliteDatabase`` is, on ``disk``."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-power-", dir=scratch_folder()) as folder:
        recording = Path(folder, "recording")
        skip, commands = _record(run, make, disk or Disk(), recording)
        cutting = Path(folder, "cutting")
        cutting.mkdir()
        cuts = cut_everywhere(
            read_recording(recording),
            cutting,
            seed=str(run.seed),
            losses=LOSSES if run.every_loss else None,
            skip=skip,
        )
    return Summary(run, cuts, commands, time.monotonic() - began)


class _Counting(Recorder):
    """Knows how long the recording is."""

    count = 0
    points = 0  # entries of the disk, as others are

    def add(self, entry: Entry) -> None:
        super().add(entry)
        self.count += 1
        self.points += not isinstance(entry, Told)


def _record(run: Run, make: Make, disk: Disk, recording: Path) -> tuple[int, Counter[str]]:
    """How many entries are of the warm-up, and what was done after it."""
    disk.recorder = recorder = _Counting(recording)
    vfs = FaultyVFS(_VFS, disk)
    clock = ManualClock()

    def open_database() -> SqliteDatabase:
        return make(
            recording.with_name(DATABASE),
            daemon="power",
            durability=run.durability,
            clock=clock,
            retention=RETENTION,
            full_text=True,
            vfs=_VFS,
        )

    random = Random(run.seed)
    work = Work(
        open_database,
        durability=run.durability,
        random=random,
        clock=clock,
        recorder=recorder,
        failing=partial(_failing, disk, random) if run.syncs_fail else None,
    )
    skip = 0 if run.is_new else _warm_up(work, recorder)
    while recorder.points < run.points:
        work.step()
    work.stop()
    recorder.close()
    vfs.unregister()
    return skip, work.counts


@contextmanager
def _failing(disk: Disk, random: Random) -> Iterator[None]:
    """Each second time no file can be synced meanwhile."""
    before = disk.before

    def fail(operation: Operation, file: str, end: int) -> int | None:
        if operation == "sync":
            raise io_error("sync")
        return before(operation, file, end)

    if random.random() < 0.5:
        disk.before = fail  # type: ignore[method-assign]  # for one call
    try:
        yield
    finally:
        disk.before = before  # type: ignore[method-assign]


def _warm_up(work: Work, recorder: _Counting) -> int:
    """What is written until the recording is cut, all of it on the disk by then."""
    for _ in range(WARM_UP):
        work.step()
    work.stop()
    work.counts.clear()
    skip, recorder.points = recorder.count, 0
    work.start()
    return skip
