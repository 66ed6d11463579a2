"""The kit fails loudly: nothing that goes wrong with the daemon leaves a test green."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from holdfast.testing import TIMEOUT, Daemon, DaemonEndedError, daemon_process
from holdfast.testing.daemon_process import MARK
from tests.daemon import ForkedDaemon
from tests.testing.agents import Clerk

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def sockets_of_killed_roots(tmp_path: Path) -> Iterator[None]:
    """The next root would replace them; here there is none."""
    yield
    shutil.rmtree(tmp_path / "var" / "run", ignore_errors=True)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is left; no need to wait for it to go."""
    monkeypatch.setattr(daemon_process, "GONE_WITHIN", 0.5)


def kill_unseen(pid: int) -> None:
    """SIGKILL a process, and wait, without the kit knowing."""
    watch = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([watch], [], [], TIMEOUT)[0]
    os.close(watch)


def test_a_daemon_that_died_during_the_test_fails_it(tmp_path: Path) -> None:
    with (
        pytest.raises(DaemonEndedError, match="ended during the test: killed by SIGKILL") as error,
        ForkedDaemon(tmp_path) as daemon,
    ):
        kill_unseen(daemon.process.pid)
    assert error.value.code == -signal.SIGKILL
    assert "state is ready" in str(error.value)


WAITS: dict[str, Callable[[Daemon], object]] = {
    "next_event": lambda daemon: daemon.next_event("never"),
    "watching": lambda daemon: daemon.watching("never").next(),
    "tree": Daemon.tree,
    "until": lambda daemon: daemon.until(lambda: False),
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_when_the_daemon_does(tmp_path: Path, wait: str) -> None:
    with ForkedDaemon(tmp_path) as daemon:
        began = time.monotonic()
        kill_unseen(daemon.process.pid)
        with pytest.raises(DaemonEndedError, match="ended during the test: killed by SIGKILL"):
            WAITS[wait](daemon)
        assert time.monotonic() - began < TIMEOUT / 2
    # The test has seen it: leaving the block says nothing more.


@pytest.mark.parametrize("wait", ["next_event", "watching", "tree"])
def test_a_daemon_that_the_test_has_ended_is_not_asked(tmp_path: Path, wait: str) -> None:
    with ForkedDaemon(tmp_path) as daemon:
        daemon.kill("root")
        began = time.monotonic()
        with pytest.raises(DaemonEndedError, match="the daemon has ended: killed by SIGKILL"):
            WAITS[wait](daemon)
        assert time.monotonic() - began < TIMEOUT / 2


def test_an_ask_under_way_is_told_that_the_daemon_ended(tmp_path: Path) -> None:
    with ForkedDaemon(tmp_path) as daemon:
        daemon.tree()  # connected
        os.kill(daemon.process.pid, signal.SIGSTOP)
        killer = threading.Timer(0.2, kill_unseen, [daemon.process.pid])
        killer.start()
        with pytest.raises(DaemonEndedError):
            daemon.tree()
        killer.join()


def test_a_daemon_that_gives_up_fails_the_test(tmp_path: Path) -> None:
    """The config's own intensity wins over the profile's."""
    few = {"supervisors": {name: {"max_restarts": 0} for name in ("root", "agents")}}
    with ForkedDaemon(tmp_path, few, agents={"clerk": Clerk}) as daemon:
        daemon.ref("clerk").tell(["fail", "no more of this"])
        with pytest.raises(DaemonEndedError) as error:
            daemon.next_event("never")
    assert error.value.code == 5
    assert "RuntimeError: no more of this" in error.value.log


def test_a_daemon_that_does_not_start_says_why(tmp_path: Path) -> None:
    daemon = ForkedDaemon(tmp_path, {"actors": {"log": {"capacity": -1}}})
    with pytest.raises(DaemonEndedError, match=r"did not start: exit code 3\n") as error:
        daemon.__enter__()
    assert "[actors.log] capacity = -1: expected a whole number >= 1" in str(error.value)
    assert error.value.code == 3


def test_a_text_that_is_not_toml_is_the_daemons_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(DaemonEndedError, match=r"test.toml: line 2: not TOML"):
        ForkedDaemon(tmp_path, "[daemon]\nname = \n").__enter__()


@pytest.mark.usefixtures("impatience")
def test_a_process_that_is_left_behind_fails_the_test_and_is_killed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, agents={"clerk": Clerk})
    with daemon:
        # As what an agent started, and no supervisor found.
        mark = daemon.ref("clerk").ask(["mark", None])
        stray = subprocess.Popen(["sleep", "1000"], env={MARK: mark}, start_new_session=True)
        with pytest.raises(DaemonEndedError, match=rf"left behind.*sleep\[{stray.pid}\]"):
            daemon.__exit__(None, None, None)
    assert stray.wait(TIMEOUT) == -signal.SIGKILL


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("environment", [None, {}], ids=["inherited", "of its own"])
def test_nothing_that_an_agent_started_outlives_the_block(
    tmp_path: Path, environment: dict[str, str] | None
) -> None:
    """Whoever ends it: the daemon, or the kit, which then says so."""
    with suppress(DaemonEndedError), Daemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        helper = os.pidfd_open(daemon.ref("clerk").ask(["start_helper", environment]))
        daemon.kill("root")
    assert select.select([helper], [], [], TIMEOUT)[0]
    os.close(helper)


