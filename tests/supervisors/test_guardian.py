"""What a killed root leaves: nothing, programs of agents included, whatever state it was in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from holdfast.supervisors.guardian import end_life
from holdfast.supervisors.lives import LIFE, new_life
from tests.supervisors.agents_with_programs import WAYS
from tests.supervisors.conftest import Grow
from tests.supervisors.specs import agent, kill, starts
from tests.supervisors.trees import TIMEOUT, SmallTree, child, nested, wait_for_end


def kill_root(tree: SmallTree, *programs: int) -> None:
    """SIGKILL the root, and see that all of it goes, these programs too."""
    watches = tree.watch(*tree.pids().values(), *programs)
    tree.process.kill()
    deadline = time.monotonic() + TIMEOUT
    left = [
        watch for watch in watches if not wait_for_end(watch, max(0.0, deadline - time.monotonic()))
    ]
    assert left == []
    assert tree.outcome() == -signal.SIGKILL


def programs_of(tree: SmallTree, *names: str) -> list[int]:
    return [pid for name in names for pid in tree.ask("pids", name).values()]


def test_programs_do_not_survive_a_killed_root_and_the_next_one_starts(grow: Grow) -> None:
    # Scenario 25: idle, with grandchildren
    tree = grow(starts("a", *WAYS), nested("below", starts("b", *WAYS))).ready()
    for _ in range(2):
        kill_root(tree, *programs_of(tree, "a", "b"))
        tree.respawn().ready()
    assert tree.end() == 0


def test_nor_do_they_when_their_agent_is_stopped(grow: Grow) -> None:
    # Scenario 25: a child under SIGSTOP, with grandchildren
    tree = grow(starts("a", *WAYS), nested("below", starts("b", *WAYS))).ready()
    programs = programs_of(tree, "a", "b")
    for name in ("a", "b", "zygote:below"):
        kill(tree, name, signal.SIGSTOP)
    kill_root(tree, *programs)
    tree.respawn().ready()
    assert tree.end() == 0


def test_nor_when_their_agent_is_starting(grow: Grow, tmp_path: Path) -> None:
    # Scenario 25: a child that starts, with grandchildren
    said = tmp_path / "said"
    slow = agent("slow", "agents_with_programs:StartsSlowly", ways=list(WAYS), said=str(said))
    tree = grow(child("a"), nested("below", slow))
    tree.expect("^a is ready")
    tree.until(said.exists)
    kill_root(tree, *map(int, said.read_text().split()))
    tree.respawn().expect("^a is ready")


def test_a_root_killed_between_fork_and_prctl_leaves_nothing(
    grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Scenario 25: killed in the gap, of the first zygote, of a child, of a nested zygote, of a
    # child below
    monkeypatch.setenv("SLOW_FORK", "0.3")
    tree = grow(nested("below", child("b")))
    for count in (1, 2, 3, 4):
        for _ in range(count):
            forked = int(tree.expect(r"^forked (\d+)")[1])
        kill_root(tree, forked)
        if count == 4:
            monkeypatch.delenv("SLOW_FORK")
        tree.respawn()
    tree.ready()
    assert tree.end() == 0


def test_a_guardian_that_was_killed_is_replaced_and_does_its_work(grow: Grow) -> None:
    tree = grow(starts("a", *WAYS)).ready()
    for _ in range(2):
        pid = tree.kill("guardian")
        tree.until(lambda: tree.pids().get("guardian", pid) != pid)  # noqa: B023
    kill_root(tree, *programs_of(tree, "a"))
    tree.respawn().ready()


def test_a_guardian_knows_the_session_of_the_next_zygote(grow: Grow) -> None:
    tree = grow(starts("a", "without_environment")).ready()
    tree.kill("zygote:root")
    tree.expect("^a is ready")
    kill_root(tree, *programs_of(tree, "a"))
    tree.respawn().ready()


def test_a_guardian_is_none_of_those_who_can_be_told_to_go(grow: Grow) -> None:
    tree = grow(child("a")).ready()
    pid = tree.pids()["guardian"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    assert os.getsid(pid) == pid
    opened = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    pipe, null = sorted(opened, reverse=True)
    assert (pipe.partition(":")[0], null) == ("pipe", "/dev/null")
    assert tree.end() == 0


def test_a_guardian_takes_little_memory(grow: Grow) -> None:
    tree = grow(child("a")).ready()
    rollup = Path(f"/proc/{tree.pids()['guardian']}/smaps_rollup").read_text()
    private = [line.split()[1] for line in rollup.splitlines() if line.startswith("Private_Dirty")]
    assert int(private[0]) < 8192, rollup  # KiB; 4 MiB measured, which the root has copied since
    assert tree.end() == 0


def test_only_what_is_of_the_life_or_of_the_session_is_killed() -> None:
    life, other = new_life(), new_life()

    def sleeping(mark: str, **how: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1000"], env={LIFE: mark}, **how)  # type: ignore[call-overload, no-any-return]  # mypy wants each keyword by name

    ours = [sleeping(life), sleeping(f"{life}/a.1"), sleeping(other, start_new_session=True)]
    others = [sleeping(other), sleeping(f"{life}0"), sleeping("")]
    end_life(life, ours[-1].pid)
    assert [process.wait(TIMEOUT) for process in ours] == [-signal.SIGKILL] * 3
    assert [process.poll() for process in others] == [None] * 3
    for process in others:
        process.kill()
        process.wait()
