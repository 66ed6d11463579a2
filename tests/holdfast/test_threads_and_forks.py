"""The synchronous client in programs with several threads, and in programs that fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.actors.hub import Hub
from holdfast.errors import HoldfastError
from tests.actors.test_delivery import numbers
from tests.daemon import CONFIG, TIMEOUT, Daemon

# Forking with threads is what these tests are about; Python 3.12 warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]
PUPPET = f"""
[agents.puppet]
class = "tests.actors.agents:Puppet"
python_path = ["{ROOT}"]
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + PUPPET) as daemon:
        yield daemon


def together(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(0)`` to ``work(count - 1)`` in threads of their own; raise what one raised."""
    raised: list[BaseException] = []

    def run(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), "a thread hangs"
    if raised:
        raise raised[0]


def test_several_threads_share_a_hub_while_its_actors_are_killed(daemon: Daemon) -> None:
    """Each thread gets the answers to its own asks, and its events stay in order."""
    hub = daemon.hub
    puppet = hub.ref("puppet")
    started = threading.Barrier(5, timeout=TIMEOUT)

    def work(n: int) -> None:
        started.wait()
        if n == 4:
            for victim in ("log", "puppet", "writer", "sessions"):
                daemon.kill(victim)
            return
        for k in range(200):
            hub.events.emit(f"thread{n}", k)
            asked = [n, k]
            reply = puppet.ask(["echo", asked], timeout=TIMEOUT, idempotent=True)
            assert reply == asked
            hub.sessions.put(f"s{n}", k, timeout=TIMEOUT)
        hub.flush(timeout=TIMEOUT)

    together(5, work)
    hub.flush(timeout=TIMEOUT)
    for n in range(4):
        assert numbers(daemon, f"thread{n}") == list(range(200))


@pytest.mark.parametrize("holds_the_lock", [False, True])
def test_a_fork_is_refused_by_every_call_and_leaves_its_parent_alone(
    daemon: Daemon, holds_the_lock: bool
) -> None:
    """Also when a thread that the fork does not have held the lock of the connection."""
    hub = daemon.hub
    hub.events.emit("n", 1)
    hub.flush(timeout=TIMEOUT)
    puppet = hub.ref("puppet")
    assert puppet.ask(["echo", 1], timeout=TIMEOUT) == 1
    calls: list[Callable[[], Any]] = [
        lambda: hub.events.emit("n", 2),
        lambda: hub.events.query(),
        lambda: hub.flush(timeout=1.0),
        lambda: hub.sessions.put("s", 1, timeout=1.0),
        lambda: hub.checkpoints.put("a", 1, timeout=1.0),
        lambda: puppet.tell(["echo", 1]),
        lambda: puppet.ask(["echo", 1], timeout=1.0),
        lambda: puppet.stop(),
    ]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with hub._driver._lock:
            held.set()
            done.wait(TIMEOUT)

    holder = threading.Thread(target=hold)
    if holds_the_lock:
        holder.start()
        assert held.wait(TIMEOUT)
    pid = os.fork()
    if pid == 0:
        os._exit(sum(1 << n for n, call in enumerate(calls) if not _is_refused(call)))
    done.set()
    if holds_the_lock:
        holder.join(TIMEOUT)
    not_refused = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert not_refused == 0, f"calls that went through, as bits: {not_refused:b}"
    hub.events.emit("n", 3)
    hub.flush(timeout=TIMEOUT)
    assert numbers(daemon, "n") == [1, 3]


def _is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except HoldfastError as error:
        return "connect again in the child" in str(error)
    except BaseException:
        return False
    return False


def test_a_fork_connects_for_itself(daemon: Daemon) -> None:
    hub: Hub = daemon.hub
    hub.events.emit("n", 1)
    pid = os.fork()
    if pid == 0:
        with holdfast.connect(daemon.run_dir) as own:
            own.events.emit("n", 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    hub.flush(timeout=TIMEOUT)
    assert sorted(str(n) for n in numbers(daemon, "n")) == ["1", "2"]
