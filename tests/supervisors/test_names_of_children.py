"""The names of children that messages add: whose they are, and what is at their addresses."""

from __future__ import annotations

from typing import Any, Final

import pytest

from holdfast.actors.messages.supervisor import (
    ChildCount,
    CountChildren,
    DeleteChild,
    RestartChild,
    StartChild,
    TerminateChild,
)
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, SmallTree, child, nested, table_of

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}


@pytest.fixture(params=["root", "below"])
def home(request: pytest.FixtureRequest) -> str:
    """The supervisor that is asked."""
    return str(request.param)


def grown(grow: Grow) -> SmallTree:
    """A tree whose supervisors ``root`` and ``below`` can both be asked."""
    return grow(child("a"), nested("below", child("b"))).ready()


def sockets(tree: SmallTree) -> set[str]:
    """The actors that have an address."""
    return {path.stem for path in tree.run_dir.iterdir() if path.suffix == ".sock"}


def test_the_names_below_a_supervisor_that_is_gone_are_kept_for_its_return(grow: Grow) -> None:
    once = child("once", "Obeys", restart="temporary", significant=True)
    below = nested("below", child("b"), once, restart="transient", auto_shutdown="any_significant")
    tree = grow(below, child("a")).ready()
    tree.command("once", "exit 0")
    tree.until(lambda: tree.which()["below"].state == "exited")
    for name in ("b", "once"):
        assert "is the name of another actor" in tree.refusal(StartChild(name, table_of()))
    tree.ask(RestartChild("below"))
    assert tree.ask("hello", "b") == "hello"


def test_what_is_asked_of_a_deleted_child_fails_as_gone(grow: Grow, home: str) -> None:
    tree = grown(grow)
    tree.add("new", "Idle", home)
    tree.ask(TerminateChild("new"), home)
    tree.ask(DeleteChild("new"), home)
    assert "deleted" in tree.refusal("hello", "new")


def test_what_is_asked_of_a_stopped_child_waits_until_it_is_started_again(
    grow: Grow, home: str
) -> None:
    tree = grown(grow)
    tree.add("new", "Idle", home)
    tree.ask(TerminateChild("new"), home)
    answer = tree.asking("hello", "new")
    assert not answer.done()
    tree.ask(RestartChild("new"), home)
    assert answer.result(20) == "hello"


@pytest.mark.slow  # hundreds of children
def test_the_oldest_of_the_gone_are_forgotten_and_their_addresses_with_them(grow: Grow) -> None:
    tree = grow(child("a")).ready()
    for number in range(102):
        tree.add(f"brief-{number}", restart="temporary")
        tree.ask(TerminateChild(f"brief-{number}"))
    left = {name for name in sockets(tree) if name.startswith("brief-")}
    assert left == {f"brief-{number}" for number in range(2, 102)}
    assert tree.add("brief-0").status.state == "running"


@pytest.mark.slow  # many children
def test_an_ended_child_keeps_its_address_however_many_there_are(grow: Grow) -> None:
    tree = grow(child("a")).ready()
    for number in range(102):  # more than the gone whose addresses are kept
        tree.add(f"short-{number}", "Obeys", restart="transient")
        tree.command(f"short-{number}", "exit 0")
    tree.until(lambda: tree.ask(CountChildren()).active == 1)
    for number in (0, 101):
        assert tree.ask(RestartChild(f"short-{number}")).status.state == "running"
        assert tree.ask("hello", f"short-{number}") == "hello"


@pytest.mark.slow  # 240 processes
def test_a_supervisor_has_at_most_240_children(grow: Grow) -> None:
    tree = grow(child("a"), **PATIENT).ready()
    for number in range(239):
        tree.add(f"c{number}")
    assert "is one too many" in tree.refusal(StartChild("c239", table_of()))
    assert tree.ask(CountChildren()) == ChildCount(240, 240, 0, 240)
    tree.ask(TerminateChild("c7"))
    tree.ask(DeleteChild("c7"))
    assert tree.add("c239").status.state == "running"


@pytest.mark.parametrize("name", ["a", "b", "below", "deeper", "c"])
def test_no_child_takes_the_name_of_another_actor(grow: Grow, name: str) -> None:
    deeper = nested("deeper", child("c"))
    tree = grow(child("a"), nested("below", child("b"), deeper)).ready()
    pids = tree.pids()
    for home in ("root", "below", "deeper"):
        refusal = tree.refusal(StartChild(name, table_of()), home)
        own = name in tree.which(home)
        wanted = f"'{name}' runs already" if own else f"'{name}' is the name of another actor"
        assert wanted in refusal, home
    assert tree.pids() == pids
    assert tree.ask("hello", "b") == "hello"
    tree.add("new", to="below")
    for home in ("root", "deeper"):
        assert "is the name of another actor" in tree.refusal(StartChild("new", table_of()), home)


@pytest.mark.slow  # many children
def test_a_name_is_free_again_however_often_it_was_used(grow: Grow) -> None:
    """More often than the supervisor remembers the gone: 100."""
    tree = grow(child("a")).ready()
    tree.add("kept")
    tree.ask(TerminateChild("kept"))
    tree.ask(DeleteChild("kept"))
    kept = tree.add("kept").status.pid
    for _ in range(102):
        tree.add("brief", restart="temporary")
        tree.ask(TerminateChild("brief"))
    assert "stopped by its supervisor" in tree.refusal("hello", "brief")
    assert tree.ask("hello", "kept") == "hello"
    assert tree.which()["kept"].pid == kept
    assert tree.end() == 0
    assert tree.files() == []


def test_the_next_life_of_a_supervisor_has_the_children_of_its_spec_again(grow: Grow) -> None:
    tree = grown(grow)
    tree.add("new", "Idle", "below")
    tree.ask(TerminateChild("b"), "below")
    tree.ask(DeleteChild("b"), "below")
    assert set(tree.which("below")) == {"new"}
    tree.kill("below")
    tree.expect("^below is ready: .* start 2")
    assert set(tree.which("below")) == {"b"}
    assert tree.ask("hello", "b") == "hello"
    assert "new" not in tree.pids()
    assert tree.end() == 0
    assert tree.files() == []
