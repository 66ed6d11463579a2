"""Who goes down and comes up with whom, in which order: OTP's restart strategies."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.actors.messages.supervisor import ChildCount, CountChildren
from holdfast.supervisors.settings import Restart, Strategy
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import QUICK, SmallTree, child, let_through, nested

PATIENT: Final[dict[str, Any]] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}
STRATEGIES: Final[tuple[Strategy, ...]] = ("one_for_one", "rest_for_one", "one_for_all")
FOUR: Final = ["a", "b", "c", "d"]


def acts(tree: SmallTree) -> list[str]:
    """What happened since the tree was ready, in the log's order: "-b", "b!", "+b"."""
    signs = {"is stopped": "-{}", "did not stop": "{}!", "is dead": "{}!", "is ready": "+{}"}
    said = tree.hear()
    found = []
    for line in said[said.index("the tree is ready") :]:
        if match := re.match(r"([\w-]+) (is stopped|did not stop|is dead|is ready)\b", line):
            found.append(signs[match[2]].format(match[1]))
    return found


def settled(tree: SmallTree, *names: str, starts: int = 2) -> None:
    """Wait until these children run and are in life ``starts`` or a later one."""

    def is_so() -> bool:
        which = tree.which()
        return all(
            which[name].state == "running" and which[name].incarnation >= starts for name in names
        )

    tree.until(is_so)


# Strategy, who dies: what happens then.
TABLE: Final[list[tuple[Strategy, str, str]]] = [
    ("one_for_one", "a", "a! +a"),
    ("one_for_one", "b", "b! +b"),
    ("one_for_one", "d", "d! +d"),
    ("rest_for_one", "a", "a! -d -c -b +a +b +c +d"),
    ("rest_for_one", "b", "b! -d -c +b +c +d"),
    ("rest_for_one", "d", "d! +d"),
    ("one_for_all", "a", "a! -d -c -b +a +b +c +d"),
    ("one_for_all", "b", "b! -d -c -a +a +b +c +d"),
    ("one_for_all", "d", "d! -c -b -a +a +b +c +d"),
]


@pytest.mark.parametrize(("strategy", "dies", "wanted"), TABLE)
def test_who_is_restarted_with_whom_and_in_which_order(
    grow: Grow, strategy: Strategy, dies: str, wanted: str
) -> None:
    # Scenarios 4 and 5
    tree = grow(*map(child, FOUR), strategy=strategy, max_restarts=1).ready()
    before = tree.which()
    tree.kill(dies)
    again = [act[1] for act in wanted.split() if act.startswith("+")]
    settled(tree, *again)
    assert acts(tree) == wanted.split()
    after = tree.which()
    for name in FOUR:
        lives = 2 if name in again else 1
        assert (after[name].incarnation, after[name].restarts) == (lives, lives - 1)
        assert (after[name].pid == before[name].pid) == (name not in again)
    # One restart was charged, however many children were started: one more is one too many.
    tree.kill(dies)
    assert tree.outcome() == 5
    assert tree.count("^giving up: . needs restart 2 within") == 1


# Restart types of a, b, c, d; who dies; who is there afterwards and in which life.
MIXED: Final[list[tuple[Strategy, str, str, str, dict[str, int]]]] = [
    # Scenario 6: a temporary bystander goes down with the others and is a child no more.
    ("one_for_all", "p t T p", "a", "exit 1", {"a": 2, "b": 2, "d": 2}),
    ("rest_for_one", "p t T p", "b", "exit 1", {"a": 1, "b": 2, "d": 2}),
    ("rest_for_one", "T p p p", "b", "exit 1", {"a": 1, "b": 2, "c": 2, "d": 2}),
    # A temporary one that dies takes nobody along, nor does a normal end.
    ("one_for_all", "p t T p", "c", "exit 1", {"a": 1, "b": 1, "d": 1}),
    ("rest_for_one", "p t T p", "c", "exit 0", {"a": 1, "b": 1, "d": 1}),
    ("one_for_all", "p t T p", "b", "exit 0", {"a": 1, "b": 1, "c": 1, "d": 1}),
    ("rest_for_one", "p t T p", "b", "exit 5", {"a": 1, "b": 1, "c": 1, "d": 1}),
    # Transient bystanders are stopped normally, and yet they come back.
    ("one_for_all", "t t t t", "b", "signal 9", {"a": 2, "b": 2, "c": 2, "d": 2}),
    ("rest_for_one", "t t t t", "b", "signal 9", {"a": 1, "b": 2, "c": 2, "d": 2}),
    ("one_for_all", "p p p p", "b", "exit 0", {"a": 2, "b": 2, "c": 2, "d": 2}),
]
TYPES: Final[dict[str, Restart]] = {"p": "permanent", "t": "transient", "T": "temporary"}


