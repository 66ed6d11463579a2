"""Descriptors, file sizes and memory run out in one process: it refuses, says why, and recovers."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.actors.messages.writer import GetPosition
from holdfast.errors import HoldfastError
from holdfast.testing.faults import Limit
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.working import CONFIG, Work


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG, faults=[]) as daemon:
        yield daemon


def soft_limit(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def starve(daemon: Daemon, name: str, *, left: int = 0) -> int:
    """Let a process have no more than ``left`` further descriptors; its pid."""
    pid = daemon.pid(name)
    highest = max(int(number) for number in os.listdir(f"/proc/{pid}/fd"))
    value = highest + 1 + left
    daemon.faults.arm(Limit(process=name, resource="NOFILE", value=value))
    daemon.until(lambda: soft_limit(pid) == value)
    return pid


def test_a_limit_holds_while_it_is_armed_and_what_was_before_comes_back(daemon: Daemon) -> None:
    pid = daemon.pid("query")
    before = soft_limit(pid)
    (limit,) = daemon.faults.arm(Limit(process="query", resource="NOFILE", value=50))
    daemon.until(lambda: soft_limit(pid) == 50)
    daemon.wait_until_running("query", after=daemon.kill("query"))
    daemon.until(lambda: soft_limit(daemon.pid("query")) == 50)
    daemon.faults.disarm()
    daemon.until(lambda: soft_limit(daemon.pid("query")) == before)
    assert [(line.kind, line.target) for line in daemon.faults.injected(limit)] == [
        ("limit", "NOFILE")
    ] * 2


def test_without_descriptors_an_actor_accepts_nobody_says_so_and_recovers(daemon: Daemon) -> None:
    """Who is connected is served."""
    work = Work(daemon)
    work.do(1)
    pid = starve(daemon, "writer")
    with holdfast.connect(daemon.run_dir) as late:
        late.events.emit("late")
        waiting = late.ref("writer").ask(GetPosition(), block=False)
        daemon.until(lambda: "cannot accept a connection" in daemon.log)
        work.do(1)
        daemon.faults.disarm()
        assert waiting.get(timeout=daemon.timeout)
        assert late.state.create("thing", {}, timeout=daemon.timeout).version == 1
    assert daemon.pid("writer") == pid
    work.check()


def test_without_descriptors_files_refuses_what_needs_one(daemon: Daemon) -> None:
    daemon.hub.files.append("talk", {"n": 1})
    pid = starve(daemon, "files")
    with pytest.raises(HoldfastError, match="Too many open files"):
        daemon.hub.files.append("another", {"n": 1}, timeout=daemon.timeout)
    daemon.faults.disarm()
    daemon.hub.files.append("another", {"n": 1}, timeout=daemon.timeout)
    assert daemon.hub.files.read("another")[-1].record == {"n": 1}
    assert daemon.pid("files") == pid


@pytest.mark.parametrize(
    "left", [0, 4, 10, *(pytest.param(left, marks=pytest.mark.slow) for left in (1, 2, 6, 8))]
)
def test_without_descriptors_a_supervisor_says_so_and_restarts_when_there_are_some(
    daemon: Daemon, left: int
) -> None:
    work = Work(daemon)
    work.do(1)
    state = starve(daemon, "state", left=left)
    pid = daemon.kill("log")
    daemon.until(
        lambda: "Too many open files" in daemon.log or daemon.child("log").pid not in (None, pid)
    )
    daemon.faults.disarm()
    daemon.wait_until_running("log", after=pid)
    work.do(1)
    work.check()
    assert daemon.pid("state") == state
    assert "Traceback" not in daemon.log


@pytest.mark.parametrize(
    "room", [8, 18, *(pytest.param(room, marks=pytest.mark.slow) for room in (12, 15))]
)
def test_a_zygote_without_descriptors_forks_nobody_and_costs_no_sibling_its_life(
    daemon: Daemon, room: int
) -> None:
    """What it cannot give all of its descriptors, or watch, does not run."""
    work = Work(daemon)
    work.do(1)
    siblings = {name: daemon.pid(name) for name in ("state", "writer", "sessions")}
    daemon.faults.arm(Limit(process="zygote:state", resource="NOFILE", value=room))
    pid = daemon.kill("log")
    daemon.until(
        lambda: "Too many open files" in daemon.log or daemon.child("log").pid not in (None, pid)
    )
    daemon.faults.disarm()
    daemon.wait_until_running("log", after=pid)
    assert {name: daemon.pid(name) for name in siblings} == siblings
    work.do(1)
    work.check()


def test_a_file_that_may_not_grow_loses_nothing(daemon: Daemon) -> None:
    """What a quota does: the database is refused, the sender waits, all is there afterwards."""
    work = Work(daemon)
    work.do(1)
    (limit,) = daemon.faults.arm(Limit(process="writer", resource="FSIZE", value=64 * 1024))
    daemon.hub.events.emit("large", "x" * 200_000)
    daemon.until(lambda: daemon.faults.injected(limit))
    daemon.until(lambda: "cannot be committed" in daemon.log)
    daemon.faults.disarm()
    daemon.hub.flush("disk", timeout=daemon.timeout)
    assert daemon.hub.events.count(types="large") == 1
    work.do(1)
    work.check()
