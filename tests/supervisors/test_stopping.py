"""Stopping a tree: in reverse order, gently, and with force where that is not enough."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from holdfast.actors.messages.supervisor import Stopping, StopTree
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import SmallTree, child, nested, wait_for_end


def stops(tree: SmallTree) -> list[str]:
    return [line for line in tree.said if re.search("is stopped|did not stop|is dead", line)]


def test_sigterm_stops_the_children_in_reverse_order(grow: Grow) -> None:
    # Scenario 20
    below = nested("below", child("c"), child("d"))
    tree = grow(child("a"), child("b"), below, child("e")).ready()
    assert tree.end(signal.SIGTERM) == 0
    assert stops(tree) == [f"{name} is stopped" for name in ("e", "d", "c", "below", "b", "a")]
    assert tree.files() == []


def test_a_request_stops_the_tree(grow: Grow) -> None:
    tree = grow(child("a"), child("b")).ready()
    (root,) = tree.watch(tree.process.pid)
    assert tree.ask(StopTree()) == Stopping(tree.process.pid)
    assert wait_for_end(root)
    assert tree.outcome() == 0
    assert stops(tree) == ["b is stopped", "a is stopped"]


def test_a_child_that_does_not_stop_is_killed_and_the_others_stop_in_order(
    grow: Grow,
) -> None:
    # Scenario 21
    stays = child("stays", "StaysOn", shutdown=0.3)
    tree = grow(child("a"), stays, child("frozen", shutdown=0.3)).ready()
    tree.kill("frozen", signal.SIGSTOP)
    began = time.monotonic()
    assert tree.end() == 0
    assert 0.6 <= time.monotonic() - began < 1.5
    assert stops(tree) == [
        "frozen did not stop in order: shutdown_timeout, signal 9",
        "stays did not stop in order: shutdown_timeout, signal 9",
        "a is stopped",
    ]


def test_ctrl_c_reaches_all_processes_and_only_the_root_acts_on_it(grow: Grow) -> None:
    # Scenario 22
    tree = grow(child("a"), nested("below", child("b")), child("c")).ready()
    os.killpg(tree.process.pid, signal.SIGINT)
    assert tree.outcome() == 0
    assert stops(tree) == [f"{name} is stopped" for name in ("c", "b", "below", "a")]


def test_a_child_that_ends_by_itself_during_a_stop_is_not_restarted(grow: Grow) -> None:
    # Scenario 24
    stays = child("stays", "StaysOn", shutdown=0.5)
    tree = grow(child("a"), child("b", restart="transient"), stays).ready()
    pids = tree.pids()
    tree.process.terminate()
    tree.until(lambda: tree.which()["stays"].state == "stopping")
    os.kill(pids["b"], signal.SIGKILL)
    os.kill(pids["a"], signal.SIGTERM)
    assert tree.outcome() == 0
    ends = stops(tree)
    assert sorted(ends[:2]) == [
        f"a is dead: pid {pids['a']}, exit, code 143",
        f"b is dead: pid {pids['b']}, signal 9",
    ]
    assert len(ends) == 3
    assert tree.count("is ready: ") == 3


def test_a_stop_interrupts_a_backoff(grow: Grow, tmp_path: Path) -> None:
    trigger = tmp_path / "trigger"
    sick = child("sick", "FailsToStart", options={"when": str(trigger)})
    tree = grow(sick, backoff=60.0, backoff_max=60.0, backoff_jitter=0.0).ready()
    trigger.touch()
    tree.kill("sick")
    tree.expect("^sick did not start")
    tree.until(lambda: tree.which()["sick"].state == "backoff")
    assert tree.end() == 0


def test_a_process_that_a_child_left_behind_is_gone_after_the_stop(grow: Grow) -> None:
    tree = grow(nested("below", child("a", "HasHelpers"))).ready()
    helper = tree.ask("who helps you?", "a")
    (watch,) = tree.watch(helper)
    assert tree.end() == 0
    assert wait_for_end(watch, timeout=0)
