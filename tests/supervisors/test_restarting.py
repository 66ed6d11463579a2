"""Death and restart, one_for_one: what is restarted, when, and when no more."""

from __future__ import annotations

import os
import re
import signal
from datetime import datetime
from pathlib import Path

import msgspec

from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, SmallTree, child, nested, start_time


def test_a_killed_child_is_restarted_and_its_siblings_are_not(grow: Grow) -> None:
    # Scenario 1
    tree = grow(child("a"), child("b"), child("c")).ready()
    before = tree.which()
    pids = {name: status.pid or 0 for name, status in before.items()}
    times = {name: start_time(pid) for name, pid in pids.items()}
    tree.kill("b")
    tree.expect(f"^b is dead: pid {pids['b']}, signal 9$")
    tree.expect("^b is ready")
    after = tree.which()
    assert after["b"].pid != pids["b"]
    assert (after["b"].incarnation, after["b"].restarts, after["b"].state) == (2, 1, "running")
    last_exit = after["b"].last_exit
    assert last_exit is not None
    assert (last_exit.kind, last_exit.code, last_exit.signal) == ("signal", None, 9)
    for name in ("a", "c"):
        old = before[name]
        measured = {"rss": old.rss, "uptime": old.uptime, "cpu": old.cpu}
        assert after[name].uptime > old.uptime
        assert msgspec.structs.replace(after[name], **measured) == old
        assert start_time(pids[name]) == times[name]
    assert tree.end() == 0
    assert (tree.count("^b is dead"), tree.count("^b is ready")) == (1, 2)
    assert tree.files() == []


def test_children_that_die_at_once_are_each_restarted_once(grow: Grow) -> None:
    # Scenario 3
    names = ["a", "b", "c", "d"]
    tree = grow(*map(child, names), max_restarts=4).ready()
    pids = tree.pids()
    for name in names:
        os.kill(pids[name], signal.SIGKILL)
    tree.until(
        lambda: all(
            (status.incarnation, status.state) == (2, "running") for status in tree.which().values()
        )
    )
    # Four restarts were charged, which is the limit: the fifth is one too many.
    tree.kill("a")
    tree.expect("^giving up: a needs restart 5 within 30 s")
    assert tree.process.wait() == 5


def test_kills_leave_no_descriptor_and_no_zombie_behind(grow: Grow) -> None:
    # Scenario 7, in short
    tree = grow(child("a"), child("b"), max_restarts=1_000, stable_after=0.0).ready()
    watched = (tree.process.pid, tree.pids()["zygote:root"])
    tree.which()
    before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in watched]
    for _ in range(30):
        tree.kill("a")
        tree.expect("^a is ready")
    tree.which()
    after = [len(os.listdir(f"/proc/{pid}/fd")) for pid in watched]
    assert all(now <= base + 2 for now, base in zip(after, before, strict=True))
    assert len(tree.pids()) == 5  # the guardian is one


def test_a_crash_loop_ends_the_tree_after_max_restarts(grow: Grow) -> None:
    # Scenario 12
    tree = grow(
        child("first"),
        child("second"),
        child("loop", "Ends", options={"how": "exit 1"}),
        **QUICK,
    )
    tree.ready()
    assert tree.outcome() == 5
    assert tree.count("^loop is ready") == 4  # 1 start and 3 restarts
    gaps = [
        ready - dead
        for dead, ready in zip(
            moments(tree, "loop is dead"), moments(tree, "loop is ready")[1:], strict=False
        )
    ]
    # The first restart is immediate; a fork and a start come on top of each wait.  That no wait is
    # much longer is in the last line: four deaths within 5 s.
    for gap, wait in zip(gaps, (0.0, 0.05, 0.1), strict=True):
        assert wait <= gap
    ends = [line for line in tree.said if re.search("giving up|is stopped", line)]
    assert ends == [
        "giving up: loop needs restart 4 within 5 s",
        "second is stopped",
        "first is stopped",
    ]
    assert tree.files() == []


def test_a_supervisor_that_gives_up_costs_its_parent_one_restart(grow: Grow) -> None:
    # Scenario 15
    loop = child("loop", "Ends", options={"how": "exit 1"})
    below = nested("below", child("calm"), loop, **QUICK | {"max_restarts": 2})
    tree = grow(below, **QUICK | {"max_restarts": 2, "max_seconds": 60.0}).ready()
    assert tree.outcome() == 5
    assert tree.count("^below is ready") == 3
    assert tree.count("^loop is ready") == 3 * 3
    assert tree.count("^calm is stopped") == 3
    assert tree.count("^below is dead: .* shutdown, code 5$") == 3
    assert tree.count("^giving up: loop") == 3
    assert tree.count("^giving up: below") == 1


def test_a_start_that_fails_again_and_again_leaves_the_supervisor_answering(
    grow: Grow,
    tmp_path: Path,
) -> None:
    # Scenario 9
    trigger = tmp_path / "trigger"
    options = {"when": str(trigger)}
    quick = QUICK | {"max_restarts": 1_000}
    tree = grow(child("calm"), child("sick", "FailsToStart", options=options), **quick).ready()
    trigger.touch()
    tree.kill("sick")
    tree.expect("^sick is dead")
    for _ in range(4):
        tree.expect("^sick did not start: exit, code 1$")
    sick = tree.which()["sick"]
    assert sick.state in ("backoff", "starting")
    assert sick.restarts >= 4
    assert any("RuntimeError: the moon is wrong" in line for line in tree.log)
    assert tree.end() == 0
    assert tree.count("^calm is stopped") == 1


def test_a_child_that_does_not_become_ready_in_time_is_killed(grow: Grow, tmp_path: Path) -> None:
    # Scenario 11
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StartsWhenLet", options={"gate": str(gate)}, start_timeout=1.0)
    tree = grow(child("calm"), slow, **QUICK)
    os.close(os.open(gate, os.O_WRONLY))
    tree.ready()
    tree.kill("slow")
    tree.expect("^slow is dead")
    tree.expect("^slow did not start: start_timeout, signal 9$")
    slow_status = tree.which()["slow"]
    assert slow_status.last_exit is not None
    assert slow_status.last_exit.kind == "start_timeout"
    dead, failed = moments(tree, "slow is dead"), moments(tree, "slow did not start")
    assert failed[0] - dead[0] >= 1.0  # and before it would be without start_timeout, after 30 s


def moments(tree: SmallTree, pattern: str) -> list[float]:
    """When the log said it, in seconds."""
    found = [line for line in tree.log if re.search(pattern, line)]
    return [datetime.fromisoformat(line[:23]).timestamp() for line in found]
