"""``start = "parallel"``: the children of a supervisor start at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.supervisors.settings import Strategy
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, child, let_through, nested

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}


def pair(tmp_path: Path, **policy: Any) -> list[Any]:
    """Two children of which neither is ready before the other has begun."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    return [
        child(name, "Meets", options={"gate": str(gate), "mode": mode}, **policy)
        for name, mode in (("reads", "r"), ("writes", "w"))
    ]


def test_children_that_start_at_once_may_wait_for_each_other(grow: Grow, tmp_path: Path) -> None:
    reads, writes = pair(tmp_path)
    below = nested("below", reads, child("a"), writes, start="parallel")
    tree = grow(below, child("b")).ready()
    assert {status.incarnation for status in tree.which("below").values()} == {1}
    # They stop in reverse order all the same.
    assert tree.end() == 0
    stops = [line.split()[0] for line in tree.said if line.endswith(" is stopped")]
    assert stops == ["b", "writes", "a", "reads", "below"]


def test_in_sequence_they_would_wait_for_ever(grow: Grow, tmp_path: Path) -> None:
    tree = grow(*pair(tmp_path, start_timeout=0.3))
    assert tree.outcome() == 1
    assert tree.count("child 'reads' .* did not start: start_timeout") == 1


def test_one_that_fails_ends_the_start_of_all(grow: Grow, tmp_path: Path) -> None:
    # Scenario 8
    sick = child("sick", "FailsToStart", options={"when": "/"})
    tree = grow(child("a"), child("stuck", "NeverStarts"), sick, child("b"), start="parallel")
    assert tree.outcome() == 1
    assert tree.count("child 'sick' .* did not start: exit, code 1") == 1
    assert tree.files() == []


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_they_start_again_at_once_after_they_stopped_one_by_one(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    tree = grow(*pair(tmp_path), child("a"), start="parallel", strategy=strategy, **PATIENT)
    tree.ready()
    tree.kill("reads")
    tree.until(
        lambda: all(
            (status.incarnation, status.state) == (2, "running") for status in tree.which().values()
        )
    )
    stops = [line.split()[0] for line in tree.hear() if line.endswith(" is stopped")]
    assert stops == ["a", "writes"]


def test_in_rest_for_one_a_failed_start_does_not_end_an_earlier_one(
    grow: Grow, tmp_path: Path
) -> None:
    """Else one that relies on an earlier one would keep it from ever coming up."""
    gate, trigger = tmp_path / "gate", tmp_path / "trigger"
    slow = child("slow", "FailsWhenLet", options={"gate": str(gate), "when": str(tmp_path / "no")})
    sick = child("sick", "FailsToStart", options={"when": str(trigger)})
    policy = PATIENT | {"start": "parallel", "strategy": "rest_for_one"}
    tree = grow(child("a"), slow, sick, **policy).ready()
    os.mkfifo(gate)
    trigger.touch()
    tree.kill("a")
    for _ in range(3):
        tree.expect("^sick did not start")
    assert (tree.which()["slow"].state, tree.which()["slow"].incarnation) == ("starting", 2)
    trigger.unlink()
    let_through(gate)
    tree.until(lambda: {status.state for status in tree.which().values()} == {"running"})
    assert tree.which()["slow"].incarnation == 2


def test_a_child_that_is_added_meanwhile_and_fails_stops_nobody_before_it(
    grow: Grow, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    slow = child("slow", "FailsWhenLet", options={"gate": str(gate), "when": str(tmp_path / "no")})
    tree = grow(child("a"), slow, child("b"), strategy="rest_for_one", **PATIENT).ready()
    os.mkfifo(gate)
    tree.kill("a")
    tree.until(lambda: tree.which()["slow"].state == "starting")
    tree.add("new", "Obeys")
    tree.command("new", "exit 1")
    tree.expect("^new is dead")
    let_through(gate)
    tree.until(lambda: {status.state for status in tree.which().values()} == {"running"})
    lives = {name: status.incarnation for name, status in tree.which().items()}
    assert lives == {"a": 2, "slow": 2, "b": 2, "new": 2}
