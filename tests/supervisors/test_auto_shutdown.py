"""Significant children: whose end ends their supervisor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from holdfast.actors.messages.supervisor import RestartChild, StartChild, TerminateChild
from holdfast.supervisors.settings import Restart
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, child, let_through, nested, table_of

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}
Auto = Literal["never", "any_significant", "all_significant"]

# auto_shutdown, restart type of the child that ends, how it ends, what that is to its supervisor.
TABLE: Final[list[tuple[Auto, Restart, str, bool]]] = [
    ("any_significant", "transient", "exit 0", True),
    ("any_significant", "transient", "exit 5", True),
    ("any_significant", "transient", "exit 1", False),  # it is restarted
    ("any_significant", "transient", "signal 9", False),
    ("any_significant", "temporary", "exit 0", True),
    ("any_significant", "temporary", "exit 5", True),
    ("any_significant", "temporary", "exit 1", True),
    ("any_significant", "temporary", "signal 9", True),
    ("all_significant", "transient", "exit 0", False),  # the other one is still there
    ("all_significant", "temporary", "signal 9", False),
]


@pytest.mark.parametrize(("auto", "restart", "how", "ends"), TABLE)
def test_the_end_of_a_significant_child_is_that_of_its_supervisor(
    grow: Grow, auto: Auto, restart: Restart, how: str, ends: bool
) -> None:
    one = child("one", "Obeys", restart=restart, significant=True)
    two = child("two", "Obeys", restart="transient", significant=True)
    tree = grow(child("a"), one, two, child("b"), auto_shutdown=auto, **PATIENT).ready()
    tree.command("one", how)
    tree.expect("^one is dead")
    if ends:
        assert tree.outcome() == 0  # what it was for is done
        assert tree.count("^shutting down: one, which is significant, has ended") == 1
        stops = [line for line in tree.said if line.endswith(" is stopped")]
        assert stops == ["b is stopped", "two is stopped", "a is stopped"]
        assert tree.files() == []
    elif auto == "all_significant":
        assert tree.is_answering("two")
        tree.command("two", "exit 5")
        assert tree.outcome() == 0
        assert tree.count("^shutting down: two") == 1
    else:
        tree.expect("^one is ready: .* start 2")
        assert tree.count("^shutting down") == 0


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_the_end_of_a_child_that_is_not_significant_is_not(grow: Grow, restart: Restart) -> None:
    one = child("one", "Obeys", restart=restart)
    two = child("two", "Obeys", restart="transient", significant=True)
    for auto in ("any_significant", "all_significant"):
        tree = grow(one, two, auto_shutdown=auto, **PATIENT).ready()
        tree.command("one", "exit 0")
        tree.expect("^one is dead")
        assert tree.is_answering("two")
        assert tree.end() == 0
        assert tree.count("^shutting down") == 0


@pytest.mark.parametrize("auto", ["any_significant", "all_significant"])
def test_a_significant_child_that_is_terminated_does_not_count(grow: Grow, auto: Auto) -> None:
    children = [
        child(name, "Obeys", restart=restart, significant=True)
        for name, restart in (("one", "transient"), ("two", "temporary"), ("three", "transient"))
    ]
    tree = grow(*children, auto_shutdown=auto, **PATIENT).ready()
    for name in ("one", "two"):
        tree.ask(TerminateChild(name))
    assert tree.is_answering("three")
    tree.command("three", "exit 0")  # none that is significant is left
    assert tree.outcome() == 0
    assert tree.count("^shutting down") == 1


def test_a_significant_child_that_a_strategy_stops_does_not_count(grow: Grow) -> None:
    """OTP's bystander: stopped with the others, and a temporary one is a child no more."""
    one = child("one", restart="temporary", significant=True)
    two = child("two", "Obeys", restart="transient", significant=True)
    policy = PATIENT | {"strategy": "one_for_all", "auto_shutdown": "any_significant"}
    tree = grow(child("a"), one, two, **policy).ready()
    tree.kill("a")
    tree.expect("^two is ready: .* start 2")
    assert set(tree.which()) == {"a", "two"}
    assert tree.count("^shutting down") == 0
    tree.command("two", "exit 0")
    assert tree.outcome() == 0


def test_one_that_is_about_to_be_restarted_with_others_keeps_its_supervisor(
    grow: Grow, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    once = child("once", "Obeys", restart="temporary", significant=True)
    twice = child("twice", "Obeys", restart="transient", significant=True)
    slow = child("slow", "StopsWhenLet", options={"gate": str(gate)})
    policy = PATIENT | {"strategy": "rest_for_one", "auto_shutdown": "all_significant"}
    tree = grow(once, twice, slow, **policy).ready()
    tree.command("twice", "exit 1")
    tree.until(lambda: tree.which()["slow"].state == "stopping")
    tree.command("once", "exit 0")
    tree.expect("^once is dead")
    let_through(gate)
    tree.expect("^twice is ready: .* start 2")
    assert tree.count("^shutting down") == 0


def test_the_loss_of_a_zygote_ends_a_supervisor_only_with_all_that_count(grow: Grow) -> None:
    once = child("once", restart="temporary", significant=True)
    twice = child("twice", "Obeys", restart="transient", significant=True)
    tree = grow(once, twice, auto_shutdown="all_significant", **PATIENT).ready()
    tree.kill("zygote:root")
    tree.expect("^twice is ready: .* start 2")
    assert set(tree.which()) == {"twice"}
    assert tree.count("^shutting down") == 0
    tree.command("twice", "exit 0")
    assert tree.outcome() == 0


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_a_nested_supervisor_that_is_done_ends_with_shutdown_and_its_parent_decides(
    grow: Grow, restart: Restart
) -> None:
    once = child("once", "Obeys", restart="transient", significant=True)
    below = nested("below", child("a"), once, restart=restart, auto_shutdown="any_significant")
    tree = grow(below, child("b"), **PATIENT).ready()
    tree.command("once", "exit 0")
    tree.expect("^below is dead: .*, shutdown, code 5$")
    if restart == "permanent":
        tree.expect("^below is ready: .* start 2")
        assert tree.is_answering("once")
    elif restart == "transient":
        below_now = tree.which()["below"]
        assert (below_now.state, below_now.restarts) == ("exited", 0)
        assert below_now.last_exit is not None
        assert below_now.last_exit.kind == "shutdown"
        assert tree.ask(RestartChild("below")).status.state == "running"
    else:
        assert set(tree.which()) == {"b"}
    assert tree.count("^a is stopped") == 1


def test_significant_supervisors_hand_their_end_on_to_the_root(grow: Grow) -> None:
    once = child("once", "Obeys", restart="transient", significant=True)
    policy: dict[str, Any] = {"restart": "transient", "significant": True}
    inner = nested("inner", once, auto_shutdown="any_significant", **policy)
    outer = nested("outer", inner, child("a"), auto_shutdown="all_significant", **policy)
    tree = grow(outer, child("b"), auto_shutdown="any_significant", **PATIENT).ready()
    tree.command("once", "exit 0")
    assert tree.outcome() == 0
    for name in ("once", "inner", "outer"):
        assert tree.count(f"^shutting down: {name}, which is significant") == 1
    assert tree.files() == []


def test_a_child_that_is_added_can_be_significant(grow: Grow) -> None:
    tree = grow(child("a"), auto_shutdown="any_significant").ready()
    permanent = table_of("Obeys", restart="permanent", significant=True)
    assert "significant" in tree.refusal(StartChild("new", permanent))
    tree.add("new", "Obeys", restart="temporary", significant=True)
    tree.command("new", "exit 1")
    assert tree.outcome() == 0
