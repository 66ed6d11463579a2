"""Compare-and-set between processes, and commands that are repeated, while the writer is killed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import holdfast
from tests import forkserver
from tests.commandline import environment
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT

KILLS = 3


def race(daemon: Daemon, processes: int, turns: int, kills: int) -> None:
    daemon.hub.state.define_type("race", history=True)
    daemon.hub.state.create("race", id="race")
    racers = [
        forkserver.Popen[str](
            ["tests.actors.state_racer", str(daemon.run_dir), str(n), str(turns)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    total = processes * turns
    for number in range(1, kills + 1):
        reached = total * number // (kills + 1)
        daemon.until(lambda reached=reached: daemon.hub.state.get("race").version > reached)  # type: ignore[misc,union-attr]  # it is there
        daemon.kill("writer")
    told = [racer.communicate(timeout=TIMEOUT)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * processes
    winners: dict[int, tuple[str, int]] = {}
    for name, text in enumerate(told):
        for line in text.splitlines():
            version, turn = map(int, line.split())
            assert version not in winners, "two processes made the same version"
            winners[version] = (str(name), turn)
    assert sorted(winners) == list(range(2, total + 2))
    for one in daemon.hub.state.history("race", limit=total + 1):
        if one.version > 1:
            assert one.properties is not None
            assert (one.properties["by"], one.properties["turn"]) == winners[one.version]


def test_one_process_wins_each_version_while_the_writer_is_killed(tmp_path: Path) -> None:
    """Scenario D6."""
    with Daemon(tmp_path) as daemon:
        race(daemon, processes=3, turns=25, kills=KILLS)


@pytest.mark.slow  # eight processes on few cores
@pytest.mark.parametrize("processes", [2, 8])
def test_one_process_wins_each_version_at_length(tmp_path: Path, processes: int) -> None:
    """Scenario D6."""
    with Daemon(tmp_path) as daemon:
        race(daemon, processes=processes, turns=200, kills=10)


# Twenty restarts in a row would each wait longer than the one before.

COUNT = 60


def while_the_writer_is_killed(
    daemon: Daemon, hub: holdfast.Hub, call: Callable[[int], Any]
) -> list[Any]:
    """What ``call`` gave for each number; the writer dies in between, unannounced."""
    milestones: SimpleQueue[int] = SimpleQueue()

    def call_all() -> list[Any]:
        given = []
        for number in range(COUNT):
            if number % (COUNT // KILLS) == 5:
                milestones.put(number)
            given.append(call(number))
        return given

    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(call_all)
        for _ in range(KILLS):
            milestones.get(timeout=TIMEOUT)
            daemon.kill("writer")
        return answers.result(TIMEOUT)


def test_a_repeated_command_gets_its_first_answer(tmp_path: Path) -> None:
    """Scenario D5: a create is no conflict with itself, a pop takes nothing twice."""
    with Daemon(tmp_path, CONFIG) as daemon, holdfast.connect(daemon.run_dir) as hub:
        state = hub.state
        made = while_the_writer_is_killed(
            daemon, hub, lambda n: state.create("job", {"n": n}, id=f"j{n}", timeout=TIMEOUT)
        )
        assert [entity.version for entity in made] == [1] * COUNT

        def compare_and_set(number: int) -> int:
            return state.update(
                "j0", {"n": number}, expected_version=number + 1, timeout=TIMEOUT
            ).version

        versions = while_the_writer_is_killed(daemon, hub, compare_and_set)
        assert versions == list(range(2, COUNT + 2))

        sizes = while_the_writer_is_killed(
            daemon, hub, lambda n: state.push("j0", "in", n, timeout=TIMEOUT).size
        )
        assert sizes == list(range(1, COUNT + 1))
        popped = while_the_writer_is_killed(
            daemon, hub, lambda _: state.pop("j0", "in", timeout=TIMEOUT)
        )
        assert popped == [[n] for n in range(COUNT)]
        counts = while_the_writer_is_killed(
            daemon,
            hub,
            lambda _: state.update("j1", increment={"n": 1}, timeout=TIMEOUT).properties["n"],
        )
        assert counts == list(range(2, COUNT + 2))
