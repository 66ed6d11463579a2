"""Children that messages add, stop, start and delete: OTP's replies, OTP's refusals."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from holdfast.actors.messages.supervisor import (
    ChildCount,
    ChildIs,
    CountChildren,
    DeleteChild,
    GetChild,
    Locate,
    Located,
    RestartChild,
    StartChild,
    TerminateChild,
)
from holdfast.supervisors.roster import RESERVE
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import (
    QUICK,
    SmallTree,
    child,
    let_through,
    nested,
    table_of,
    wait_for_end,
)

PATIENT: dict[str, Any] = QUICK | {"max_restarts": 1_000, "max_seconds": 60.0}


@pytest.fixture(params=["root", "below"])
def home(request: pytest.FixtureRequest) -> str:
    """The supervisor that is asked: all of this is the same below another."""
    return str(request.param)


def grown(grow: Grow, *children: Any, **policy: Any) -> SmallTree:
    """A tree whose supervisors ``root`` and ``below`` can both be asked."""
    below = nested("below", child("b"), **policy)
    return grow(child("a"), below, *children, **policy).ready()


def sockets(tree: SmallTree) -> set[str]:
    return {path.stem for path in tree.run_dir.iterdir() if path.suffix == ".sock"}


def test_a_child_is_added_stopped_started_and_deleted(grow: Grow, home: str) -> None:
    tree = grown(grow)
    before = list(tree.which(home))
    added = tree.add("new", "Idle", home)
    status = added.status
    assert (status.id, status.state, status.incarnation, status.restarts) == (
        "new",
        "running",
        1,
        0,
    )
    assert status.pid == tree.pids()["new"]
    assert list(tree.which(home)) == [*before, "new"]  # behind those that are there
    assert tree.ask("hello", "new") == "hello"

    stopped = tree.ask(TerminateChild("new"), home)
    assert (stopped.status.state, stopped.incarnation) == ("stopped", added.incarnation)
    assert stopped.status.last_exit.code == 0
    assert "new" not in tree.pids()
    assert list(tree.which(home)) == [*before, "new"]  # its spec is kept
    assert tree.ask(TerminateChild("new"), home).status == stopped.status  # as often as one likes

    again = tree.ask(RestartChild("new"), home)
    assert (again.status.state, again.status.incarnation) == ("running", 2)
    assert again.incarnation != added.incarnation
    assert tree.ask("hello", "new") == "hello"

    tree.ask(TerminateChild("new"), home)
    deleted = tree.ask(DeleteChild("new"), home)
    assert deleted.status.incarnation == 2
    assert list(tree.which(home)) == before
    assert tree.end() == 0
    assert tree.files() == []


def test_what_is_refused_says_why_and_changes_nothing(grow: Grow, home: str) -> None:
    tree = grown(grow)
    tree.add("up", "Idle", home)
    tree.add("down", "Idle", home)
    tree.ask(TerminateChild("down"), home)
    before = tree.which(home), tree.ask(CountChildren(), home)
    known = "b" if home == "below" else "a"
    for message, reason in (
        (StartChild("up", table_of()), "'up' runs already"),
        (StartChild("down", table_of()), "'down' is there and is down"),
        (StartChild(known, table_of()), f"'{known}' runs already"),
        (RestartChild("up"), "'up' runs: terminate_child it first"),
        (DeleteChild("up"), "'up' runs: terminate_child it first"),
        (RestartChild("nobody"), "'nobody' is no child here"),
        (TerminateChild("nobody"), "'nobody' is no child here"),
        (DeleteChild("nobody"), "'nobody' is no child here"),
    ):
        assert reason in tree.refusal(message, home), message
    after = tree.which(home), tree.ask(CountChildren(), home)
    assert [(status.id, status.pid, status.state) for status in after[0].values()] == [
        (status.id, status.pid, status.state) for status in before[0].values()
    ]
    assert after[1] == before[1]


BAD_AGENTS: Final[list[tuple[dict[str, Any], str]]] = [
    ({}, "has no class"),
    ({"class": "no colon"}, 'class = "no colon"'),
    ({"class": "no_such_module:X"}, "there is no 'no_such_module'"),
    (table_of(restart="sometimes"), 'restart = "sometimes"'),
    (table_of(restrt="permanent"), "restrt"),
    (table_of(shutdown=-1), "shutdown = -1"),
    (table_of(shutdown="soon"), 'shutdown = "soon"'),
    (table_of(start_timeout=0), "start_timeout = 0"),
    (table_of(parent="below"), "parent"),
    (table_of(options={"1": 2}), "options.1"),
    (table_of(env={"A=B": "c"}), "env"),
    (table_of(restart="temporary", significant=True), "cannot be significant"),
    (table_of(significant=True), "significant"),
]
BAD_SUPERVISORS: Final[list[tuple[dict[str, Any], str]]] = [
    ({"strategy": "all_for_one"}, 'strategy = "all_for_one"'),
    ({"max_seconds": 0}, "max_seconds = 0"),
    ({"max_failed_starts": "never"}, 'max_failed_starts = "never"'),
    ({"backoff": 9.0}, "backoff_max = 5.0"),
    ({"auto_shutdown": "always"}, 'auto_shutdown = "always"'),
    ({"children": 3}, "children"),
    ({"significant": True}, "significant"),
]
BAD_NAMES: Final = ["", "UP", "../x", "a b", "x" * 49, "root", "writer", "state"]


def test_a_bad_table_is_refused_by_the_name_of_its_key(grow: Grow) -> None:
    tree = grow(child("a")).ready()
    for table, said in BAD_AGENTS:
        refusal = tree.refusal(StartChild("new", table))
        assert said in refusal
        assert "'new'" in refusal
    for table, said in BAD_SUPERVISORS:
        assert said in tree.refusal(StartChild("team", table, kind="supervisor"))
    for name in BAD_NAMES:
        assert "expected" in tree.refusal(StartChild(name, table_of()))
    assert set(tree.which()) == {"a"}
    assert sockets(tree) == {"root", "a"}


def test_a_child_that_would_take_the_descriptors_of_restarts_is_refused(grow: Grow) -> None:
    """Every child takes descriptors of its supervisor, and there may be no more."""
    tree = grow(child("a"), **PATIENT).ready()
    root = tree.process.pid
    opened = len(os.listdir(f"/proc/{root}/fd"))
    limit = opened + RESERVE - 5
    before = resource.prlimit(
        root, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    assert "is one too many" in tree.refusal(StartChild("new", table_of()))
    tree.kill("a")
    tree.expect("^a is ready")
    resource.prlimit(root, resource.RLIMIT_NOFILE, before)
    assert set(tree.which()) == {"a"}
    assert tree.add("new").status.state == "running"
    assert tree.end() == 0


def test_a_restart_without_descriptors_is_a_failed_start(grow: Grow) -> None:
    tree = grow(child("a"), **PATIENT).ready()
    root = tree.process.pid
    opened = descriptors(root)
    tree.ask(TerminateChild("a"))
    tree.until(lambda: descriptors(root) <= opened)  # the connection of that ask is closed, too
    # For the question and one end of a lifeline.
    limit = len(descriptors(root)) + 2
    before = resource.prlimit(
        root, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    refusal = tree.refusal(RestartChild("a"))
    assert "did not start: not_forked\ncannot be forked: [Errno 24] Too many open" in refusal
    resource.prlimit(root, resource.RLIMIT_NOFILE, before)
    assert tree.ask(RestartChild("a")).status.state == "running"
    assert tree.end() == 0


def descriptors(pid: int) -> set[str]:
    """What a process has open: another connection is another socket."""
    found = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(f"{number} {os.readlink(f'/proc/{pid}/fd/{number}')}")
    return found


def test_a_restart_that_fails_is_told_and_the_child_kept(
    grow: Grow, tmp_path: Path, home: str
) -> None:
    tree = grown(grow)
    trigger = tmp_path / "trigger"
    tree.add("sick", "FailsToStart", home, options={"when": str(trigger)})
    tree.ask(TerminateChild("sick"), home)
    trigger.touch()
    for _ in range(2):
        refusal = tree.refusal(RestartChild("sick"), home)
        assert "child 'sick' did not start: exit, code 1" in refusal
        assert tree.which(home)["sick"].state == "stopped"  # and it is not tried again
    trigger.unlink()
    assert tree.ask(RestartChild("sick"), home).status.state == "running"


def test_a_temporary_child_is_none_any_more_when_it_has_ended(grow: Grow, home: str) -> None:
    tree = grown(grow)
    for how in ("exit 0", "exit 1"):
        tree.add("brief", "Obeys", home, restart="temporary")
        tree.command("brief", how)
        tree.until(lambda: "brief" not in tree.which(home))
        assert "is no child here" in tree.refusal(RestartChild("brief"), home)
    answer = tree.add("brief", "Obeys", home, restart="temporary")
    assert tree.ask(TerminateChild("brief"), home).incarnation == answer.incarnation
    assert "brief" not in tree.which(home)
    assert "is no child here" in tree.refusal(DeleteChild("brief"), home)


def test_a_child_can_be_terminated_in_its_backoff(grow: Grow, tmp_path: Path, home: str) -> None:
    # Scenario 9
    tree = grown(grow, backoff=60.0, backoff_max=60.0)
    trigger = tmp_path / "trigger"
    tree.add("sick", "FailsToStart", home, options={"when": str(trigger)})
    trigger.touch()
    tree.kill("sick")
    tree.until(lambda: tree.which(home)["sick"].state == "backoff")
    specs = len(tree.which(home))
    supervisors = 1 if home == "root" else 0
    count = ChildCount(specs, specs - 1, supervisors, specs - supervisors)
    assert tree.ask(CountChildren(), home) == count  # who waits is no process
    assert "is there and is down" in tree.refusal(StartChild("sick", table_of()), home)
    assert "is about to be restarted" in tree.refusal(RestartChild("sick"), home)
    assert "is about to be restarted" in tree.refusal(DeleteChild("sick"), home)
    assert tree.ask(TerminateChild("sick"), home).status.state == "stopped"
    trigger.unlink()
    assert tree.ask(RestartChild("sick"), home).status.state == "running"


def test_all_who_ask_for_the_same_stop_are_answered(grow: Grow, tmp_path: Path, home: str) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tree = grown(grow)
    tree.add("slow", "StopsWhenLet", home, options={"gate": str(gate)})
    stops = [tree.asking(TerminateChild("slow"), home)]
    tree.until(lambda: tree.which(home)["slow"].state == "stopping")
    stops += [tree.asking(TerminateChild("slow"), home) for _ in range(2)]
    for message in (RestartChild("slow"), DeleteChild("slow")):
        assert "runs: terminate_child it first" in tree.refusal(message, home)
    assert "runs already" in tree.refusal(StartChild("slow", table_of()), home)
    let_through(gate)
    answers = [stop.result(20) for stop in stops]
    assert {answer.status.state for answer in answers} == {"stopped"}


def test_a_child_that_does_not_stop_is_killed_when_its_time_is_over(grow: Grow, home: str) -> None:
    # Scenario 21
    tree = grown(grow)
    tree.add("stays", "StaysOn", home, shutdown=0.1)
    tree.add("brute", "StaysOn", home, shutdown="brutal_kill")
    answer = tree.ask(TerminateChild("stays"), home)
    assert (answer.status.last_exit.kind, answer.status.state) == ("shutdown_timeout", "stopped")
    assert tree.ask(TerminateChild("brute"), home).status.last_exit.signal == signal.SIGKILL


def test_a_supervisor_can_be_added_and_children_below_it(grow: Grow, home: str) -> None:
    tree = grown(grow)
    answer = tree.ask(StartChild("team", {"max_restarts": 7}, kind="supervisor"), home)
    assert isinstance(answer, ChildIs)
    assert tree.ask(CountChildren(), "team") == ChildCount(0, 0, 0, 0)
    tree.add("member", "Obeys", "team")
    tree.ask(StartChild("subteam", {}, kind="supervisor"), "team")
    tree.add("leaf", "Obeys", "subteam")
    assert tree.ask(CountChildren(), "team") == ChildCount(2, 2, 1, 1)
    # The root knows where they are, however deep.
    for name, supervisor in (("member", "team"), ("leaf", "subteam"), ("team", home)):
        assert tree.until(lambda: _located(tree, name)) == Located(supervisor)  # noqa: B023
        assert tree.ask(GetChild(name), supervisor).status.state == "running"
    tree.command("leaf", "exit 1")
    tree.expect("^leaf is ready: .* start 2")
    # What a life of a supervisor was given, the next one does not have.
    tree.kill("team")
    tree.expect("^team is ready: .* start 2")
    assert tree.which("team") == {}
    tree.until(lambda: _located(tree, "member") is None)
    assert "leaf" not in tree.pids()
    tree.add("member", "Obeys", "team")
    assert tree.ask("hello", "member") == "hello"
    assert tree.ask(TerminateChild("team"), home).status.last_exit.code == 0
    tree.ask(DeleteChild("team"), home)
    assert "team" not in tree.which(home)
    assert tree.end() == 0
    assert tree.files() == []


def _located(tree: SmallTree, name: str) -> Located | None:
    try:
        answer = tree.ask(Locate(name))
    except AssertionError:
        return None
    assert isinstance(answer, Located)
    return answer


def test_while_a_supervisor_stops_nothing_is_started(grow: Grow, home: str) -> None:
    tree = grown(grow)
    tree.add("stays", "StaysOn", home, shutdown=0.5)
    tree.add("down", "Idle", home)
    tree.ask(TerminateChild("down"), home)
    tree.process.terminate()
    tree.until(lambda: tree.which(home)["stays"].state == "stopping")
    for message in (StartChild("new", table_of()), RestartChild("down")):
        assert "its supervisor is stopping" in tree.refusal(message, home)
    assert tree.outcome() == 0


def test_a_transient_child_that_ended_is_there_and_can_be_started_or_deleted(
    grow: Grow, home: str
) -> None:
    tree = grown(grow)
    tree.add("short", "Obeys", home, restart="transient")
    for life in (2, 3):
        tree.command("short", "exit 0")
        tree.until(lambda: tree.which(home)["short"].state == "exited")
        assert "is there and is down" in tree.refusal(StartChild("short", table_of()), home)
        assert tree.ask(RestartChild("short"), home).status.incarnation == life
        assert tree.ask("hello", "short") == "hello"
    tree.command("short", "exit 0")
    tree.until(lambda: tree.which(home)["short"].state == "exited")
    assert tree.ask(DeleteChild("short"), home).status.state == "exited"
    assert "short" not in tree.which(home)
    assert "ended" in tree.refusal("hello", "short") or "gone" in tree.refusal("hello", "short")
    # No life of it is ever that of another: the writer tells senders by it.
    status = tree.add("short", "Obeys", home).status
    assert (status.incarnation, status.restarts) == (4, 0)
    assert tree.ask("hello", "short") == "hello"


def test_a_child_can_be_terminated_while_it_starts(grow: Grow, home: str) -> None:
    tree = grown(grow)
    start = tree.asking(StartChild("stuck", table_of("NeverStarts")), home)
    tree.until(lambda: "stuck" in tree.pids())
    assert "runs already" in tree.refusal(StartChild("stuck", table_of()), home)
    assert tree.ask(TerminateChild("stuck"), home).status.state == "stopped"
    assert "was terminated while it started" in str(start.exception(20))
    # What start_child says of a start that failed holds here as well: the child is not kept.
    assert "stuck" not in tree.which(home)


def test_an_added_child_has_its_own_time_to_stop(grow: Grow, tmp_path: Path, home: str) -> None:
    """What the children may take is the sum of all there are, not only of those in the config."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tree = grow(nested("below")).ready()
    tree.add("slow", "StopsWhenLet", home, options={"gate": str(gate)}, shutdown=5.0)
    (slow,) = tree.watch(tree.pids()["slow"])
    tree.process.terminate()
    tree.until(lambda: tree.which(home)["slow"].state == "stopping")
    assert not wait_for_end(slow, timeout=1.2)  # a supervisor without children gets 1 s
    let_through(gate)
    assert tree.outcome() == 0
    assert tree.count("did not stop in order") == 0


def test_a_start_that_fails_is_told_and_not_kept(grow: Grow, tmp_path: Path, home: str) -> None:
    tree = grown(grow)
    trigger = tmp_path / "trigger"
    trigger.touch()
    options = {"when": str(trigger)}
    refusal = tree.refusal(StartChild("sick", table_of("FailsToStart", options=options)), home)
    assert "child 'sick' did not start: exit, code 1" in refusal
    assert "the moon is wrong" in refusal
    assert "sick" not in tree.which(home)
    stuck = table_of("NeverStarts", start_timeout=0.1)
    assert "did not start: start_timeout" in tree.refusal(StartChild("stuck", stuck), home)
    assert "sick" not in tree.which(home)
    trigger.unlink()
    assert tree.add("sick", "FailsToStart", home, options=options).status.state == "running"
    # Nothing of it cost anybody a restart; its own lives are numbered on.
    assert tree.count("(?<!sick) is ready: .* start [2-9]") == 0
