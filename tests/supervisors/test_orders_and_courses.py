"""Children that messages add or stop while a strategy has several on their way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from holdfast.actors.messages.supervisor import (
    DeleteChild,
    RestartChild,
    StartChild,
    TerminateChild,
)
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, child, let_through, table_of

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}


def test_an_added_child_goes_up_and_down_with_the_others_of_a_strategy(grow: Grow) -> None:
    tree = grow(child("a"), child("b"), strategy="one_for_all", **PATIENT).ready()
    tree.add("new")
    tree.kill("a")
    tree.expect("^new is stopped")
    tree.expect("^b is stopped")
    for name in ("a", "b", "new"):
        tree.expect(f"^{name} is ready: .* start 2")


def test_a_temporary_child_whose_start_a_strategy_ends_is_told(grow: Grow) -> None:
    tree = grow(child("a"), strategy="one_for_all", **PATIENT).ready()
    start = tree.asking(StartChild("stuck", table_of("NeverStarts", restart="temporary")))
    tree.until(lambda: "stuck" in tree.pids())
    tree.kill("a")
    assert "'stuck' did not start" in str(start.exception(20))
    tree.expect("^a is ready: .* start 2")
    assert set(tree.which()) == {"a"}


def test_a_start_that_waits_for_others_can_be_terminated(grow: Grow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StopsWhenLet", options={"gate": str(gate)})
    tree = grow(slow, child("a"), strategy="one_for_all", **PATIENT).ready()
    start = tree.asking(StartChild("stuck", table_of("NeverStarts")))
    tree.until(lambda: "stuck" in tree.pids())
    tree.kill("a")  # all go down, and ``slow`` takes its time
    tree.until(lambda: tree.which()["slow"].state == "stopping")
    assert tree.ask(TerminateChild("stuck")).status.state == "stopped"
    assert start.exception(20) is not None
    let_through(gate)
    tree.expect("^a is ready: .* start 2")
    assert "stuck" not in tree.pids()


def test_who_is_to_be_restarted_with_others_is_neither_started_nor_deleted(
    grow: Grow, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StopsWhenLet", options={"gate": str(gate)})
    tree = grow(slow, child("a"), child("b"), strategy="one_for_all", **PATIENT).ready()
    tree.kill("a")
    tree.until(lambda: tree.which()["slow"].state == "stopping")
    for name in ("a", "b"):
        for message in (RestartChild(name), DeleteChild(name)):
            assert "is about to be restarted" in tree.refusal(message)
    let_through(gate)
    for name in ("slow", "a", "b"):
        tree.expect(f"^{name} is ready: .* start 2")
