"""Agents and references to them, each agent in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pykka
import pytest

import holdfast
from holdfast.errors import ActorDied, AskTimeoutError, RemoteError
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.lending import lending

ROOT = Path(__file__).resolve().parents[2]
AGENT = """
[agents.{name}]
class = "tests.actors.agents:Puppet"
python_path = ["{root}"]
{more}
"""


def config(*names: str, more: str = "") -> str:
    return CONFIG + "".join(AGENT.format(name=name, root=ROOT, more=more) for name in names)


shared, daemon = lending(config("one", "two"), "one", "two")


def ask(daemon: Daemon, name: str, *message: Any, timeout: float = TIMEOUT) -> Any:
    return daemon.hub.ref(name).ask(list(message), timeout=timeout)


def test_an_ask_is_answered_with_plain_values(daemon: Daemon) -> None:
    value = {"a": [1, 2.5, None, "ü", True]}
    assert ask(daemon, "one", "echo", value) == value


def test_an_agent_asks_another_by_name(daemon: Daemon) -> None:
    assert ask(daemon, "one", "ask", ["two", ["echo", 7], TIMEOUT]) == 7


def test_what_a_handler_tells_arrives_while_it_works_on(daemon: Daemon, tmp_path: Path) -> None:
    """Handlers take minutes: neither the first of several tells nor the last waits for the end."""
    paths = [str(tmp_path / f"told{n}") for n in range(5)]
    assert ask(daemon, "one", "tell_and_work", ["two", paths]) is True


def test_an_answer_does_not_wait_for_the_handler_behind_it(daemon: Daemon, tmp_path: Path) -> None:
    one = daemon.hub.ref("one")
    first = one.ask(["wait", 0.5], block=False)  # so long the others gather behind it
    answer = one.ask(["echo", "mine"], block=False)
    one.tell(["hang_once", str(tmp_path / "hangs")])
    assert answer.get(timeout=10.0) == "mine"
    assert first.get(timeout=10.0) == "waited 0.5"
    daemon.until((tmp_path / "hangs").exists)
    daemon.kill("one")


def test_two_agents_that_ask_each_other_time_out_instead_of_hanging(daemon: Daemon) -> None:
    to_one = ["ask", ["one", ["echo", 1], 0.2]]
    assert ask(daemon, "one", "ask", ["two", to_one, TIMEOUT]) == "AskTimeout"
    assert ask(daemon, "one", "echo", "lives") == "lives"


def test_an_exception_in_an_ask_returns_to_the_caller_and_the_agent_lives(daemon: Daemon) -> None:
    pid = ask(daemon, "one", "pid", None)
    with pytest.raises(RemoteError, match="ValueError: no good") as error:
        ask(daemon, "one", "raise", "no good")
    assert (error.value.actor, error.value.type) == ("one", "ValueError")
    assert ask(daemon, "one", "pid", None) == pid


def test_an_exception_in_a_tell_ends_the_agent_and_its_supervisor_restarts_it(
    daemon: Daemon, tmp_path: Path
) -> None:
    ref = daemon.hub.ref("one")
    before = daemon.child("one").restarts
    pid = ask(daemon, "one", "pid", None)
    ref.tell(["raise_once", str(tmp_path / "raised")])
    ref.tell(["remember", "next"])
    child = daemon.wait_for_another("one", pid)
    assert (child.restarts, child.last_exit and child.last_exit.code) == (before + 1, 1)
    seen: Any = ask(daemon, "one", "recall", None)
    assert [value for value, _ in seen] == ["next"]
    assert "ValueError: once" in daemon.log.read_text()


def test_system_exit_in_a_handler_leaves_no_asker_hanging(daemon: Daemon) -> None:
    """Scenario 36."""
    with pytest.raises(ActorDied):
        ask(daemon, "one", "exit", 3)
    assert ask(daemon, "two", "echo", 1) == 1
    assert ask(daemon, "one", "echo", 2) == 2


@pytest.mark.parametrize(
    ("name", "lives"),
    [("KeyboardInterrupt", False), ("MemoryError", True), ("RecursionError", True)],
)
def test_whatever_a_handler_raises_no_asker_hangs(daemon: Daemon, name: str, lives: bool) -> None:
    """Scenario 36: an Exception returns to the asker; anything else ends the agent."""
    pid = ask(daemon, "one", "pid", None)
    with pytest.raises((ActorDied, RemoteError)) as raised:
        ask(daemon, "one", "raise_class", name)
    assert isinstance(raised.value, RemoteError) == lives
    assert (ask(daemon, "one", "pid", None) == pid) == lives
    assert ask(daemon, "two", "echo", 1) == 1


def test_an_ask_under_way_fails_as_started_when_its_actor_is_killed(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Scenario 28: pykka's own ActorDeadError, within a moment of the death."""
    in_hand = tmp_path / "in hand"
    future = daemon.hub.ref("one").ask(["hang_once", str(in_hand)], block=False)
    daemon.until(in_hand.exists)
    daemon.kill("one")
    with pytest.raises(pykka.ActorDeadError) as died:
        future.get(timeout=TIMEOUT)
    assert isinstance(died.value, ActorDied)
    assert died.value.started


