"""When a supervisor gives up, and what it still does on the way there."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.actors.messages.supervisor import (
    DeleteChild,
    GetChild,
    RestartChild,
    StartChild,
    TerminateChild,
)
from holdfast.supervisors.settings import Strategy
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, SmallTree, child, nested, table_of

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}
# A backoff that is longer than anything here is waited for: whoever waited for its end would fail.
LONG: Final[dict[str, Any]] = {"backoff": 0.05, "backoff_factor": 2_000.0, "backoff_max": 100.0}


def in_a_loop(grow: Grow, tmp_path: Path, **policy: Any) -> tuple[SmallTree, Path]:
    """A tree with a child whose start fails from now on, until the file is no more."""
    trigger = tmp_path / "trigger"
    sick = child("sick", "FailsToStart", options={"when": str(trigger)})
    tree = grow(child("a"), sick, child("b"), **PATIENT | policy).ready()
    trigger.touch()
    tree.kill("sick")
    tree.expect("^sick did not start")
    return tree, trigger


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_a_supervisor_answers_while_it_restarts_a_child_in_vain(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    # Scenario 9
    tree, trigger = in_a_loop(grow, tmp_path, strategy=strategy, **LONG)
    for _ in range(20):
        state = tree.which()["sick"].state
        assert state in ("backoff", "starting", "exited")
    assert tree.ask(GetChild("sick")).status.restarts >= 1
    assert "'sick' " in tree.refusal(StartChild("sick", table_of()))
    for message in (RestartChild("sick"), DeleteChild("sick")):
        refusal = tree.refusal(message)
        assert "is about to be restarted" in refusal or "runs: terminate" in refusal
    assert tree.ask(TerminateChild("sick")).status.state == "stopped"
    tree.until(lambda: [s.state for s in tree.which().values()].count("running") == 2)
    lives = tree.which()["sick"].incarnation
    trigger.unlink()
    assert tree.ask(RestartChild("sick")).status.incarnation == lives + 1


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_a_stop_ends_a_restart_in_vain_at_once(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    # Scenario 9
    tree, _ = in_a_loop(grow, tmp_path, strategy=strategy, **LONG)
    assert tree.end() == 0
    assert tree.files() == []


def test_lives_that_never_become_stable_are_counted(grow: Grow, tmp_path: Path) -> None:
    # Scenario 13: too slow for the window, never stable
    policy = QUICK | {"max_restarts": 3, "max_seconds": 0.02, "max_failed_starts": 5}
    policy["stable_after"] = 60.0  # however long a busy machine takes from one kill to the next
    tree = grow(child("a"), child("loop", "Obeys"), **policy).ready()
    for life in range(2, 8):
        tree.kill("loop")
        if life < 7:
            tree.expect(f"^loop is ready: .* start {life}, ")
    assert tree.outcome() == 5
    assert tree.count("^giving up: loop ended 6 times in a row within 60 s") == 1


def test_a_child_that_was_stable_in_between_is_restarted_for_ever(grow: Grow) -> None:
    # Scenario 13
    policy = QUICK | {"max_seconds": 0.02, "max_failed_starts": 1, "stable_after": 0.0}
    tree = grow(child("steady"), **policy | {"backoff": 60.0, "backoff_max": 60.0}).ready()
    for life in range(2, 10):
        tree.kill("steady")
        tree.expect(f"^steady is ready: .* start {life}, ")  # and without a pause
    assert tree.end() == 0


def test_failed_starts_of_one_child_are_not_those_of_another(grow: Grow) -> None:
    # Scenario 13
    policy = QUICK | {"max_restarts": 1_000, "max_failed_starts": 3, "backoff": 0.0}
    policy["stable_after"] = 60.0
    tree = grow(child("a"), child("b"), **policy | {"backoff_max": 0.0}).ready()
    for life in range(2, 5):
        for name in ("a", "b"):
            tree.kill(name)
            tree.expect(f"^{name} is ready: .* start {life}, ")
    tree.kill("b")
    assert tree.outcome() == 5
    assert tree.count("^giving up: b ended 4 times in a row") == 1


def test_no_restart_is_allowed_where_max_restarts_is_0(grow: Grow) -> None:
    tree = grow(child("a"), child("b"), max_restarts=0).ready()
    tree.kill("b")
    assert tree.outcome() == 5
    assert tree.count("^a is stopped") == 1


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_a_tree_that_gives_up_stops_who_is_left_in_reverse_order(
    grow: Grow, strategy: Strategy
) -> None:
    # Scenario 12
    tree = grow(
        *map(child, "abcd"), strategy=strategy, **QUICK | {"max_restarts": 1, "max_seconds": 60.0}
    ).ready()
    tree.kill("c")
    tree.expect("^c is ready: .* start 2")
    tree.until(lambda: {s.state for s in tree.which().values()} == {"running"})
    stopped = tree.count("is stopped$")
    tree.kill("c")
    assert tree.outcome() == 5
    stops = [line.split()[0] for line in tree.said if line.endswith(" is stopped")]
    assert stops[stopped:] == ["d", "b", "a"]
    assert tree.files() == []


def test_escalation_multiplies_level_by_level(grow: Grow) -> None:
    # Scenario 15: (1 + 1) lives of each supervisor, (1 + 1) of the child in each of those
    policy = QUICK | {"max_restarts": 1, "max_seconds": 60.0}
    loop = child("loop", "Ends", options={"how": "exit 1"})
    inner = nested("inner", loop, **policy)
    outer = nested("outer", inner, child("calm"), **policy)
    tree = grow(outer, child("a"), **policy).ready()
    assert tree.outcome() == 5
    assert tree.count("^loop is ready") == 2 * 2 * 2
    assert tree.count("^inner is dead: .* shutdown, code 5$") == 2 * 2
    assert tree.count("^outer is dead: .* shutdown, code 5$") == 2
    assert tree.count("^giving up: loop") == 4
    assert tree.count("^giving up: inner") == 2
    assert tree.count("^giving up: outer") == 1
    assert tree.count("^a is stopped") == 1
    assert tree.files() == []


@pytest.mark.parametrize(("restart", "ends"), [("permanent", False), ("transient", True)])
def test_a_nested_supervisor_that_gives_up_has_shut_down(
    grow: Grow, restart: Any, ends: bool
) -> None:
    # Scenario 15: what that is to its parent follows from its restart type
    below = nested("below", child("b"), restart=restart, max_restarts=0)
    tree = grow(below, child("a"), **PATIENT).ready()
    tree.kill("b")
    tree.expect("^below is dead: .* shutdown, code 5$")
    if ends:
        assert tree.which()["below"].state == "exited"
    else:
        tree.expect("^below is ready: .* start 2")


def test_a_crash_loop_takes_little_of_the_root(grow: Grow) -> None:
    # Scenario 12: less than a tenth of a core
    loop = child("loop", "Ends", options={"how": "exit 1"})
    tree = grow(child("a"), loop, **QUICK | {"max_restarts": 8, "max_seconds": 60.0})
    tree.expect("^loop is ready")
    began, before = time.monotonic(), cpu_seconds(tree.process.pid)
    for _ in range(5):
        tree.expect("^loop is ready")
    after = cpu_seconds(tree.process.pid)
    assert after - before < max(0.1 * (time.monotonic() - began), 0.1)
    assert tree.outcome() == 5


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow  # 200 kills
def test_two_hundred_kills_leave_nothing_behind(grow: Grow) -> None:
    # Scenario 7
    policy = PATIENT | {"stable_after": 0.0}
    tree = grow(child("a"), nested("below", child("b"), **policy), **policy).ready()
    watched = [tree.process.pid, *(tree.pids()[f"zygote:{name}"] for name in ("root", "below"))]
    for _ in range(20):  # what is allocated once is
        cycle(tree)
    before = [measured(pid) for pid in watched]
    files = sorted(path.name for path in tree.run_dir.iterdir())
    for _ in range(80):
        cycle(tree)
        assert "Z" not in states(tree)
    for (fds, threads, memory), pid in zip(before, watched, strict=True):
        now = measured(pid)
        assert now[0] <= fds + 2
        assert now[1] == threads
        assert now[2] - memory < 5 * 1024 * 1024
    assert sorted(path.name for path in tree.run_dir.iterdir()) == files
    assert tree.end() == 0
    assert not any("leak" in line for line in tree.log)


def cycle(tree: SmallTree) -> None:
    """Two deaths and two restarts."""
    for name in ("a", "b"):
        tree.kill(name)
        tree.expect(f"^{name} is ready")


def measured(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads, resident bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    threads = len(os.listdir(f"/proc/{pid}/task"))
    return len(os.listdir(f"/proc/{pid}/fd")), threads, pages * resource.getpagesize()


def states(tree: SmallTree) -> str:
    """The state letters of the whole tree, once each is settled: a dead child is reaped."""
    tree.which()
    found = ""
    for pid in tree.pids().values():
        found += Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return found


def test_signals_that_are_not_for_it_do_not_reach_a_child(grow: Grow) -> None:
    """SIGINT and SIGHUP are the root's: a terminal sends them to everybody."""
    tree = grow(child("a"), nested("below", child("b"))).ready()
    pids = tree.pids()
    for name in ("a", "b", "below", "zygote:root", "zygote:below"):
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(pids[name], number)
    assert tree.ask("hello", "a") == "hello"
    assert tree.ask("hello", "b") == "hello"
    assert tree.pids() == pids
