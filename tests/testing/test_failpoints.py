"""The failpoints are where their names say, and a daemon without the rig knows nothing of them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import ConfigError, HoldfastError, InvalidInputError
from holdfast.testing.faults import AtPoint, Delay, Exit, Kill, Raise, Stop
from holdfast.testing.faults.failpoints import POINTS
from holdfast.testing.faults.patching import find
from holdfast.testing.faults.plan import ENVIRONMENT
from tests.daemon import ForkedDaemon as Daemon
from tests.testing.agents import Clerk
from tests.testing.working import CONFIG, Work


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The points that the processes of one tree passed, from its start to its stop."""
    folder = tmp_path_factory.mktemp("passed")
    daemon = Daemon(folder, CONFIG, agents={"clerk": Clerk}, faults=[])
    daemon.faults.record_hits("*")
    with daemon:
        work = Work(daemon)
        work.do()
        work.checkpoint()
        work.prune()
        work.expire()
        work.append()
        daemon.ref("clerk").ask(["mark", None], timeout=daemon.timeout)
        daemon.wait_until_running("log", after=daemon.kill("log"))
        work.check()
        daemon.config_file.write_text(
            f'{daemon.config_file.read_text()}\n[storage]\npath = "b.db"\n'
        )
        daemon.hub.supervision.reload(timeout=daemon.timeout)
    return {hit.point for hit in daemon.faults.hits()}


@pytest.mark.parametrize("name", [point.name for point in POINTS])
def test_a_real_tree_passes_each_point(passed: set[str], name: str) -> None:
    assert name in passed


def test_every_point_has_a_name_of_its_own_and_a_function_of_the_daemon() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS)
    for point in POINTS:
        find(point.target)


@pytest.mark.parametrize(
    "target",
    ["holdfast.actors.writer:Gone.f", "holdfast.actors.gone:f", "holdfast.actors.writer:STREAM"],
)
def test_a_point_that_is_not_there_is_named(target: str) -> None:
    with pytest.raises(ConfigError, match=target):
        find(target)


def test_an_ordinary_daemon_loads_nothing_of_the_rig(tmp_path: Path) -> None:
    program = (
        "import sys; from holdfast.supervisors import child, tree; import holdfast.cli.start;"
        "print([name for name in sys.modules if name.startswith('holdfast.testing')])"
    )
    run = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert run.stdout == b"[]\n"
    with Daemon(tmp_path) as daemon, pytest.raises(InvalidInputError, match="faults=\\[\\]"):
        daemon.faults.disarm()


@pytest.mark.parametrize("plan", [None, "{", '{"faults": [{"fault": "at_point"}]}'])
def test_a_plan_that_is_none_is_refused_before_anything_is_started(
    tmp_path: Path, plan: str | None
) -> None:
    path = tmp_path / "faults.json"
    environment = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
    if plan is not None:
        path.write_text(plan)
        environment[ENVIRONMENT] = str(path)
    command = [sys.executable, "-m", "holdfast.testing.faults", "start", "no.toml"]
    run = subprocess.run(command, env=environment, capture_output=True, timeout=30)
    assert run.returncode == 3
    assert (str(path) if plan else ENVIRONMENT) in run.stderr.decode()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, agents={"clerk": Clerk}, faults=[]) as daemon:
        yield daemon


def test_what_is_armed_is_injected_as_often_as_it_says_in_the_whole_tree(daemon: Daemon) -> None:
    """Though each life of the process counts anew; and in no other process."""
    (fault,) = daemon.faults.arm(
        AtPoint(point="child.after_start", process="clerk", action=Kill(), times=3)
    )
    daemon.kill("tracker")
    pid = daemon.kill("clerk")
    daemon.wait_until_running("tracker")
    last = daemon.wait_until_running("clerk", after=pid)
    injected = daemon.faults.injected(fault)
    assert [(line.process, line.kind, line.target) for line in injected] == [
        ("clerk", "kill", "child.after_start")
    ] * 3
    assert len({line.pid for line in injected} | {pid, last.pid}) == 5


def test_occasions_are_counted_from_the_arming_on(daemon: Daemon) -> None:
    clerk = daemon.ref("clerk")
    clerk.ask(["mark", None], timeout=daemon.timeout)
    daemon.faults.arm(AtPoint(point="agent.before_handling", action=Delay(0.0), nth=3))
    for count in (0, 0, 1, 1):
        clerk.ask(["mark", None], timeout=daemon.timeout)
        assert len(daemon.faults.injected()) == count


def test_what_is_disarmed_is_injected_no_more(daemon: Daemon) -> None:
    ids = daemon.faults.arm(
        AtPoint(point="agent.*", process="clerk", action=Delay(0.0), times=0),
        AtPoint(point="agent.*", process="clerk", action=Delay(0.0), times=0),
    )
    daemon.ref("clerk").ask(["mark", None], timeout=daemon.timeout)
    daemon.faults.disarm(ids[0])
    first, second = (len(daemon.faults.injected(one)) for one in ids)
    assert first > 0
    daemon.ref("clerk").ask(["mark", None], timeout=daemon.timeout)
    assert len(daemon.faults.injected(ids[0])) == first
    assert len(daemon.faults.injected(ids[1])) > second
    daemon.faults.disarm()
    assert daemon.faults.arm() == []
    (third,) = daemon.faults.arm(AtPoint(point="no", action=Kill()))
    assert third not in ids


def test_a_process_that_exits_at_a_point_runs_nothing_on_the_way_out(daemon: Daemon) -> None:
    pid = daemon.pid("clerk")
    daemon.faults.arm(AtPoint(point="agent.before_handling", process="clerk", action=Exit(7)))
    daemon.ref("clerk").tell(["refuse", "o1"])
    last = daemon.wait_until_running("clerk", after=pid).last_exit
    assert last is not None
    assert (last.kind, last.code) == ("exit", 7)


def test_a_process_that_stops_at_a_point_stands_there_until_it_is_continued(
    daemon: Daemon,
) -> None:
    pid = daemon.pid("clerk")
    daemon.faults.arm(AtPoint(point="agent.before_handling", process="clerk", action=Stop()))
    asked = daemon.ref("clerk").ask(["mark", None], block=False)
    daemon.until(lambda: daemon.faults.injected())
    daemon.resume("clerk")
    assert asked.get(timeout=daemon.timeout)
    assert daemon.pid("clerk") == pid


def test_an_error_of_the_kernel_is_what_the_daemon_sees(daemon: Daemon) -> None:
    """No file can be opened when the files actor appends: its asker hears of it."""
    daemon.faults.arm(
        AtPoint(point="files.before_appending", process="files", action=Raise(errno.ENOSPC))
    )
    with pytest.raises(HoldfastError, match="No space left on device"):
        daemon.hub.files.append("talk", {"n": 1}, timeout=daemon.timeout)
    assert daemon.hub.files.append("talk", {"n": 1}, timeout=daemon.timeout) == 1