def test_an_ask_fails_on_time_though_a_fork_of_its_actor_lives_on(
    daemon: Daemon, tmp_path: Path
) -> None:
    """The fork does not keep the actor's sockets open: their end is the news of the death."""
    forked = tmp_path / "forked"
    future = daemon.hub.ref("one").ask(["fork_and_hang_once", str(forked)], block=False)
    daemon.until(forked.exists)
    daemon.kill("one")
    with pytest.raises(ActorDied):  # and not only when the fork ends, which nobody tells to
        future.get(timeout=TIMEOUT / 3)
    assert ask(daemon, "one", "echo", "of the next life") == "of the next life"


def test_an_ask_that_times_out_does_so_on_time_and_its_late_reply_is_dropped(
    daemon: Daemon,
) -> None:
    """Scenario 31: the next ask gets its own answer; also across a restart."""
    ref = daemon.hub.ref("one")
    with pytest.raises(pykka.Timeout) as late:
        ref.ask(["wait", 0.4], timeout=0.1)
    assert isinstance(late.value, AskTimeoutError)
    assert ref.ask(["echo", "mine"], timeout=TIMEOUT) == "mine"
    with pytest.raises(pykka.Timeout):
        ref.ask(["wait", 60], timeout=0.1)
    daemon.kill("one")
    assert ref.ask(["echo", "of the next life"], timeout=TIMEOUT) == "of the next life"


def test_tells_arrive_in_order_and_a_repeat_is_marked(daemon: Daemon, tmp_path: Path) -> None:
    """Scenario 28, of tells: what was sent before the death comes again, and says so."""
    ref = daemon.hub.ref("one")
    for n in range(20):
        ref.tell(["remember", n])
    assert ask(daemon, "one", "recall", None) == [[n, False] for n in range(20)]
    hung = tmp_path / "hung"
    ref.tell(["hang_once", str(hung)])
    for n in range(20, 40):
        ref.tell(["remember", n])
    daemon.until(hung.exists)
    daemon.kill("one")
    ref.tell(["remember", 40])
    seen: Any = ask(daemon, "one", "recall", None)
    assert [value for value, _ in seen] == list(range(20, 41))
    assert seen[-1] == [40, False]


def test_tells_sent_while_the_actor_is_down_arrive_when_it_is_back(daemon: Daemon) -> None:
    """Scenario 29."""
    ref = daemon.hub.ref("one")
    daemon.kill("one")
    for n in range(20):
        ref.tell(["remember", n])
    seen: Any = ask(daemon, "one", "recall", None)
    assert [value for value, _ in seen] == list(range(20))


def test_a_tell_is_acknowledged_before_a_hub_is_closed(daemon: Daemon) -> None:
    with holdfast.connect(daemon.run_dir) as hub:
        for n in range(200):
            hub.ref("one").tell(["remember", n])
    seen: Any = ask(daemon, "one", "recall", None)
    assert [value for value, _ in seen] == list(range(200))


def test_an_agent_finds_its_last_checkpoint_after_a_crash(daemon: Daemon) -> None:
    assert ask(daemon, "two", "restored", None) is None
    assert ask(daemon, "two", "checkpoint", {"step": 1}) == 1
    assert ask(daemon, "two", "checkpoint", {"step": 2}) == 2
    daemon.kill("two")
    assert ask(daemon, "two", "restored", None) == {"step": 2}


def test_a_checkpoint_first_commits_what_was_emitted_before_it(daemon: Daemon) -> None:
    ask(daemon, "one", "checkpoint", {"step": 1})
    (event,) = daemon.hub.events.query(types="before:checkpoint", after=daemon.since)
    assert (event.data, event.source) == ({"step": 1}, "agent/one")


def test_stop_handles_what_came_before_and_the_supervisor_decides(daemon: Daemon) -> None:
    ref = daemon.hub.ref("one")
    pid = ask(daemon, "one", "pid", None)
    ref.tell(["checkpoint", {"last": True}])
    assert ref.stop(timeout=TIMEOUT) is True
    daemon.wait_for_another("one", pid)
    assert ref.ask(["restored", None], timeout=TIMEOUT) == {"last": True}


def test_what_waits_behind_a_stop_is_for_the_next_life(daemon: Daemon) -> None:
    """A tell is not acknowledged unhandled, and an ask is asked of that life."""
    ref = daemon.hub.ref("one")
    pid = ask(daemon, "one", "pid", None)
    ref.tell(["wait", 0.3])
    stopped = ref.stop(block=False)
    ref.tell(["remember", "behind the stop"])
    unhandled = ref.ask(["echo", 1], block=False)
    assert stopped.get(timeout=TIMEOUT) is True
    assert unhandled.get(timeout=TIMEOUT) == 1
    daemon.wait_for_another("one", pid)
    seen: Any = ask(daemon, "one", "recall", None)
    assert [value for value, _ in seen] == ["behind the stop"]


def test_asks_wait_for_an_agent_that_starts_slowly(tmp_path: Path) -> None:
    """Scenario 10."""
    with Daemon(tmp_path, config("slow", more="options = { slow_start = 0.5 }")) as daemon:
        pid = daemon.kill("slow")
        assert ask(daemon, "slow", "pid", None) != pid
        assert daemon.child("slow").restarts == 1