@pytest.mark.parametrize(("strategy", "types", "dies", "how", "wanted"), MIXED)
def test_restart_types_decide_who_takes_part(
    grow: Grow, strategy: Strategy, types: str, dies: str, how: str, wanted: dict[str, int]
) -> None:
    # Scenario 6
    restarts = [TYPES[letter] for letter in types.split()]
    children = [
        child(name, "Obeys", restart=restart) for name, restart in zip(FOUR, restarts, strict=True)
    ]
    tree = grow(*children, strategy=strategy, **PATIENT).ready()
    tree.command(dies, how)
    tree.expect(f"^{dies} is dead")
    tree.until(lambda: {s.id: s.incarnation for s in tree.which().values()} == wanted)
    ended = {dies} if wanted.get(dies) == 1 else set()
    settled(tree, *(set(wanted) - ended), starts=1)
    count = ChildCount(len(wanted), len(wanted) - len(ended), 0, len(wanted))
    assert tree.ask(CountChildren()) == count


def test_one_that_had_ended_normally_comes_back_with_the_others(grow: Grow) -> None:
    """As in OTP, where one_for_all starts whoever is in the list."""
    short = child("short", "Obeys", restart="transient")
    tree = grow(child("a"), short, strategy="one_for_all", **PATIENT).ready()
    tree.command("short", "exit 0")
    tree.until(lambda: tree.which()["short"].state == "exited")
    tree.kill("a")
    settled(tree, "a", "short")


def test_in_rest_for_one_a_failed_start_leaves_those_before_it_alone(
    grow: Grow, tmp_path: Path
) -> None:
    # Scenario 5
    trigger = tmp_path / "trigger"
    sick = child("c", "FailsToStart", options={"when": str(trigger)})
    tree = grow(child("a"), child("b"), sick, child("d"), strategy="rest_for_one", **PATIENT)
    tree.ready()
    trigger.touch()
    tree.kill("b")
    for _ in range(3):
        tree.expect("^c did not start")
    trigger.unlink()
    settled(tree, "b", "c", "d")
    which = tree.which()
    assert (which["a"].incarnation, which["b"].incarnation, which["d"].incarnation) == (1, 2, 2)
    assert which["c"].incarnation >= 5
    assert acts(tree)[:4] == ["b!", "-d", "-c", "+b"]
    assert acts(tree)[4:] == ["+c", "+d"]


