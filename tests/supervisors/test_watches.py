"""Who waits for the end of a life: what the supervisor answers, and when."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.actors.hub import Hub
from holdfast.actors.messages.supervisor import AwaitEnd, Ended
from holdfast.errors import UnknownActorError
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import TIMEOUT, SmallTree, child, nested

CALM: dict[str, Any] = {"max_restarts": 1_000, "backoff": 0.0, "backoff_max": 0.0}


@pytest.fixture
def hubs() -> Iterator[list[Hub]]:
    opened: list[Hub] = []
    yield opened
    for hub in opened:
        hub.abandon()


def connect(tree: SmallTree, hubs: list[Hub]) -> Hub:
    hubs.append(holdfast.connect(tree.run_dir))
    return hubs[-1]


def reason(tree: SmallTree, life: str) -> tuple[str, int | None]:
    """What is said of a life of the root's child ``a``."""
    answer = tree.ask(AwaitEnd("a", life))
    assert isinstance(answer, Ended)
    assert answer.incarnation == life
    return answer.exit.kind, answer.exit.signal


def test_what_is_known_of_a_life_that_is_over(grow: Grow) -> None:
    tree = grow(child("a"), **CALM).ready()
    for _ in range(2):
        tree.kill("a")
        tree.expect("^a is ready")
    assert reason(tree, "1.2") == ("signal", 9)  # the last one
    assert reason(tree, "1.1") == ("noproc", None)  # nothing is kept of it
    assert reason(tree, "0.2") == ("supervisor_lost", None)
    assert reason(tree, "7") == ("supervisor_lost", None)


def test_the_loss_of_the_zygote_is_told_for_every_child(grow: Grow, hubs: list[Hub]) -> None:
    tree = grow(child("a"), nested("s", child("b")), child("c"), **CALM).ready()
    hub = connect(tree, hubs)
    monitors = [hub.monitor(name) for name in ("a", "s", "c")]
    below = hub.monitor("b")
    tree.kill("zygote:root")
    kinds = [monitor.wait(TIMEOUT).reason.kind for monitor in monitors]
    assert kinds == ["zygote_lost"] * 3
    assert below.wait(TIMEOUT).reason.kind in ("supervisor_lost", "noconnection")


def test_a_start_that_fails_is_told_with_its_exit(
    grow: Grow, tmp_path: Path, hubs: list[Hub]
) -> None:
    gate, fails = tmp_path / "gate", tmp_path / "fails"
    tree = grow(
        child("a", "FailsWhenLet", options={"gate": str(gate), "when": str(fails)}), **CALM
    ).ready()
    hub = connect(tree, hubs)
    fails.touch()
    os.mkfifo(gate)
    tree.kill("a")
    tree.until(partial(_is_starting, hub))
    monitor = hub.monitor("a")
    assert monitor.is_alive
    with gate.open("w"):
        exit = monitor.wait(TIMEOUT).reason
    assert (exit.kind, exit.code) == ("exit", 1)
    gate.unlink()
    fails.unlink()


def _is_starting(hub: Hub) -> bool:
    return hub.ref("a").state().state == "starting"


def test_a_temporary_child_that_has_ended_is_nobody(grow: Grow, hubs: list[Hub]) -> None:
    tree = grow(child("a", restart="temporary"), child("b")).ready()
    hub = connect(tree, hubs)
    monitor = hub.monitor("a")
    tree.kill("a")
    assert monitor.wait(TIMEOUT).reason.signal == 9
    with pytest.raises(UnknownActorError, match="'a'"):
        hub.ref("a").state()
    assert hub.monitor("a").wait(0.0).reason.kind == "noproc"


def test_a_child_at_any_depth_is_found(grow: Grow, hubs: list[Hub]) -> None:
    tree = grow(nested("s", nested("t", child("a")), child("b"))).ready()
    hub = connect(tree, hubs)
    pids = tree.pids()
    for name in ("s", "t", "a", "b"):
        assert hub.ref(name).state().pid == pids[name]
    monitor = hub.monitor("a")
    tree.kill("a")
    assert monitor.wait(TIMEOUT).reason.signal == 9


def _pids_of_both(tree: SmallTree) -> list[int] | None:
    pids = tree.pids()
    return [pids["a"], pids["s"]] if {"a", "s"} <= pids.keys() else None


def test_what_waits_for_a_child_that_is_killed_at_once_with_its_supervisor(
    grow: Grow, hubs: list[Hub]
) -> None:
    tree = grow(nested("s", child("a"), **CALM), **CALM).ready()
    hub = connect(tree, hubs)
    for _ in range(5):
        monitors = [hub.monitor("a") for _ in range(20)]
        pids = tree.until(partial(_pids_of_both, tree))  # a life is watched before it has its name
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        downs = [monitor.wait(TIMEOUT) for monitor in monitors]
        assert {down.reason.kind for down in downs} <= {"signal", "supervisor_lost"}
        assert {down.incarnation for down in downs} == {monitors[0].incarnation}
