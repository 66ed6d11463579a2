"""Runs a schedule, round by round, and holds every round against the oracle.

Owns the folders of the rounds: that of a good one is removed, that of a bad one is kept.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from holdfast.testing.chaos.inflicting import Inflicting
from holdfast.testing.chaos.report import Report, Round
from holdfast.testing.chaos.schedule import Schedule, Step
from holdfast.testing.chaos.world import World
from holdfast.testing.daemon import Daemon
from holdfast.testing.faults.plan import Injected
from holdfast.testing.oracle import JournalError
from holdfast.testing.oracle.checker import check_lives
from holdfast.testing.oracle.lives import read_journals

__all__ = ["CLIENTS", "Progress", "run"]

CLIENTS: Final = 3

# The number of the round, the step of it, and how many steps the round has.
Progress = Callable[[int, int, int, Step | None], None]


def run(
    schedule: Schedule,
    folder: Path,
    *,
    clients: int = CLIENTS,
    patience: float = 60.0,
    progress: Progress = lambda *_: None,
    command: type[Daemon] = Daemon,
) -> Report:
    """All rounds of it; what came of them.  Interrupted, what came of those that were finished.

    ``patience`` seconds are what a client has at its end until all it sent is acknowledged.
    ``command`` starts the daemon: a test has another one, which starts a broken one.
    """
    report = Report(schedule=schedule, began=time.time())
    with suppress(KeyboardInterrupt):
        for number, steps in enumerate(schedule.rounds):
            place = folder / f"round-{number}"
            shutil.rmtree(place, ignore_errors=True)
            world = World(
                place,
                seed=schedule.seed + number,
                clients=clients,
                patience=patience,
                behind_proxy=any(step.do == "net" for step in steps),
                records_disk=any(step.do == "power" for step in steps),
                command=command,
            )
            one = _run_round(number, steps, world, progress)
            report.rounds.append(one)
            if not one.violations:
                shutil.rmtree(place)
    report.seconds = time.time() - report.began
    return report


def _run_round(number: int, steps: list[Step], world: World, progress: Progress) -> Round:
    one = Round(number)
    began = time.monotonic()
    try:
        with world:
            inflicting = Inflicting(world, seed=world.seed)
            started = time.monotonic()
            for index, step in enumerate(steps):
                progress(number, index, len(steps), step)
                world.wait(step.pause)
                inflicting.inflict(step)
            one.under_fire = time.monotonic() - started
            progress(number, len(steps), len(steps), None)
            one.recovery = world.come_to_rest()
            inflicting.finish()
            world.end_clients()
    except AssertionError as error:  # the daemon did not start, or is gone
        one.violations.append(f"{type(error).__name__}: {error}")
    one.violations += world.violations
    _judge(one, world)
    one.seconds = time.monotonic() - began
    return one


def _judge(one: Round, world: World) -> None:
    """After the end of the daemon: nothing changes any more."""
    for line in world.record.lines():
        if isinstance(line, Injected):
            one.injected[line.kind, line.process] += 1
    with suppress(OSError, ValueError):
        one.away = json.loads((world.folder / "away.json").read_text())
    try:
        lives = read_journals([world.journals])
        for life in lives:
            life.level = world.levels.get(life.path, "committed")
        verdict = check_lives(world.daemon.database, lives)
    except (JournalError, OSError, sqlite3.Error) as error:
        one.violations.append(f"nothing to check: {error}")
        return
    one.messages = verdict.counts
    one.found = world.found + verdict.found
    one.violations += map(str, verdict.violations)
