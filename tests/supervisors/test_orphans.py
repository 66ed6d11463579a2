"""Processes that lose their parent: nobody stays, and the next daemon starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.supervisors.conftest import Grow
from tests.supervisors.trees import SmallTree, child, nested, wait_for_end


def kill_root(tree: SmallTree) -> None:
    """SIGKILL the root and see that all below it goes too."""
    watches = tree.watch(*tree.pids().values())
    tree.process.kill()
    for watch in watches:
        assert wait_for_end(watch)
    assert tree.outcome() == -signal.SIGKILL


def test_nothing_survives_a_killed_root_and_the_next_one_starts(grow: Grow) -> None:
    # Scenario 25: idle
    tree = grow(child("a"), nested("below", child("b"), child("c"))).ready()
    for _ in range(2):
        kill_root(tree)
        assert "a.sock" in tree.files()
        tree.respawn().ready()
    assert tree.end() == 0
    assert tree.files() == []


def test_nothing_survives_a_root_killed_while_children_start(grow: Grow, tmp_path: Path) -> None:
    # Scenario 25: starting
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StartsWhenLet", options={"gate": str(gate)})
    tree = grow(child("a"), nested("below", child("b"), slow))
    tree.until(lambda: "slow" in tree.pids())
    kill_root(tree)
    tree.respawn()
    os.close(os.open(gate, os.O_WRONLY))
    tree.ready()
    assert tree.end() == 0


def test_a_stopped_child_does_not_survive_a_killed_root(grow: Grow) -> None:
    # Scenario 25: a child under SIGSTOP
    tree = grow(child("a"), nested("below", child("b"))).ready()
    for name in ("a", "b"):
        tree.kill(name, signal.SIGSTOP)
    kill_root(tree)
    tree.respawn().ready()


def test_a_killed_supervisor_takes_its_children_along_and_comes_back(grow: Grow) -> None:
    # Scenario 26
    below = nested("below", child("b"), child("c"))
    tree = grow(child("a"), below, max_restarts=2, stable_after=0.0).ready()
    for start in (2, 3):
        before = tree.pids()
        watches = tree.watch(before["b"], before["c"])
        tree.kill("below")
        tree.expect("^below is ready")
        assert all(wait_for_end(watch) for watch in watches)
        assert tree.which()["below"].incarnation == start
        after = tree.pids()
        assert after["a"] == before["a"]
        assert after["b"] != before["b"]
    # Two were charged; the children's deaths were not.
    tree.kill("below")
    tree.expect("^giving up: below needs restart 3")
    assert tree.process.wait() == 5


@pytest.mark.parametrize(
    "victim", ["b", "zygote:deep", "deep", "zygote:below", "below", "zygote:root"]
)
def test_no_two_lives_of_a_child_ever_overlap(grow: Grow, tmp_path: Path, victim: str) -> None:
    # Scenario 26
    alone = child("b", "Alone", options={"lock": str(tmp_path / "held")})
    endless = {"max_restarts": 1_000, "stable_after": 0.0}
    tree = grow(
        nested("below", nested("deep", child("a"), alone, **endless), **endless), **endless
    ).ready()
    for _ in range(10):
        tree.kill(victim)
        tree.expect("^b is ready")
        tree.until(lambda: {"b", "zygote:deep", "deep"} <= set(tree.pids()))
    assert tree.end() == 0
    assert tree.count("code 1|^b did not start") == 0, "\n".join(tree.log)


def test_the_loss_of_a_zygote_is_one_failure_and_all_children_come_back(grow: Grow) -> None:
    below = nested("below", child("b"), child("c"))
    tree = grow(child("a"), below, max_restarts=2, stable_after=0.0).ready()
    for start in (2, 3):
        before = tree.pids()
        watches = tree.watch(*(before[name] for name in ("a", "below", "b", "c")))
        tree.kill("zygote:root")
        tree.expect("^the zygote is lost")
        tree.until(lambda: _incarnations(tree) == {"a": start, "below": start})  # noqa: B023
        assert all(wait_for_end(watch, 0) for watch in watches)
        last_exit = tree.which()["a"].last_exit
        assert last_exit is not None
        assert last_exit.kind == "zygote_lost"
    tree.kill("zygote:root")
    tree.expect("^giving up: the zygote needs restart 3")
    assert tree.outcome() == 5
    assert tree.files() == []


def test_a_nested_supervisor_survives_the_loss_of_its_zygote(grow: Grow) -> None:
    tree = grow(nested("below", child("b"), child("c"))).ready()
    pid = tree.pids()["below"]
    tree.kill("zygote:below")
    tree.expect("^the zygote is lost")
    for _ in range(2):
        tree.expect("^[bc] is ready")
    assert tree.pids()["below"] == pid
    assert tree.ask("hello", "c") == "hello"


def test_a_zygote_that_hangs_is_replaced(grow: Grow) -> None:
    tree = grow(child("a"), child("b")).ready()
    tree.kill("zygote:root", signal.SIGSTOP)
    tree.kill("a")
    tree.expect("^the zygote is lost")
    for _ in range(2):
        tree.expect("^[ab] is ready")
    assert tree.ask("hello", "a") == "hello"


def _incarnations(tree: SmallTree) -> dict[str, int]:
    running = {
        name: status.incarnation
        for name, status in tree.which().items()
        if status.state == "running"
    }
    return running
