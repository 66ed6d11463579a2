"""Monitors: one Down for the end of one life, whoever ends it and however; and ``state()``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pykka
import pytest

import holdfast
from holdfast.actors.messages.supervisor import StopTree
from holdfast.actors.monitors import Monitor
from holdfast.actors.ref import RemoteRef
from holdfast.errors import (
    AskTimeoutError,
    DeliveryError,
    HoldfastError,
    InvalidInputError,
    UnknownActorError,
)
from tests.actors.test_agents import AGENT, ROOT, config
from tests.daemon import TIMEOUT, Daemon
from tests.lending import lending

WATCHER = AGENT.format(name="watcher", root=ROOT, more="").replace(
    "agents:Puppet", "watchers:Watcher"
)
# A crash is followed by a pause, in which nobody lives.
PAUSING = """
[supervisors.pausing]
max_restarts = 1000
backoff = 60.0
backoff_max = 60.0
"""
SOON = 0.5  # seconds; far above the milliseconds it takes, far below any timeout


shared, daemon = lending(config("one", "two") + WATCHER, "watcher")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """For a test that ends it."""
    with Daemon(tmp_path, config("one", "two")) as daemon:
        yield daemon


def ask(daemon: Daemon, *message: Any) -> Any:
    return daemon.hub.ref("watcher").ask(list(message), timeout=TIMEOUT)


def took(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


# -- how a life ends -----------------------------------------------------------------------------


def test_a_sigkill_is_told_with_its_signal_and_the_life_it_ended(daemon: Daemon) -> None:
    monitor = daemon.hub.monitor("one")
    assert (monitor.is_alive, monitor.down) == (True, None)
    daemon.kill("one")
    assert took(lambda: monitor.wait(TIMEOUT)) < SOON
    down = monitor.wait()
    assert down is monitor.down
    assert (down.monitor, down.name, down.incarnation) == (monitor.id, "one", monitor.incarnation)
    assert (down.reason.kind, down.reason.code, down.reason.signal) == ("signal", None, 9)
    assert not monitor.is_alive
    with daemon.hub.monitor("one") as next_life:
        assert next_life.incarnation != down.incarnation
        assert next_life.is_alive


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [(["exit", 3], "exit", 1), (["leave", 3], "exit", 3), (["leave", 5], "shutdown", 5)],
)
def test_an_exit_is_told_with_its_code(
    daemon: Daemon, message: list[Any], kind: str, code: int
) -> None:
    monitor = daemon.hub.ref("one").monitor()
    daemon.hub.ref("one").ask(message, block=False)
    reason = monitor.wait(TIMEOUT).reason
    assert (reason.kind, reason.code, reason.signal) == (kind, code, None)


def test_an_ordered_stop_is_told_for_every_actor_before_the_daemon_is_gone(own: Daemon) -> None:
    with holdfast.connect(own.run_dir) as hub:
        monitors = [hub.monitor(name) for name in ("one", "log", "writer", "agents", "state")]
        hub.ask("root", StopTree())
        ends = [monitor.wait(TIMEOUT).reason for monitor in monitors]
        assert {(end.kind, end.code) for end in ends} == {("exit", 0)}


def test_a_stop_of_one_actor_is_an_exit_in_order(daemon: Daemon) -> None:
    monitor = daemon.hub.monitor("one")
    daemon.hub.ref("one").stop(timeout=TIMEOUT)
    reason = monitor.wait(TIMEOUT).reason
    assert (reason.kind, reason.code) == ("exit", 0)


def test_a_starting_life_is_alive_and_its_failure_is_told(tmp_path: Path) -> None:
    more = "start_timeout = 1.0\noptions = { hang_when = 'hang' }"
    with Daemon(tmp_path, config("one", more=more)) as daemon:
        (tmp_path / "hang").touch()
        daemon.kill("one")
        daemon.until(partial(_is_in, daemon.hub.ref("one"), "starting"))
        with daemon.hub.monitor("one") as monitor:
            assert monitor.is_alive
            assert monitor.wait(TIMEOUT).reason.kind == "start_timeout"
        (tmp_path / "hang").unlink()


# -- nobody there --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nobody", "../root", ""])
def test_an_unknown_actor_is_down_at_once(daemon: Daemon, name: str) -> None:
    monitor = daemon.hub.monitor(name)
    down = monitor.wait(0.0)
    assert (down.name, down.incarnation, down.reason.kind) == (name, "", "noproc")


def test_an_actor_that_is_not_alive_now_is_down_at_once(tmp_path: Path) -> None:
    """Both: one that waits to be started again, and one that will not be."""
    paused = AGENT.format(name="one", root=ROOT, more='parent = "pausing"')
    done = config("two", more='restart = "transient"')
    with Daemon(tmp_path, done + PAUSING + paused) as daemon:
        daemon.hub.ref("two").ask(["leave", 0], block=False)
        daemon.kill("one")
        daemon.until(partial(_is_in, daemon.hub.ref("one"), "running"))
        daemon.kill("one")  # the first restart is at once, the second is not
        for name, state in (("one", "backoff"), ("two", "exited")):
            ref = daemon.hub.ref(name)
            daemon.until(partial(_is_in, ref, state))
            assert daemon.hub.monitor(name).wait(0.0).reason.kind == "noproc"


def _is_in(ref: RemoteRef, state: str) -> bool:
    return ref.state().state == state


# -- many, few, cancelled ------------------------------------------------------------------------


def test_a_thousand_monitors_of_one_actor_get_one_down_each(daemon: Daemon) -> None:
    downs: list[Any] = []
    with holdfast.connect(daemon.run_dir) as other:
        monitors = [hub.monitor("one") for hub in (daemon.hub, other) for _ in range(500)]
        daemon.kill("one")
        daemon.wait_for_another("one", 0)
        daemon.kill("one")  # of the next life nobody hears
        downs = [monitor.wait(TIMEOUT) for monitor in monitors]
    assert {down.monitor for down in downs} == {monitor.id for monitor in monitors}
    assert len({down.incarnation for down in downs}) == 1
    assert {down.reason.signal for down in downs} == {9}


@pytest.mark.slow  # thousands of monitors
def test_waiting_monitors_take_no_room_in_the_supervisors_mailbox(daemon: Daemon) -> None:
    """More than the window of one sender: whatever else is asked is answered."""
    monitors = [daemon.hub.monitor("one") for _ in range(3_000)]
    assert daemon.hub.ref("one").state(timeout=TIMEOUT).state == "running"
    for monitor in monitors[1:]:
        monitor.cancel()
    daemon.kill("one")
    assert monitors[0].wait(TIMEOUT).reason.signal == 9
    assert all(monitor.down is None for monitor in monitors[1:])


@pytest.mark.slow  # thousands of monitors
def test_more_monitors_than_a_supervisor_keeps_are_refused(daemon: Daemon) -> None:
    with holdfast.connect(daemon.run_dir) as hub:
        ref = hub.ref("agents")
        for _ in range(20_000):
            ref.ask(["await_end", "one", ""], block=False)
        ref.ask(["get_child", "one"], timeout=TIMEOUT)  # behind them
        with pytest.raises(DeliveryError, match="20000 monitors"):
            daemon.hub.monitor("one")
    # That hub has gone, and with it what it waited for.
    daemon.until(lambda: _is_watched(daemon))


def _is_watched(daemon: Daemon) -> bool:
    try:
        daemon.hub.monitor("one").cancel()
    except DeliveryError:
        return False
    return True


def test_after_cancel_no_down_comes(daemon: Daemon) -> None:
    kept, cancelled = daemon.hub.monitor("one"), daemon.hub.monitor("one")
    with daemon.hub.monitor("one") as left:
        pass
    cancelled.cancel()
    cancelled.cancel()
    daemon.kill("one")
    kept.wait(TIMEOUT)
    for monitor in (cancelled, left):
        assert (monitor.down, monitor.is_alive) == (None, False)
        with pytest.raises(HoldfastError, match="is cancelled"):
            monitor.wait(TIMEOUT)


def test_a_thread_that_waits_is_told_of_the_cancel(daemon: Daemon) -> None:
    monitor = daemon.hub.monitor("one")
    raised: list[Exception] = []

    def wait() -> None:
        try:
            monitor.wait(TIMEOUT)
        except HoldfastError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    monitor.cancel()
    thread.join(TIMEOUT / 2)
    assert [str(error) for error in raised] == ["the monitor of 'one' is cancelled: make another"]


def test_a_wait_ends_on_time_and_the_monitor_watches_on(daemon: Daemon) -> None:
    monitor = daemon.hub.monitor("one")
    with pytest.raises(pykka.Timeout) as late:
        monitor.wait(0.05)
    assert isinstance(late.value, AskTimeoutError)
    assert isinstance(late.value, TimeoutError)
    daemon.kill("one")
    assert monitor.wait(TIMEOUT).reason.signal == 9


def test_a_monitor_harms_neither_side(daemon: Daemon) -> None:
    before = daemon.child("two")
    monitor = daemon.hub.monitor("one")
    daemon.kill("one")
    monitor.wait(TIMEOUT)
    after = daemon.child("two")
    assert (after.pid, after.restarts) == (before.pid, before.restarts)
    ask(daemon, "monitor", "one")
    pid = daemon.kill("watcher")
    daemon.wait_for_another("watcher", pid)
    assert ask(daemon, "seen") == []
    assert daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT) == 1


# -- supervisors ---------------------------------------------------------------------------------


def test_children_of_a_killed_supervisor_are_told_to_be_down(daemon: Daemon) -> None:
    monitors = [daemon.hub.monitor(name) for name in ("one", "two", "watcher")]
    supervisor = daemon.hub.monitor("agents")
    other = daemon.hub.monitor("log")
    daemon.kill("agents")
    for monitor in monitors:
        down = monitor.wait(TIMEOUT)
        assert down.reason.kind in ("supervisor_lost", "noconnection")
        assert down.incarnation == monitor.incarnation
    assert supervisor.wait(TIMEOUT).reason.signal == 9
    assert other.is_alive


def test_a_supervisor_that_is_back_says_that_the_old_lives_are_gone(daemon: Daemon) -> None:
    monitor = daemon.hub.monitor("one")
    daemon.kill("agents")
    assert monitor.wait(TIMEOUT).reason.kind == "supervisor_lost"
    assert daemon.hub.monitor("one").incarnation != monitor.incarnation


def test_the_death_of_the_whole_daemon_is_told(own: Daemon) -> None:
    monitors = [own.hub.monitor(name) for name in ("one", "agents", "root", "log")]
    own.process.kill()
    for monitor in monitors:
        assert monitor.wait(TIMEOUT).reason.kind == "noconnection"
    own.restart()
    assert {monitor.wait().reason.kind for monitor in monitors} == {"noconnection"}
    assert own.hub.monitor("one").is_alive


def test_a_closed_hub_ends_who_waits(daemon: Daemon) -> None:
    with holdfast.connect(daemon.run_dir) as hub:
        monitor = hub.monitor("one")
        thread = threading.Timer(0.1, hub.close)
        thread.start()
        with pytest.raises(AskTimeoutError, match="the hub was closed"):
            monitor.wait()
        thread.join()
        monitor.cancel()
        with pytest.raises(HoldfastError, match="closed"):
            hub.monitor("one")


# -- in agents -----------------------------------------------------------------------------------


def test_an_agent_gets_a_down_as_a_message_for_each_monitor(daemon: Daemon) -> None:
    monitors = [ask(daemon, "monitor", "one") for _ in range(3)]
    ask(daemon, "note", "before")
    daemon.kill("one")
    seen = daemon.until(lambda: seen if len(seen := ask(daemon, "seen")) == 4 else None)
    assert seen[0] == "before"
    assert [down[0] for down in seen[1:]] == monitors
    assert [down[1::2] for down in seen[1:]] == [["one", "signal"]] * 3
    assert [down[4] for down in seen[1:]] == [9] * 3


def test_an_agent_gets_no_down_that_it_cancelled(daemon: Daemon) -> None:
    """Also one that waits in its mailbox already."""
    for _ in range(3):
        ask(daemon, "monitor", "one")
    ask(daemon, "cancel", 0)
    waiting = daemon.hub.ref("watcher").ask(["cancel once it is down", 1], block=False)
    daemon.kill("one")
    assert waiting.get(timeout=TIMEOUT) is True
    seen = daemon.until(lambda: ask(daemon, "seen"))
    assert len(seen) == 1
    assert ask(daemon, "seen") == seen


def test_an_agent_is_told_of_who_is_not_there_and_of_a_lost_supervisor(daemon: Daemon) -> None:
    ask(daemon, "monitor", "nobody")
    (down,) = daemon.until(lambda: ask(daemon, "seen"))
    assert down[1:] == ["nobody", "", "noproc", None]
    ask(daemon, "monitor", "log")
    daemon.kill("state")
    seen = daemon.until(lambda: seen if len(seen := ask(daemon, "seen")) == 2 else None)
    assert seen[1][1] == "log"
    assert seen[1][3] in ("supervisor_lost", "noconnection")


# -- state() -------------------------------------------------------------------------------------


def test_state_says_what_the_supervisor_knows_through_a_backoff(tmp_path: Path) -> None:
    paused = PAUSING + AGENT.format(name="one", root=ROOT, more='parent = "pausing"')
    with Daemon(tmp_path, config() + paused) as daemon:
        ref = daemon.hub.ref("one")
        first = ref.state()
        assert (first.id, first.state, first.restarts, first.last_exit) == (
            "one",
            "running",
            0,
            None,
        )
        assert first.pid == ref.ask(["pid", None], timeout=TIMEOUT)
        daemon.kill("one")
        second = daemon.until(lambda: state if (state := ref.state()).restarts == 1 else None)
        assert second.incarnation == 2
        daemon.until(lambda: ref.state().state == "running")
        daemon.kill("one")
        paused_state = daemon.until(lambda: s if (s := ref.state()).state == "backoff" else None)
        assert (paused_state.pid, paused_state.restarts) == (None, 2)
        assert paused_state.last_exit is not None
        assert (paused_state.last_exit.kind, paused_state.last_exit.signal) == ("signal", 9)


def test_state_of_every_process_of_the_tree(daemon: Daemon) -> None:
    for name in ("root", "state", "agents", "writer", "log", "one"):
        state = daemon.hub.ref(name).state()
        assert (state.id, state.state) == (name, "running")
        assert state.pid == daemon.pid(name)
    assert ask(daemon, "state", "one") == "running"


def test_state_of_nobody_is_refused_by_name(daemon: Daemon) -> None:
    with pytest.raises(UnknownActorError, match="'nobody'"):
        daemon.hub.ref("nobody").state()


def test_only_the_root_knows_where_everybody_is(daemon: Daemon) -> None:
    with pytest.raises(InvalidInputError, match="for the root"):
        daemon.hub.ref("agents").ask(["locate", "one"], timeout=TIMEOUT)


def test_monitors_are_the_same_wherever_they_are_made(daemon: Daemon) -> None:
    assert isinstance(daemon.hub.monitor("one"), Monitor)
    assert isinstance(daemon.hub.ref("one").monitor(), Monitor)
