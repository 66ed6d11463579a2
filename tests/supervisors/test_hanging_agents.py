"""Agents that hang although a second thread of theirs lives, and agents whose work is long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from holdfast.actors.messages.query import DeadLettersAre, ListDeadLetters
from holdfast.actors.messages.supervisor import ChildStatus
from holdfast.errors import ActorDied, AskTimeoutError
from tests.actors.test_agents import AGENT, ROOT, ask
from tests.daemon import CONFIG, TIMEOUT, Daemon

T = TypeVar("T")

# The profile of the scenarios, for the agents: they are the last table of CONFIG.
PROFILE = """
heartbeat_interval = 0.2
heartbeat_timeout = 1.0
"""
LONG = 2.5  # seconds, well beyond heartbeat_timeout
IMPATIENT = "handler_timeout = 0.5"

Start = Callable[..., AbstractContextManager[Daemon]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a daemon with the agents ``one`` and ``two``."""

    def start_one(more: str = "") -> Daemon:
        one = AGENT.format(name="one", root=ROOT, more=more)
        two = AGENT.format(name="two", root=ROOT, more="")
        return Daemon(tmp_path, CONFIG + PROFILE + one + two)

    return start_one


@pytest.fixture
def daemon(start: Start) -> Iterator[Daemon]:
    with start() as daemon:
        yield daemon


def hung(daemon: Daemon) -> ChildStatus:
    """Wait until the agent ``one`` has been replaced."""

    def is_back() -> ChildStatus | None:
        child = daemon.child("one")
        return child if child.incarnation > 1 and child.state == "running" else None

    return daemon.until(is_back)


def hangs(daemon: Daemon) -> list[dict[str, Any]]:
    """What events tell of children that hung, until ``one`` was replaced."""

    def events(kind: str) -> list[dict[str, Any]]:
        found: list[Any] = [e.data for e in daemon.hub.events.query(types=f"supervisor:{kind}")]
        return [data for data in found if data["child"] == "one"]

    # A supervisor's reports come in order.
    daemon.until(lambda: [data for data in events("progress") if data["incarnation"] > 1])
    return events("child_hung")


def test_a_stopped_agent_is_found_to_hang_and_its_asks_end(daemon: Daemon) -> None:
    # Scenario 16
    one = daemon.hub.ref("one")
    under_way = one.ask(["wait", 60.0], block=False)
    daemon.until(lambda: daemon.child("one").busy > 0)
    began = time.monotonic()
    os.kill(daemon.pid("one"), signal.SIGSTOP)
    with pytest.raises(AskTimeoutError):
        one.ask(["echo", 1], timeout=0.5)
    assert time.monotonic() - began > 0.4  # and it has not been found to hang yet
    with pytest.raises(ActorDied) as died:
        under_way.get(timeout=TIMEOUT)
    assert time.monotonic() - began < 9.0  # without the profile it would be 10 s and more
    assert died.value.started
    last_exit = hung(daemon).last_exit
    assert last_exit is not None
    assert (last_exit.kind, last_exit.signal) == ("hang", 9)
    (data,) = hangs(daemon)
    assert (data["child"], data["reason"], data["stopped"]) == ("one", "heartbeat", True)
    assert daemon.child("two").restarts == 0


def test_a_handler_that_hangs_is_found_although_the_heart_beats(
    start: Start, tmp_path: Path
) -> None:
    # Scenario 17
    with start(IMPATIENT) as daemon:
        daemon.hub.ref("one").tell(["hang_once", str(tmp_path / "hangs")])
        assert hung(daemon).restarts == 1
        (data,) = hangs(daemon)
        assert (data["child"], data["reason"], data["message"]) == ("one", "handler", "list")
        assert data["seconds"] >= 0.5
        assert "in do_hang_once" in data["stack"]
        said = daemon.log.read_text()
        assert 0 < said.index("one hangs: list in hand for ") < said.index("one is dead: pid")
        assert ask(daemon, "one", "echo", 1) == 1


def test_a_message_that_hangs_twice_is_poison(start: Start) -> None:
    # Scenarios 17 and 30
    with start(IMPATIENT) as daemon:
        daemon.hub.ref("one").tell(["wait", 60.0])
        daemon.hub.flush(timeout=TIMEOUT)
        reply = daemon.hub.ask("query", ListDeadLetters(), timeout=TIMEOUT)
        (letter,) = msgspec.convert(reply, DeadLettersAre).letters
        assert letter.reason == "poison: hang, signal 9"
        assert ask(daemon, "one", "echo", "lives") == "lives"


def test_a_long_handler_of_an_agent_is_not_killed(daemon: Daemon) -> None:
    # Scenario 18
    assert ask(daemon, "one", "wait", 5.0) == "waited 5.0"
    assert daemon.child("one").restarts == 0


def test_who_holds_the_interpreter_for_less_than_the_timeout_is_not_killed(daemon: Daemon) -> None:
    # Scenario 18
    for _ in range(5):
        assert ask(daemon, "one", "hold_the_interpreter", 0.4) is True
    assert ask(daemon, "two", "wait", LONG)
    assert daemon.child("one").restarts == 0


def test_who_holds_the_interpreter_for_longer_is_killed_and_its_stack_known(
    daemon: Daemon,
) -> None:
    daemon.hub.ref("one").ask(["hold_the_interpreter", 60.0], block=False)
    last_exit = hung(daemon).last_exit
    assert last_exit is not None
    assert last_exit.kind == "hang"
    (data,) = hangs(daemon)
    assert data["reason"] == "heartbeat"
    assert "in do_hold_the_interpreter" in data["stack"]


def test_an_agent_that_has_closed_its_hub_is_not_taken_for_dead(daemon: Daemon) -> None:
    assert ask(daemon, "one", "close_the_hub", None) is None
    assert ask(daemon, "two", "wait", LONG)
    assert daemon.child("one").restarts == 0
    os.kill(daemon.pid("one"), signal.SIGSTOP)
    assert hung(daemon).restarts == 1


def test_an_agent_may_take_its_time_to_send_what_is_left(start: Start, tmp_path: Path) -> None:
    """The hub that it closes last waits for whoever does not answer; that is no hang."""
    with start(IMPATIENT) as daemon:
        daemon.hub.ref("two").tell(["wait", LONG])
        daemon.hub.ref("one").tell(["tell_by_hub_and_raise_once", ["two", str(tmp_path / "once")]])
        hung(daemon)
        assert hangs(daemon) == []
        assert ask(daemon, "two", "recall", None) == [["told", False]]
