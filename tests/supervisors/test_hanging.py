"""Children that hang: found, their stacks logged, killed; and nobody who does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.supervisors.conftest import Grow
from tests.supervisors.trees import SmallTree, child, nested, wait_for_end

# The profile of the scenarios: who hangs is found within 1.4 s, if nothing holds the machine up.
PROFILE: dict[str, Any] = {"heartbeat_interval": 0.2, "heartbeat_timeout": 1.0}
FOUND = 9.0  # seconds; before the timeout that holds without the profile, 10 s, would find it
LONG = 2.5  # seconds, well beyond all that anybody here waits


@contextmanager
def asked(tree: SmallTree, name: str, *message: Any) -> Iterator[list[Any]]:
    """Ask meanwhile; the answer is in the list at the end, unless the actor died of it."""
    answers: list[Any] = []

    def ask() -> None:
        with suppress(AssertionError, OSError):
            answers.append(tree.ask(list(message), name))

    asker = threading.Thread(target=ask)
    asker.start()
    yield answers
    asker.join()


def is_busy(tree: SmallTree, name: str) -> bool:
    return tree.which()[name].busy > 0


def opened(gate: Path) -> bool:
    """Whether something waited for a named pipe to be opened; it waits no more."""
    try:
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # nothing does, or it was stopped meanwhile and is about to wait again
        return False
    return True


def starts(tree: SmallTree, supervisor: str = "root") -> dict[str, int]:
    return {name: status.incarnation for name, status in tree.which(supervisor).items()}


def end_of(tree: SmallTree, name: str) -> str:
    last_exit = tree.which()[name].last_exit
    return "" if last_exit is None else f"{last_exit.kind} {last_exit.signal}"


def test_a_stopped_actor_is_found_to_hang_and_replaced(grow: Grow) -> None:
    # Scenario 16
    tree = grow(child("a"), child("b"), **PROFILE).ready()
    pid = tree.kill("a", signal.SIGSTOP)
    tree.expect(r"^a hangs: no sign of life for [1-8]\.\d s, its process is stopped$", within=FOUND)
    tree.expect(f"^a is dead: pid {pid}, hang, signal 9$")
    tree.expect("^a is ready")
    assert end_of(tree, "a") == "hang 9"
    assert starts(tree) == {"a": 2, "b": 1}


def test_an_actor_that_is_stopped_at_work_is_found_to_hang(grow: Grow) -> None:
    # Scenario 16: it has one thread, and could not give a sign of life in any case.
    tree = grow(child("a", "Works"), **PROFILE).ready()
    with asked(tree, "a", "waits", 60.0) as answers:
        tree.until(lambda: is_busy(tree, "a"))
        tree.kill("a", signal.SIGSTOP)
        tree.expect(r"^a hangs: no sign of life for [1-8]\.\d s, its process is", within=FOUND)
        tree.expect("^a is ready")
    assert answers == []


def test_a_stopped_supervisor_is_replaced_with_all_below_it(grow: Grow) -> None:
    # Scenario 16
    tree = grow(child("a"), nested("below", child("b"), **PROFILE), **PROFILE).ready()
    before = tree.pids()
    tree.kill("below", signal.SIGSTOP)
    tree.expect("^below hangs: no sign of life", within=FOUND)
    tree.expect("^below is dead: .* hang, signal 9")
    tree.expect("^below is ready")
    assert tree.pids()["b"] != before["b"]
    assert starts(tree) == {"a": 1, "below": 2}


@pytest.mark.parametrize(("verb", "where"), [("spins", "_spins"), ("waits for itself", "_waits_")])
def test_the_stack_of_a_handler_that_hangs_is_in_the_log_before_the_kill(
    grow: Grow, verb: str, where: str
) -> None:
    # Scenario 17
    tree = grow(child("a", "Works", handler_timeout=0.5), **PROFILE).ready()
    with asked(tree, "a", verb, 60.0):
        tree.expect(r"^a hangs: list in hand for (0\.[5-9]|[1-8]\.\d) s$", within=FOUND)
        tree.expect(rf"^  File .*agents_for_tests\.py., line \d+ in {where}")
        tree.expect(r"^  File .*agents_for_tests\.py., line \d+ in on_receive")
        tree.expect("^a is dead: .* hang, signal 9")
        tree.expect("^a is ready")


def test_a_timer_that_hangs_is_found_too_and_no_message_is_blamed(grow: Grow) -> None:
    # Scenario 17
    tree = grow(child("a", "HangsByItself", handler_timeout=0.5), **PROFILE).ready()
    tree.expect(r"^a hangs: a message of its own in hand for", within=FOUND)
    tree.expect("in on_receive")
    tree.expect("^a is dead: .* hang, signal 9")


def test_a_long_handler_of_an_actor_with_one_thread_is_not_killed(grow: Grow) -> None:
    # Scenario 18
    tree = grow(child("a", "Works"), **PROFILE).ready()
    assert tree.ask(["waits", LONG], "a") == ["waits", LONG]
    assert tree.ask(["spins", LONG], "a") == ["spins", LONG]
    assert starts(tree) == {"a": 1}


def test_without_a_timeout_nobody_hangs(grow: Grow) -> None:
    tree = grow(
        child("a"), child("b", "Works"), heartbeat_timeout=0.0, heartbeat_interval=0.1
    ).ready()
    frozen = tree.kill("a", signal.SIGSTOP)
    tree.ask(["waits", 1.0], "b")
    os.kill(frozen, signal.SIGCONT)
    assert tree.is_answering("a")
    assert starts(tree) == {"a": 1, "b": 1}


def test_a_stall_of_the_root_kills_nobody(grow: Grow) -> None:
    # Scenario 19
    works = child("works", "Works", handler_timeout=3 * LONG)
    tree = grow(child("a"), nested("below", child("b")), works, **PROFILE).ready()
    before = tree.pids()
    with asked(tree, "works", "waits", LONG) as answers:
        tree.until(lambda: is_busy(tree, "works"))
        tree.kill("root", signal.SIGSTOP)
    assert answers
    tree.kill("root", signal.SIGCONT)
    tree.expect(r"held up for ([2-9]|\d\d)\.\d s: all deadlines begin anew$")
    assert tree.ask(["waits", LONG], "works")  # whoever is to be killed is, by then
    assert tree.pids() == before
    assert tree.is_answering("b")


def test_a_stall_of_the_whole_tree_kills_nobody(grow: Grow, tmp_path: Path) -> None:
    # Scenario 19
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    below = nested("below", child("b", "Works"), **PROFILE)
    tree = grow(child("a"), below, child("works", "Works", handler_timeout=2.8), **PROFILE).ready()
    before = tree.pids()
    with asked(tree, "works", "waits for", str(gate)) as answers:
        tree.until(lambda: tree.which()["works"].busy > 0.4)  # the root has looked at it
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        (watch,) = tree.watch(before["a"])
        assert not wait_for_end(watch, LONG)
        for pid in before.values():
            os.kill(pid, signal.SIGCONT)
        tree.expect(r"held up for ([2-9]|\d\d)\.\d s: all deadlines begin anew$")
        tree.until(lambda: opened(gate))
    assert answers == [["waits for", str(gate)]]
    assert tree.ask(["waits", LONG], "b")
    assert tree.pids() == before


def test_a_child_that_became_ready_while_its_supervisor_was_stalled_is_not_killed(
    grow: Grow, tmp_path: Path
) -> None:
    # Scenario 19
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StartsWhenLet", options={"gate": str(gate)}, start_timeout=2.0)
    tree = grow(slow)
    tree.until(lambda: "slow" in tree.pids())
    tree.kill("root", signal.SIGSTOP)
    (watch,) = tree.watch(tree.pids()["slow"])
    assert not wait_for_end(watch, LONG)
    tree.until(lambda: opened(gate))
    tree.kill("root", signal.SIGCONT)
    tree.ready()
    assert starts(tree) == {"slow": 1}


def test_a_child_that_stops_while_its_supervisor_is_stalled_has_stopped_in_order(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Scenario 19
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv("WORKS_UNTIL", str(gate))
    tree = grow(child("a", "Works", shutdown=2.0)).ready()
    (pidfd,) = tree.watch(tree.pids()["a"])
    tree.process.terminate()
    tree.until(lambda: tree.which()["a"].state == "stopping")
    tree.kill("root", signal.SIGSTOP)
    assert not wait_for_end(pidfd, LONG)
    tree.kill("root", signal.SIGCONT)
    tree.until(lambda: tree.which()["a"].state == "stopping")
    tree.until(lambda: opened(gate))
    assert tree.outcome() == 0
    assert tree.count("^a is stopped$") == 1


def test_a_child_that_hangs_does_not_delay_the_status(grow: Grow, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tree = grow(child("a"), child("b", "Works")).ready()
    with asked(tree, "b", "waits for", str(gate)):
        tree.until(lambda: is_busy(tree, "b"))
        (busy,) = [status for status in tree.tree().children if status.id == "b"]
        assert busy.busy > 0.0
        assert busy.last_message == "list"
        tree.until(lambda: opened(gate))


def test_the_tree_tells_how_long_each_process_runs_and_what_it_has_used(grow: Grow) -> None:
    tree = grow(nested("below", child("b", "Works"))).ready()
    assert tree.ask(["spins", 0.3], "b")
    root = tree.tree()
    (below,) = root.children
    (b,) = below.children
    assert b.cpu >= 0.2
    assert root.uptime > below.uptime
    assert b.uptime > 0.3
    assert (b.last_message, b.busy) == ("list", 0.0)
    assert (root.last_message, below.last_message) == ("GetTree", "")
