"""Starting a tree: one child after the other, and nothing left when one fails."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

from holdfast.actors.messages.supervisor import StartChild, WhichChildren
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import child, nested, table_of


def test_a_child_is_started_when_the_one_before_is_ready(grow: Grow, tmp_path: Path) -> None:
    # Scenario 10
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("slow", "StartsWhenLet", options={"gate": str(gate)})
    tree = grow(child("first"), slow, child("last"))
    tree.expect("^first is ready")
    tree.until(lambda: "slow" in tree.pids())
    states = {name: status.state for name, status in tree.which().items()}
    assert states == {"first": "running", "slow": "starting", "last": "stopped"}
    assert "last" not in tree.pids()
    # An ask sent meanwhile waits, and is answered once the child is ready.
    answers: list[object] = []
    asker = threading.Thread(target=lambda: answers.append(tree.ask("hello", "slow")))
    asker.start()
    assert not answers
    os.close(os.open(gate, os.O_WRONLY))
    tree.ready()
    asker.join()
    assert answers == ["hello"]
    assert {status.restarts for status in tree.which().values()} == {0}
    ready = [line.split()[0] for line in tree.said if " is ready: " in line]
    assert ready == ["first", "slow", "last"]


def test_a_child_that_fails_while_the_tree_starts_ends_the_tree(grow: Grow) -> None:
    # Scenario 8
    sick = child("sick", "FailsToStart", options={"when": "/"})
    tree = grow(child("a"), child("b"), sick, child("d"))
    assert tree.outcome() == 1
    said = "\n".join(tree.said)
    assert "child 'sick' ([agents.sick] in test.toml) did not start: exit, code 1" in said
    assert 'raise RuntimeError("the moon is wrong")' in said
    stopped = [line for line in tree.said if line.endswith(" is stopped")]
    assert stopped == ["b is stopped", "a is stopped"]
    assert "d is ready" not in said
    assert tree.files() == []


def test_a_failure_deep_in_the_tree_is_told_at_the_top(grow: Grow) -> None:
    sick = child("sick", "FailsToStart", options={"when": "/"})
    tree = grow(child("a"), nested("below", child("b"), sick))
    assert tree.outcome() == 1
    said = "\n".join(tree.said)
    assert "StartError: child 'sick' ([agents.sick] in test.toml) did not start" in said
    assert "the moon is wrong" in said
    assert tree.files() == []


def test_a_class_that_cannot_be_imported_is_an_error_of_the_config(grow: Grow) -> None:
    tree = grow(child("a"), nested("below", child("sick", "NoSuchClass")))
    assert tree.outcome() == 1
    said = "\n".join(tree.said)
    assert "ConfigError: child 'sick' ([agents.sick] in test.toml) did not start" in said
    assert "has no attribute 'NoSuchClass'" in said


def test_a_class_that_is_no_actor_is_an_error_of_the_config(grow: Grow) -> None:
    tree = grow(child("sick", "Path"))
    assert tree.outcome() == 1
    said = "\n".join(tree.said)
    assert "expected a holdfast.Agent" in said


def test_a_child_that_never_becomes_ready_ends_a_starting_tree(grow: Grow) -> None:
    # Scenario 11
    tree = grow(child("a"), child("stuck", "NeverStarts", start_timeout=1.5))
    tree.until(lambda: "stuck" in tree.pids())
    assert set(tree.which()) == {"a", "stuck"}  # it answers meanwhile
    assert tree.outcome() == 1
    said = "\n".join(tree.said)
    assert "child 'stuck' ([agents.stuck] in test.toml) did not start: start_timeout" in said


def test_sigterm_while_a_child_starts_ends_the_start(grow: Grow) -> None:
    # Scenario 23
    tree = grow(child("a"), child("stuck", "NeverStarts"), child("c"))
    tree.until(lambda: "stuck" in tree.pids())
    tree.expect("^a is ready")
    assert tree.end(signal.SIGTERM) == 143
    assert tree.count("^a is stopped") == 1
    assert tree.count("^c") == 0
    assert tree.files() == []


def test_a_stop_while_a_nested_supervisor_starts_is_in_order_there_too(grow: Grow) -> None:
    below = nested("below", child("a"), child("stuck", "NeverStarts"))
    tree = grow(below)
    tree.until(lambda: "stuck" in tree.pids())
    tree.expect("^a is ready")
    assert tree.end(signal.SIGINT) == 130
    assert tree.count("^a is stopped") == 1


def test_a_nested_supervisor_answers_on_a_socket_of_its_own(grow: Grow) -> None:
    tree = grow(nested("below", child("a"), nested("deeper", child("b")))).ready()
    assert set(tree.which("below")) == {"a", "deeper"}
    assert set(tree.which("deeper")) == {"b"}
    assert tree.ask("hello", "b") == "hello"
    root = tree.tree()
    (below,) = root.children
    a, deeper = below.children
    assert [status.id for status in (root, below, a, deeper, *deeper.children)] == [
        "root",
        "below",
        "a",
        "deeper",
        "b",
    ]
    assert {status.state for status in (root, below, a, deeper)} == {"running"}
    assert min(status.rss for status in (root, below, a, deeper)) > 1_000_000
    assert deeper.children[0].handled == 1
    assert deeper.handled == 1


def test_the_tree_is_described_although_a_child_does_not_answer(grow: Grow) -> None:
    tree = grow(child("a"), child("frozen")).ready()
    frozen = tree.kill("frozen", signal.SIGSTOP)
    for _ in range(2):
        names = {status.id: status.pid for status in tree.tree().children}
        assert names["frozen"] == frozen
    os.kill(frozen, signal.SIGCONT)


def test_a_nested_supervisor_does_not_take_the_roots_requests(grow: Grow) -> None:
    tree = grow(nested("below", child("a"))).ready()
    try:
        tree.ask(["get_tree"], "below")
    except AssertionError as error:
        refusal = str(error)
    assert re.search("'below' does not answer GetTree", refusal)
    assert set(tree.ask(WhichChildren(), "below").children[0].id) == {"a"}


def test_a_child_that_is_stopped_by_a_signal_while_it_starts_is_killed_in_time(
    grow: Grow,
) -> None:
    # Scenario 11
    tree = grow(child("a"), child("frozen", "FreezesInStart", start_timeout=1.5))
    tree.until(lambda: "frozen" in tree.pids())
    assert set(tree.which()) == {"a", "frozen"}  # it answers meanwhile
    assert tree.outcome() == 1
    assert tree.count("child 'frozen' .* did not start: start_timeout") == 1
    assert tree.files() == []


def test_children_answer_while_another_one_does_not_start(grow: Grow) -> None:
    # Scenario 11
    tree = grow(child("a"), max_restarts=1_000).ready()
    stuck = tree.asking(StartChild("stuck", table_of("FreezesInStart", start_timeout=0.3)))
    while not stuck.done():
        assert tree.ask("hello", "a") == "hello"
        assert "a" in tree.which()
    assert "did not start: start_timeout, signal 9" in str(stuck.exception())


def test_sigterm_while_one_starts_kills_it_and_stops_those_before_it(grow: Grow) -> None:
    # Scenario 23
    tree = grow(child("a"), child("b"), child("frozen", "FreezesInStart"), child("d"))
    tree.until(lambda: "frozen" in tree.pids())
    tree.expect("^b is ready")
    assert tree.end() == 143
    ends = [line for line in tree.said if line.endswith(" is stopped")]
    assert ends == ["frozen is stopped", "b is stopped", "a is stopped"]
    assert tree.files() == []
