"""Messages that kill whoever handles them, and the evidence of what was in hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.actors.messages.query import DeadLettersAre, ListDeadLetters
from holdfast.errors import ActorDied, PoisonError
from tests.actors.overloading import stopped
from tests.actors.test_agents import AGENT, ROOT, ask, config
from tests.daemon import TIMEOUT, Daemon

# Few restarts: a message that killed for ever would use them up.
CONFIG = """
[daemon]
name = "test"
[supervisors.agents]
max_restarts = 2
max_seconds = 60.0
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    agents = AGENT.format(name="one", root=ROOT, more="")
    with Daemon(tmp_path, CONFIG + agents) as daemon:
        yield daemon


@pytest.mark.parametrize("verb", ["exit", "raise", "kill"])
def test_a_tell_that_kills_twice_becomes_a_dead_letter_and_the_next_is_handled(
    daemon: Daemon, verb: str
) -> None:
    """Scenario 30."""
    ref = daemon.hub.ref("one")
    ref.tell(["remember", "before"])
    ref.tell([verb, 3])
    ref.tell(["remember", "after"])
    daemon.until(lambda: daemon.child("one").restarts == 2)
    seen: Any = daemon.hub.ref("one").ask(["recall", None], timeout=TIMEOUT, idempotent=True)
    # What was handled and not acknowledged yet when it died came again, and says so.
    assert [value for value, again in seen if not (value == "before" and again)] == ["after"]
    assert daemon.child("one").restarts == 2
    assert "2 times: it becomes a dead letter" in daemon.log.read_text()
    daemon.hub.flush(timeout=TIMEOUT)


def test_poison_of_nearly_a_frame_becomes_a_dead_letter_without_its_body(daemon: Daemon) -> None:
    """Scenario 30: what fits a frame by itself does not fit one together with the evidence."""
    ref = daemon.hub.ref("one")
    ref.tell(["kill", "x" * (8 * 1024 * 1024 - 64 - 11)])
    daemon.hub.flush(timeout=TIMEOUT)
    assert daemon.child("one").restarts == 2
    reply = daemon.hub.ask("query", ListDeadLetters(), timeout=TIMEOUT)
    (letter,) = msgspec.convert(reply, DeadLettersAre).letters
    assert letter.body == b""
    assert letter.reason.startswith("poison: signal 9; its 83885")


def test_what_comes_behind_poison_does_not_acknowledge_it_before_it_is_kept(
    daemon: Daemon,
) -> None:
    """Scenarios 28 and 30: the actor dies while the letter waits; it is kept all the same."""
    ref = daemon.hub.ref("one")
    with stopped(daemon, "writer"):
        ref.tell(["kill", None])
        ref.tell(["remember", "after"])
        daemon.until(lambda: daemon.child("one").restarts == 2)
        seen: Any = ref.ask(["recall", None], timeout=TIMEOUT, idempotent=True)
        assert [value for value, _ in seen] == ["after"]
        daemon.child("one")  # so that what was handled would be acknowledged by now
        assert daemon.hub.counters()["one"].pending == 2
        daemon.wait_for_another("one", daemon.kill("one"))
    daemon.hub.flush(timeout=TIMEOUT)
    reply = daemon.hub.ask("query", ListDeadLetters(), timeout=TIMEOUT)
    (letter,) = msgspec.convert(reply, DeadLettersAre).letters
    assert msgspec.msgpack.decode(letter.body) == ["kill", None]


def test_the_restart_budget_is_not_spent_on_poison(daemon: Daemon) -> None:
    """Scenario 30: four poisonous messages cost four restarts of the two that are allowed."""
    ref = daemon.hub.ref("one")
    for _ in range(2):
        ref.tell(["kill", None])
    daemon.until(lambda: daemon.child("one").restarts == 4)
    assert ref.ask(["echo", "lives"], timeout=TIMEOUT, idempotent=True) == "lives"


def test_an_idempotent_ask_that_kills_twice_fails_as_poison(daemon: Daemon) -> None:
    with pytest.raises(PoisonError, match="holdfast deadletters list"):
        daemon.hub.ref("one").ask(["kill", None], timeout=TIMEOUT, idempotent=True)
    assert ask(daemon, "one", "echo", "lives") == "lives"


def test_what_was_not_in_hand_is_asked_of_the_next_life(tmp_path: Path) -> None:
    """Scenario 28: one ask in hand, fifty behind it."""
    with Daemon(tmp_path, config("one")) as daemon:
        assert any(_asks_across_a_death(daemon, tmp_path / f"hung-{n}") for n in range(8))


def _asks_across_a_death(daemon: Daemon, hung: Path) -> bool:
    """False when the next life was not there within the 80 ms it has, as on a busy machine."""
    ref = daemon.hub.ref("one")
    in_hand = ref.ask(["hang_once", str(hung)], block=False)
    queued = [ref.ask(["echo", n], block=False) for n in range(50)]
    daemon.until(hung.exists)
    pid = daemon.kill("one")
    with pytest.raises(ActorDied) as died:
        in_hand.get(timeout=TIMEOUT)
    assert died.value.started
    answers: list[object] = []
    for future in queued:
        with suppress(ActorDied):
            answers.append(future.get(timeout=TIMEOUT))
    daemon.wait_for_another("one", pid)
    return answers == list(range(50))


def test_a_frame_that_kills_the_writer_twice_is_a_tombstone_and_its_sender_goes_on(
    daemon: Daemon,
) -> None:
    """Scenario 30, of events: held up in the writer by a lock, so that it is killed with them."""
    hub = daemon.hub
    hub.events.emit("before")
    hub.flush(timeout=TIMEOUT)
    other = sqlite3.connect(daemon.database, isolation_level=None, timeout=TIMEOUT)
    other.execute("BEGIN IMMEDIATE")
    for n in range(10):
        hub.events.emit("n", n)
    for _ in range(2):
        daemon.until(lambda: daemon.child("writer").busy > 0.3)  # in hand, and locked out
        with stopped(daemon, "log"):  # so that the next life gets nothing before it is locked out
            pid = daemon.kill("writer")
            other.execute("ROLLBACK")
            daemon.wait_for_another("writer", pid)
            other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()
    hub.events.emit("after")
    hub.flush(timeout=TIMEOUT)
    assert hub.events.dropped == 10
    assert [event.type for event in hub.events.query(source="test")] == ["before", "after"]
    (letter,) = msgspec.convert(
        hub.ask("query", ListDeadLetters(), timeout=TIMEOUT), DeadLettersAre
    ).letters
    assert (letter.actor, letter.sender, letter.kind) == ("writer", "log", "ask")
