"""Scenario D10: the wall clock of a running tree is set an hour forward and back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.testing.faults import ClockStep
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.agents import Clerk

HOUR = 3600.0
# As the scenarios of supervision have it: who hangs is found within 1.4 s.
WATCHFUL = {"heartbeat_interval": 0.2, "heartbeat_timeout": 1.0}
CONFIG = {"supervisors": {"root": WATCHFUL, "state": WATCHFUL, "agents": WATCHFUL}}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG, agents={"clerk": Clerk}, faults=[]) as daemon:
        yield daemon


def wall_clock_of(daemon: Daemon) -> float:
    """Seconds by which the clock of a process of the tree is ahead of this one's."""
    daemon.hub.checkpoints.put("clock", 1)
    (newest,) = daemon.hub.checkpoints.infos("clock", limit=1)
    return newest.created_us / 1e6 - time.time()


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_stepped_wall_clock_expires_nothing_that_lives_and_keeps_nothing_that_is_over(
    daemon: Daemon, step: float
) -> None:
    hub = daemon.hub
    hub.sessions.put("long", 1, ttl=HOUR / 2, durability="committed")
    hub.sessions.put("behind", 1, ttl=HOUR / 2)
    began = time.monotonic()
    hub.sessions.put("short", 1, ttl=0.5)
    daemon.faults.arm(ClockStep(seconds=step))
    assert abs(wall_clock_of(daemon) - step) < 60
    end = daemon.next_event("session:*", session="short")
    assert end.type == "session:expired"
    assert time.monotonic() - began > 0.5
    assert hub.sessions.get("short") is None
    daemon.faults.disarm()
    assert abs(wall_clock_of(daemon)) < 60
    assert all(hub.sessions.get(id) is not None for id in ("long", "behind"))
    assert [ended.id for ended in hub.sessions.ended()] == ["short"]
    assert all(hub.sessions.get(id) for id in ("long", "behind"))


def test_a_step_is_seen_by_processes_that_start_later_and_by_those_that_it_names(
    daemon: Daemon,
) -> None:
    (step,) = daemon.faults.arm(ClockStep(seconds=HOUR, process="writer"))
    assert wall_clock_of(daemon) > HOUR / 2
    daemon.kill("writer")
    assert wall_clock_of(daemon) > HOUR / 2
    lines = daemon.faults.injected(step)
    assert [(line.kind, line.process, line.detail) for line in lines] == [
        ("clock", "writer", "+3600 s")
    ] * 2


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_stepped_wall_clock_neither_stops_the_watchdog_nor_sets_it_on(
    daemon: Daemon, step: float
) -> None:
    """Nobody is killed for it; who hangs afterwards is found; the next one is restarted."""
    pid = daemon.pid("tracker")
    daemon.faults.arm(ClockStep(seconds=step))
    os.kill(pid, signal.SIGSTOP)
    assert daemon.next_event("supervisor:child_hung", subject="tracker")
    again = daemon.wait_until_running("tracker", after=pid)
    assert again.last_exit is not None
    assert again.last_exit.kind == "hang"
    daemon.faults.disarm()
    daemon.wait_until_running("clerk", after=daemon.kill("clerk"))
    tree = daemon.tree()
    restarts = {
        child.id: child.restarts
        for supervisor in tree.root.children
        for child in (supervisor, *supervisor.children)
    }
    assert {name for name, count in restarts.items() if count} == {"tracker", "clerk"}
    assert (restarts["tracker"], restarts["clerk"]) == (1, 1)


def test_deadlines_leases_and_waits_are_not_cut_or_drawn_out_by_a_step(daemon: Daemon) -> None:
    daemon.faults.arm(ClockStep(seconds=HOUR))
    asked = time.monotonic()
    with daemon.paused("clerk"), pytest.raises(holdfast.errors.AskTimeoutError):
        daemon.ref("clerk").ask(["mark", None], timeout=0.3)
    assert time.monotonic() - asked >= 0.3
    assert daemon.ref("clerk").ask(["mark", None], timeout=daemon.timeout)
