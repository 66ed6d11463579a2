"""What a child may take of the machine, and what is known when it wants more."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.actors.messages.supervisor import LastExit
from holdfast.errors import ConfigError
from holdfast.supervisors.limits import apply_limits
from holdfast.supervisors.settings import QuerySettings
from holdfast.supervisors.spec import ChildSpec
from tests import forkserver
from tests.daemon import CONFIG, Daemon
from tests.supervisors.conftest import Grow
from tests.supervisors.specs import agent, tell
from tests.supervisors.trees import PROJECT, SmallTree, child, start_time

ENOUGH = 512 << 20  # bytes of address space: below what Takes wants, above what it needs


def greedy(**options: object) -> ChildSpec:
    return agent("a", "agents_with_limits:Takes", limits={"memory_max": ENOUGH}, **options)


def last_exit(tree: SmallTree, name: str) -> LastExit:
    found = tree.which()[name].last_exit
    assert found is not None
    return found


@pytest.mark.parametrize("way", ["slowly", "at once", "in a frame", "and say another thing"])
def test_memory_is_the_cause_of_a_death_that_it_was(grow: Grow, way: str) -> None:
    tree = grow(greedy(), child("b")).ready()
    sibling = tree.pids()["b"]
    began = start_time(sibling)
    tell(tree, way, "a")
    tree.expect("^a is dead: pid [0-9]+, memory, code 1")
    tree.expect("^a is ready")
    exit_ = last_exit(tree, "a")
    assert (exit_.kind, exit_.code, exit_.signal) == ("memory", 1, None)
    assert (tree.pids()["b"], start_time(sibling)) == (sibling, began)
    assert tree.ask("hello", "a") == "hello"
    assert any("MemoryError" in line for line in tree.log)
    assert tree.end() == 0


def test_memory_that_runs_out_in_a_start_is_the_cause_too(grow: Grow, tmp_path: Path) -> None:
    trigger = tmp_path / "trigger"
    tree = grow(greedy(when=str(trigger)), backoff=0.01).ready()
    trigger.touch()
    tree.kill("a")
    tree.expect("^a did not start: memory, code 1")
    tree.expect("^MemoryError")
    trigger.unlink()
    tree.expect("^a is ready")
    assert tree.end() == 0


def test_another_failure_of_a_limited_child_has_another_cause(grow: Grow) -> None:
    tree = grow(greedy()).ready()
    tell(tree, "something else", "a")
    tree.expect("^a is ready")
    assert last_exit(tree, "a").kind == "exit"
    assert tree.end() == 0


def test_an_ask_that_wants_too_much_fails_and_its_actor_lives(grow: Grow) -> None:
    tree = grow(greedy()).ready()
    with pytest.raises(AssertionError):
        tree.ask("at once", "a")
    assert tree.ask("hello", "a") == "hello"
    assert tree.which()["a"].restarts == 0
    assert tree.end() == 0


def test_limits_are_the_childs_own_and_come_again(grow: Grow) -> None:
    limits = {"memory_max": ENOUGH, "nofile": 77, "nice": 3}
    tree = grow(agent("a", "agents_for_tests:Idle", limits=limits), child("b")).ready()
    for _ in range(2):
        pids = tree.pids()
        a, b = pids["a"], pids["b"]
        assert limit(a, "Max open files") == ["77", "77"]
        assert limit(a, "Max address space") == [str(ENOUGH)] * 2
        assert limit(b, "Max address space") == ["unlimited"] * 2
        assert limit(b, "Max open files") == limit(tree.process.pid, "Max open files")
        assert os.getpriority(os.PRIO_PROCESS, a) == os.getpriority(os.PRIO_PROCESS, b) + 3
        tree.kill("a")
        tree.expect("^a is dead")
        tree.expect("^a is ready")
    assert tree.end() == 0


def test_a_limit_above_what_the_process_has_is_refused_with_both_numbers(grow: Grow) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tree = grow(agent("a", "agents_for_tests:Idle", limits={"nofile": hard + 1}))
    assert tree.outcome() == 1
    text = "\n".join(tree.log)
    assert "ConfigError: child 'a' ([agents.a] in test.toml) did not start" in text
    assert f"nofile = {hard + 1}: expected at most {hard}, the limit that it starts with" in text


def test_a_memory_limit_that_a_process_has_passed_already_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^memory_max = 1000: expected bytes .* > \d+"):
        apply_limits(QuerySettings(memory_max=1_000))


def test_the_state_of_a_daemon_works_within_limits(tmp_path: Path) -> None:
    limits = f"memory_max = {ENOUGH}\nnofile = 64\nnice = 1\n"
    config = "".join(
        f"[actors.{name}]\n{limits}" for name in ("writer", "query", "log", "sessions")
    )
    agents = f"""
[agents.a]
class = "tests.supervisors.agents_with_limits:EmitsAndTakes"
python_path = ["{PROJECT}"]
{limits}
"""
    with Daemon(tmp_path, CONFIG + config + agents) as daemon:
        for number in range(1_000):
            daemon.hub.events.emit("some:thing", {"number": number})
        daemon.hub.flush()
        pid = daemon.pid("a")
        daemon.hub.ref("a").tell("farewell")
        again = daemon.wait_for_another("a", pid)
        assert again.last_exit is not None
        assert again.last_exit.kind == "memory"
        # What an agent emitted is committed before an exception ends it, this one too.
        assert {"said": "farewell"} in [
            event.data for event in daemon.hub.events.query(types="last:words")
        ]
        assert daemon.stop() == 0


def limit(pid: int, name: str) -> list[str]:
    """The soft and the hard limit of a process."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(name):
            return line.removeprefix(name).split()[:2]
    raise AssertionError(name)


@pytest.mark.slow
def test_a_supervisor_has_room_for_many_children_and_they_keep_the_limit_of_the_daemon(
    grow: Grow, few_descriptors: int
) -> None:
    names = [f"c{number}" for number in range(few_descriptors // 4)]
    tree = grow(*map(child, names), start="parallel", max_restarts=100).ready()
    assert soft_nofile(tree, "c0") == few_descriptors
    tree.kill("zygote:root")
    tree.until(
        lambda: (
            all(status.incarnation == 2 for status in tree.which().values())
            and all(status.state == "running" for status in tree.which().values())
        )
    )
    assert soft_nofile(tree, "c0") == few_descriptors
    assert soft_nofile(tree, "root") > few_descriptors
    assert tree.end() == 0


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """What the daemon starts with, less than its root needs."""
    before = forkserver.soft_nofile.set(128)
    yield 128
    forkserver.soft_nofile.reset(before)


def soft_nofile(tree: SmallTree, name: str) -> int:
    lines = Path(f"/proc/{tree.pids()[name]}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Max open files")]
    return int(line.split()[3])