def test_in_one_for_all_a_failed_start_stops_those_that_are_up_again(
    grow: Grow, tmp_path: Path
) -> None:
    # Scenario 5
    trigger = tmp_path / "trigger"
    sick = child("c", "FailsToStart", options={"when": str(trigger)})
    tree = grow(child("a"), child("b"), sick, child("d"), strategy="one_for_all", **PATIENT)
    tree.ready()
    trigger.touch()
    tree.kill("d")
    for _ in range(2):
        tree.expect("^c did not start")
    trigger.unlink()
    settled(tree, "a", "b", "c", "d")
    fails = ["+a", "+b", "-b", "-a"]  # c, which fails between them, is told otherwise
    begin, end = ["d!", "-c", "-b", "-a"], ["+a", "+b", "+c", "+d"]
    happened = acts(tree)
    rounds = (len(happened) - len(begin) - len(end)) // len(fails)
    assert rounds >= 2
    assert happened == [*begin, *fails * rounds, *end]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_member_that_dies_on_its_way_down_is_no_further_failure(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("d", "StopsWhenLet", options={"gate": str(gate)})
    tree = grow(*map(child, "abc"), slow, strategy=strategy, max_restarts=1).ready()
    tree.kill("a")
    tree.until(lambda: tree.which()["d"].state == "stopping")
    tree.kill("b")  # told to stop by nobody yet
    tree.expect("^b is dead")
    tree.kill("d")  # told to stop
    gate.unlink()
    settled(tree, *FOUR)
    assert acts(tree) == ["a!", "b!", "d!", "-c", "+a", "+b", "+c", "+d"]
    assert {status.restarts for status in tree.which().values()} == {1}


def test_an_earlier_sibling_that_dies_meanwhile_widens_the_course(
    grow: Grow, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("d", "StopsWhenLet", options={"gate": str(gate)})
    tree = grow(*map(child, "abc"), slow, strategy="rest_for_one", max_restarts=2).ready()
    tree.kill("c")
    tree.until(lambda: tree.which()["d"].state == "stopping")
    tree.kill("a")
    tree.expect("^a is dead")
    let_through(gate)
    settled(tree, *FOUR)
    assert acts(tree) == ["c!", "a!", "-d", "-b", "+a", "+b", "+c", "+d"]
    assert {status.restarts for status in tree.which().values()} == {1}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_one_that_is_killed_while_it_comes_up_again_is_a_failure(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    gate = tmp_path / "gate"
    slow = child("c", "FailsWhenLet", options={"gate": str(gate), "when": str(tmp_path / "no")})
    tree = grow(child("a"), child("b"), slow, child("d"), strategy=strategy, **PATIENT).ready()
    os.mkfifo(gate)
    tree.kill("b")
    tree.until(lambda: tree.which()["c"].state == "starting")
    tree.until(lambda: "c" in tree.pids())
    tree.kill("c")
    tree.expect("^c did not start: signal 9")
    gate.unlink()
    settled(tree, "b", "c", "d")
    which = tree.which()
    assert (which["b"].incarnation, which["c"].incarnation) == (
        (3, 3) if strategy == "one_for_all" else (2, 3)
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_children_that_are_killed_at_once_all_come_back(grow: Grow, strategy: Strategy) -> None:
    # Scenario 3
    tree = grow(*map(child, FOUR), strategy=strategy, max_restarts=4).ready()
    pids = tree.pids()
    for name in FOUR:
        os.kill(pids[name], signal.SIGKILL)
    settled(tree, *FOUR)
    happened = acts(tree)
    # One report an end; what a strategy stops in between is told as well.
    assert sorted(act for act in happened if act.endswith("!")) == [f"{name}!" for name in FOUR]
    assert len({tree.pids()[name] for name in FOUR} - set(pids.values())) == 4
    if strategy == "one_for_one":
        assert {status.restarts for status in tree.which().values()} == {1}
    if strategy == "one_for_all":
        assert happened[-4:] == ["+a", "+b", "+c", "+d"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("stage", ["down", "pause", "up"])
def test_a_zygote_that_dies_in_the_middle_takes_no_child_with_it_for_good(
    grow: Grow, tmp_path: Path, strategy: Strategy, stage: str
) -> None:
    stop, start = tmp_path / "stop", tmp_path / "start"
    os.mkfifo(stop)
    slow = child("d", "StopsWhenLet" if stage == "down" else "Idle", **_options(stage, stop))
    sick = child("b", "FailsWhenLet", options={"gate": str(start), "when": str(tmp_path / "when")})
    policy = PATIENT | {"backoff": 60.0, "backoff_max": 60.0} if stage == "pause" else PATIENT
    tree = grow(child("a"), sick, child("c"), slow, strategy=strategy, **policy).ready()
    if stage == "up":
        os.mkfifo(start)
    elif stage == "pause":
        (tmp_path / "when").touch()
    zygote = tree.pids()["zygote:root"]
    tree.kill("b")
    if stage == "pause":
        tree.expect("^b did not start")
        tree.until(lambda: tree.which()["b"].state == "backoff")
        (tmp_path / "when").unlink()
    elif stage == "up":
        tree.until(lambda: tree.which()["b"].state == "starting")
    elif strategy != "one_for_one":
        tree.until(lambda: tree.which()["d"].state == "stopping")
    os.kill(zygote, signal.SIGKILL)
    tree.expect("^the zygote is lost")
    if stage == "up":
        start.unlink()
    settled(tree, *FOUR)
    assert tree.end() == 0
    assert tree.files() == []


def _options(stage: str, gate: Path) -> dict[str, Any]:
    return {"options": {"gate": str(gate)}, "shutdown": 0.5} if stage == "down" else {}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_tree_that_starts_follows_its_strategy_already(
    grow: Grow, tmp_path: Path, strategy: Strategy
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = child("c", "StartsWhenLet", options={"gate": str(gate)})
    tree = grow(child("a"), child("b"), slow, child("d"), strategy=strategy, **PATIENT)
    tree.expect("^b is ready")
    tree.until(lambda: "c" in tree.pids())
    tree.kill("b")
    tree.expect("^b is ready: .* start 2")
    tree.until(lambda: tree.which()["c"].incarnation == 2)
    let_through(gate)
    tree.ready()
    lives = {name: status.incarnation for name, status in tree.which().items()}
    assert lives == {"a": 2 if strategy == "one_for_all" else 1, "b": 2, "c": 2, "d": 1}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nested_supervisors_follow_a_strategy_as_other_children_do(
    grow: Grow, strategy: Strategy
) -> None:
    first, second = (nested(name, child(f"in-{name}")) for name in ("first", "second"))
    tree = grow(first, second, strategy=strategy, **PATIENT).ready()
    tree.kill("first")
    names = ["first", "second"] if strategy != "one_for_one" else ["first"]
    settled(tree, *names)
    for name in ("first", "second"):
        assert tree.which(name)[f"in-{name}"].incarnation == 1
    assert (tree.which()["second"].incarnation == 2) == (strategy != "one_for_one")
    assert tree.count("^in-second is stopped") == (strategy != "one_for_one")
