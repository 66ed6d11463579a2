"""Stopping a tree: in reverse order, gently, and with force where that is not enough."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.actors.messages.supervisor import StartChild, Stopping, StopTree
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import SmallTree, child, let_through, nested, table_of, wait_for_end


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
    assert 0.6 <= time.monotonic() - began < 5.0  # what each would have without shutdown
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


def test_a_child_that_ends_by_itself_during_a_stop_is_not_restarted(
    grow: Grow, tmp_path: Path
) -> None:
    # Scenario 24
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    stays = child("stays", "StopsWhenLet", options={"gate": str(gate)}, shutdown=60.0)
    tree = grow(child("a"), child("b", restart="transient"), stays).ready()
    pids = tree.pids()
    tree.process.terminate()
    tree.until(lambda: tree.which()["stays"].state == "stopping")
    os.kill(pids["b"], signal.SIGKILL)
    os.kill(pids["a"], signal.SIGTERM)
    tree.until(lambda: tree.count("^[ab] is dead") == 2)
    let_through(gate)
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


def test_a_brutal_kill_is_no_error_and_takes_no_time(grow: Grow) -> None:
    # Scenario 21
    tree = grow(child("a"), child("brute", "StaysOn", shutdown="brutal_kill")).ready()
    assert tree.end() == 0
    assert stops(tree) == ["brute is stopped", "a is stopped"]


def test_infinity_waits_for_as_long_as_it_takes(grow: Grow, tmp_path: Path) -> None:
    # Scenario 21: also through a nested supervisor, whose time is then without end as well
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StopsWhenLet", options={"gate": str(gate)}, shutdown="infinity")
    tree = grow(child("a"), nested("below", slow)).ready()
    (root,) = tree.watch(tree.process.pid)
    tree.process.terminate()
    tree.until(lambda: tree.which("below")["slow"].state == "stopping")
    assert not wait_for_end(root, timeout=1.5)  # more than a supervisor gets on top
    let_through(gate)
    assert tree.outcome() == 0
    assert stops(tree) == ["slow is stopped", "below is stopped", "a is stopped"]


def test_a_stop_that_fails_is_told(grow: Grow) -> None:
    # Scenario 21
    tree = grow(child("a"), child("bad", "FailsOnStop", options={"code": 7})).ready()
    assert tree.end() == 0
    assert stops(tree) == ["bad did not stop in order: exit, code 7", "a is stopped"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_kills_everything_at_once(
    grow: Grow, number: signal.Signals, code: int
) -> None:
    # Scenario 22
    below = nested("below", child("b"), child("stays", "StaysOn", shutdown=60.0))
    tree = grow(child("a"), below, child("frozen", shutdown=60.0)).ready()
    tree.kill("frozen", signal.SIGSTOP)
    watches = tree.watch(*tree.pids().values())
    tree.process.send_signal(signal.SIGTERM)
    tree.until(lambda: tree.which()["frozen"].state == "stopping")
    tree.process.send_signal(number)
    assert all(wait_for_end(watch) for watch in watches)  # and nobody took the 60 s
    assert tree.outcome() == code
    assert tree.files() == []


def test_the_first_signal_after_a_request_to_stop_hurries_nobody(grow: Grow) -> None:
    # Scenario 22: whoever asked has not lost patience, the second signal says that somebody has.
    tree = grow(child("a"), child("stays", "StaysOn", shutdown=60.0)).ready()
    tree.ask(StopTree())
    tree.process.send_signal(signal.SIGTERM)
    assert tree.until(lambda: tree.which()["stays"].state == "stopping")
    assert tree.which()["a"].state == "running"
    assert tree.end(signal.SIGINT) == 130


def test_a_second_ctrl_c_to_the_whole_group(grow: Grow) -> None:
    # Scenario 22
    tree = grow(child("a"), nested("below", child("stays", "StaysOn", shutdown=60.0))).ready()
    os.killpg(tree.process.pid, signal.SIGINT)
    tree.until(lambda: tree.which()["below"].state == "stopping")
    os.killpg(tree.process.pid, signal.SIGINT)
    assert tree.outcome() == 130


ENDINGS: Final = {"0": "exit 0", "5": "exit 5", "1": "exit 1", "9": "signal 9"}


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_children_that_end_by_themselves_during_a_stop_are_each_told_once(
    grow: Grow, strategy: Any
) -> None:
    # Scenario 24: each restart type x reason
    restarts: tuple[Any, ...] = ("permanent", "transient", "temporary")
    names = [f"{restart}-{end}" for restart in restarts for end in ENDINGS]
    children = [
        child(f"{restart}-{end}", "Obeys", restart=restart)
        for restart in restarts
        for end in ENDINGS
    ]
    stays = child("stays", "StaysOn", shutdown=0.4)
    tree = grow(*children, stays, strategy=strategy, max_restarts=1_000).ready()
    tree.process.terminate()
    tree.until(lambda: tree.which()["stays"].state == "stopping")
    for name in names[1:]:
        tree.command(name, ENDINGS[name[-1]])
    assert tree.outcome() == 0
    for name in names[1:]:
        assert tree.count(f"^{name} (is dead|is stopped|did not stop)") == 1, name
    assert tree.count(f"^{names[0]} is stopped") == 1
    assert tree.count("is ready: .* start 2") == 0


def test_the_time_for_the_whole_stop_bounds_all_children_together(grow: Grow) -> None:
    # Scenario 20: what is left is handed down
    slow = [child(name, "StaysOn", shutdown=30.0) for name in ("a", "b", "c")]
    below = nested("below", *slow[1:])
    tree = grow(slow[0], below, stop_within=1.5).ready()
    began = time.monotonic()
    assert tree.end() == 0
    assert 0.9 < time.monotonic() - began < 20.0  # one of them alone would have 30 s
    ends = stops(tree)
    killed = [f"{name} did not stop in order: shutdown_timeout, signal 9" for name in "bc"]
    assert sorted(ends[:2]) == killed
    assert ends[2] == "below is stopped"
    assert ends[-1] == "a did not stop in order: shutdown_timeout, signal 9"


def test_a_stop_with_no_time_kills_all(grow: Grow) -> None:
    tree = grow(child("a"), nested("below", child("b")), stop_within=0.0).ready()
    assert tree.end() == 0
    assert tree.count("the time for the whole stop is over") >= 1
    assert tree.files() == []


def test_children_have_their_own_time_within_that_of_the_whole_stop(grow: Grow) -> None:
    children = [child(name, "StaysOn", shutdown=0.1) for name in ("a", "b")]
    tree = grow(*children, stop_within=60.0).ready()
    began = time.monotonic()
    assert tree.end() == 0
    assert time.monotonic() - began < 20.0  # of 60 s
    assert tree.count("did not stop in order: shutdown_timeout") == 2


def test_a_supervisor_that_dies_while_it_stops_leaves_nothing(grow: Grow) -> None:
    tree = grow(child("a"), nested("below", child("stays", "StaysOn", shutdown=60.0))).ready()
    (stays,) = tree.watch(tree.pids()["stays"])
    tree.process.terminate()
    tree.until(lambda: tree.which()["below"].state == "stopping")
    tree.kill("below")
    assert tree.outcome() == 0
    assert wait_for_end(stays, timeout=0)
    assert stops(tree) == ["below did not stop in order: signal 9", "a is stopped"]


def test_a_zygote_that_dies_during_a_stop_does_not_hold_it_up(grow: Grow) -> None:
    # Scenario 24
    tree = grow(child("a"), child("stays", "StaysOn", shutdown=60.0)).ready()
    tree.process.terminate()
    tree.until(lambda: tree.which()["stays"].state == "stopping")
    tree.kill("zygote:root")
    assert tree.outcome() == 0
    assert tree.count("^the zygote is lost") == 1
    assert tree.files() == []


def test_a_child_that_starts_by_request_is_no_hindrance_to_a_stop(grow: Grow) -> None:
    # Scenario 23
    tree = grow(child("a")).ready()
    start = tree.asking(StartChild("stuck", table_of("NeverStarts")))
    tree.until(lambda: "stuck" in tree.pids())
    assert tree.end() == 0
    assert start.exception(20) is not None
    assert stops(tree) == ["stuck is stopped", "a is stopped"]


def test_the_end_of_the_terminal_stops_in_order(grow: Grow) -> None:
    tree = grow(child("a"), child("b")).ready()
    assert tree.end(signal.SIGHUP) == 0
    assert tree.count("^[ab] is stopped") == 2
    assert tree.files() == []


def test_a_supervisor_that_stops_shows_whom_it_waits_for(grow: Grow) -> None:
    tree = grow(nested("below", child("a"), child("stays", "StaysOn", shutdown="infinity"))).ready()
    tree.ask(StopTree())
    tree.until(lambda: tree.tree().children[0].state == "stopping")

    def states() -> dict[str, str]:
        (below,) = tree.tree().children
        return {each.id: each.state for each in below.children}

    tree.until(lambda: states() == {"a": "running", "stays": "stopping"})
    # Two of a kind could arrive as one.
    tree.process.send_signal(signal.SIGTERM)
    assert tree.end(signal.SIGINT) in (130, 143)
