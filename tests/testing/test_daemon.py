"""A daemon in a test: started, killed, paused, restarted, configured."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.errors import AskTimeoutError, DaemonNotFoundError
from holdfast.testing import Daemon
from tests.daemon import ForkedDaemon
from tests.testing.agents import Clerk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with ForkedDaemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        yield daemon


def test_every_child_runs_when_a_daemon_is_entered_and_none_when_it_is_left(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path / "new" / "folder", agents={"clerk": Clerk}) as daemon:
        assert daemon.child("clerk").state == "running"
        pids = [daemon.pid(name) for name in ("root", "writer", "clerk")]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(DaemonNotFoundError):
        holdfast.connect(daemon.run_dir)
    assert daemon.database.exists()


def test_a_killed_agent_is_waited_for(daemon: Daemon) -> None:
    daemon.ref("clerk").ask(["take", "o1"])
    pid = daemon.kill("clerk")
    clerk = daemon.wait_until_running("clerk", after=pid)
    assert clerk.restarts == 1
    assert clerk.pid not in (None, pid)
    assert daemon.next_event("clerk:ready", where=lambda event: event.data["taken"] == 1)


def test_the_life_that_was_is_not_taken_for_the_next(daemon: Daemon) -> None:
    pid = daemon.pid("clerk")
    assert daemon.wait_until_running("clerk").pid == pid
    usual, daemon.timeout = daemon.timeout, 0.3
    with pytest.raises(AssertionError, match="did not come"):
        daemon.wait_until_running("clerk", after=pid)
    daemon.timeout = usual  # to stop in


def test_supervisors_and_the_root_are_killed_by_name(daemon: Daemon) -> None:
    pid = daemon.kill("agents")
    assert daemon.wait_until_running("agents", after=pid).restarts == 1
    daemon.kill("root")
    daemon.restart()
    assert daemon.child("clerk").state == "running"


def test_a_paused_agent_answers_nothing_until_the_block_ends(daemon: Daemon) -> None:
    with daemon.paused("clerk") as pid:
        asked = daemon.ref("clerk").ask(["mark", None], block=False)
        with pytest.raises(AskTimeoutError):
            daemon.ref("clerk").ask(["mark", None], timeout=0.2)
        assert daemon.pid("clerk") == pid
    assert asked.get(timeout=daemon.timeout)


def test_a_restarted_daemon_has_its_data(daemon: Daemon) -> None:
    daemon.ref("clerk").ask(["take", "o1"])
    root, hub = daemon.pid("root"), daemon.hub
    daemon.restart()
    assert daemon.pid("root") != root
    assert daemon.hub is not hub
    assert daemon.hub.checkpoints.get("clerk") is not None
    assert daemon.ref("clerk").ask(["take", "o2"])
    assert daemon.next_event("order:taken", session="o2").data == {"n": 2}


def test_what_an_agent_prints_is_in_the_log(daemon: Daemon) -> None:
    daemon.ref("clerk").ask(["say", "x" * 1_000_000], timeout=daemon.timeout)  # more than a pipe's
    daemon.ref("clerk").ask(["say", "it is at once"])
    daemon.until(lambda: re.search(r"STDOUT +clerk\[\d+\] it is at once\n", daemon.log))
    assert daemon.log.count("x") >= 1_000_000


def test_a_name_that_no_child_has_is_told_with_those_that_there_are(daemon: Daemon) -> None:
    with pytest.raises(AssertionError, match=r"no child 'clark' .* clerk"):
        daemon.pid("clark")


def test_a_condition_that_does_not_come_ends_with_the_log(daemon: Daemon) -> None:
    with pytest.raises(AssertionError, match=r"not come within 0.05 s\n") as error:
        daemon.until(lambda: False, timeout=0.05)
    assert "clerk is ready" in str(error.value)


TEXT = f"""
[agents.clerk]
class = "tests.testing.agents:Clerk"
python_path = ["{ROOT}"]
"""


@pytest.mark.parametrize(
    "given",
    [
        {"config": TEXT},
        {"config": {"agents": {"clerk": {"class": Clerk}}}},
        {"config": {"actors": {"log": {"capacity": 50}}}, "agents": {"clerk": Clerk}},
        {"agents": {"clerk": "tests.testing.agents:Clerk"}},
        {"agents": {"clerk": {"class": Clerk, "restart": "temporary", "env": {"A": "b"}}}},
        {"config": TEXT, "agents": {"clerk": {"restart": "transient"}}},
    ],
    ids=["text", "table", "both", "name", "table of an agent", "completed"],
)
def test_agents_are_given_as_a_user_likes(tmp_path: Path, given: dict[str, Any]) -> None:
    with ForkedDaemon(tmp_path, **given) as daemon:
        assert daemon.ref("clerk").ask(["mark", None], timeout=daemon.timeout)


def test_the_config_of_a_product_is_started_in_a_folder_of_the_test(tmp_path: Path) -> None:
    """Its directories are not touched, wherever they are."""
    product = tmp_path / "etc" / "product.toml"
    product.parent.mkdir()
    elsewhere = tmp_path / "elsewhere"
    product.write_text(f'[daemon]\ndata_dir = "{elsewhere}"\nrun_dir = "{elsewhere}"\n{TEXT}')
    with ForkedDaemon(tmp_path / "test", product) as daemon:
        assert daemon.ref("clerk").ask(["take", "o1"], timeout=daemon.timeout)
        assert daemon.database == tmp_path / "test" / "var" / "lib" / "holdfast.db"
    assert daemon.database.exists()
    assert not elsewhere.exists()


def test_more_is_killed_than_a_daemon_would_stand(daemon: Daemon) -> None:
    """The profile: the default intensity is 5 in 30 seconds."""
    for _ in range(8):
        daemon.wait_until_running("clerk", after=daemon.kill("clerk"))
    assert daemon.child("clerk").restarts == 8


def test_a_daemon_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """As PDEATHSIG would not have it."""
    daemon = Daemon(tmp_path)
    thread = threading.Thread(target=daemon.start)
    thread.start()
    thread.join()
    try:
        # Only a tree that is not being stopped does that.
        daemon.wait_until_running("query", after=daemon.kill("query"))
        assert "is stopped" not in daemon.log
    finally:
        daemon.__exit__(None, None, None)