def test_a_daemon_that_does_not_stop_in_order_fails_the_test(tmp_path: Path) -> None:
    def leave_a_stopped_one() -> None:
        with ForkedDaemon(tmp_path) as daemon:
            daemon.timeout = 0.2
            os.kill(daemon.process.pid, signal.SIGSTOP)

    with pytest.raises(DaemonEndedError, match=r"did not stop within 0.2 s"):
        leave_a_stopped_one()


def test_an_exception_of_the_test_is_not_hidden_by_what_is_wrong_with_the_daemon(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="mine") as error, ForkedDaemon(tmp_path) as daemon:  # noqa: PT012 - as above
        kill_unseen(daemon.process.pid)
        raise ValueError("mine")
    (note,) = error.value.__notes__
    assert note.startswith("the daemon ended during the test: killed by SIGKILL\nthe daemon's log:")


@pytest.mark.slow  # daemons of its own
def test_an_end_that_the_test_asks_for_is_no_failure(tmp_path: Path) -> None:
    with ForkedDaemon(tmp_path) as daemon:
        assert daemon.stop() == 0
    with ForkedDaemon(tmp_path) as daemon:
        daemon.kill("root")
    with ForkedDaemon(tmp_path) as daemon:
        daemon.hub.ref("root")
        daemon.process.terminate()
        assert daemon.process.wait(TIMEOUT) == 0


@pytest.mark.slow  # daemons of its own
def test_a_pause_that_the_test_forgot_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with ForkedDaemon(tmp_path, agents={"clerk": Clerk}) as daemon:
        pause = daemon.paused("clerk")
        pause.__enter__()
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 4.0  # [agents.clerk] shutdown = 5.0
    assert "did not stop in order" not in daemon.log


PROGRAM = """
import sys
from holdfast.testing import Daemon

with Daemon(sys.argv[1]) as daemon:
    print(daemon.pid("root"), daemon.pid("writer"), flush=True)
    sys.stdin.read()
"""


def test_a_daemon_ends_with_the_process_of_its_test(tmp_path: Path) -> None:
    """In order, also when that is killed and can say nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as test:
        assert test.stdout is not None
        pids = [int(pid) for pid in test.stdout.readline().split()]
        watches = [os.pidfd_open(pid) for pid in pids]
        test.kill()
    for watch in watches:
        assert select.select([watch], [], [], TIMEOUT)[0], "it lives on"
        os.close(watch)
    assert "state is stopped" in (tmp_path / "daemon.log").read_text()
