"""What is sent to an actor that has ended for good: answered at once, kept, never left waiting."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pykka
import pytest

import holdfast
from holdfast.actors.messages.query import DeadLettersAre, ListDeadLetters
from holdfast.actors.messages.writer import DiscardDeadLetter
from holdfast.errors import ActorDied, ActorGone, AskTimeoutError
from holdfast.storage.records import DeadLetter
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.plan import root_spec
from holdfast.supervisors.settings import Restart
from holdfast.supervisors.spec import ChildSpec, SupervisorSpec
from tests.actors.test_agents import AGENT, ROOT
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import SmallTree


def with_one(restart: str, more: str = "") -> str:
    policy = f'restart = "{restart}"\n{more}'
    one = AGENT.format(name="one", root=ROOT, more=policy)
    return CONFIG + one + AGENT.format(name="two", root=ROOT, more="")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("shared"), with_one("temporary")) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """Without letters, and with ``one``, which is temporary, alive."""
    with shared.lent() as daemon:
        yield daemon
        daemon.hub.flush(timeout=TIMEOUT)
        for letter in letters(daemon):
            daemon.hub.ask("writer", DiscardDeadLetter(letter.id), timeout=TIMEOUT)
        daemon.wait_for_another("agents", daemon.kill("agents"))


def letters(daemon: Daemon) -> list[DeadLetter]:
    reply = daemon.hub.ask("query", ListDeadLetters(10_000), timeout=TIMEOUT)
    found = msgspec.convert(reply, DeadLettersAre)
    assert not found.more
    return found.letters[::-1]


def told(daemon: Daemon) -> list[Any]:
    return [msgspec.msgpack.decode(letter.body) for letter in letters(daemon)]


def gone(daemon: Daemon, supervisor: str = "agents") -> dict[str, str]:
    return {each.id: each.how for each in daemon.child(supervisor).gone}


def end(daemon: Daemon, how: Callable[[Daemon], object]) -> None:
    """Let ``one`` end and wait until its supervisor answers for it."""
    how(daemon)
    daemon.until(lambda: gone(daemon))


def stop(daemon: Daemon) -> None:
    assert daemon.hub.ref("one").stop(timeout=TIMEOUT)


ENDS = pytest.mark.parametrize(
    ("restart", "how", "said"),
    [
        ("temporary", lambda daemon: daemon.kill("one"), "signal 9"),
        ("temporary", stop, "exit, code 0"),
        ("transient", stop, "exit, code 0"),
        ("temporary", lambda daemon: daemon.hub.ref("one").tell(["raise", "x"]), "exit, code 1"),
    ],
    ids=["temporary-killed", "temporary-stopped", "transient-stopped", "temporary-raised"],
)


@ENDS
def test_an_ask_of_a_gone_actor_fails_at_once_and_says_how_it_ended(
    tmp_path: Path, restart: str, how: Callable[[Daemon], object], said: str
) -> None:
    """Scenario 29."""
    with Daemon(tmp_path, with_one(restart)) as daemon:
        end(daemon, how)
        for idempotent in (False, True):
            with pytest.raises(ActorGone, match="will not be restarted") as died:
                daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT, idempotent=idempotent)
            assert isinstance(died.value, ActorDied)
            assert isinstance(died.value, pykka.ActorDeadError)
            assert (died.value.actor, died.value.started) == ("one", False)
            assert said in str(died.value)
        with pytest.raises(ActorGone):
            daemon.hub.ref("one").proxy()
        assert not daemon.hub.ref("one").stop(timeout=TIMEOUT)


@ENDS
def test_what_is_told_to_a_gone_actor_becomes_dead_letters_in_order_and_flush_succeeds(
    tmp_path: Path, restart: str, how: Callable[[Daemon], object], said: str
) -> None:
    """Scenario 29."""
    with Daemon(tmp_path, with_one(restart)) as daemon:
        end(daemon, how)
        daemon.hub.flush(timeout=TIMEOUT)  # the tell that it died of is a letter, too
        earlier = len(letters(daemon))
        ref = daemon.hub.ref("one")
        for n in range(200):
            ref.tell(["remember", n])
        daemon.hub.flush(timeout=TIMEOUT)
        kept = letters(daemon)[earlier:]
        assert told(daemon)[earlier:] == [["remember", n] for n in range(200)]
        assert {(each.reason, each.kind, each.actor) for each in kept} == {
            (f"gone: {said}", "tell", "one")
        }
        counters = daemon.hub.counters()["one"]
        assert (counters.pending, counters.dropped) == (0, 200 + earlier)
        (status,) = daemon.child("agents").gone
        assert (status.letters, status.waiting) == (200 + earlier, 0)
        assert daemon.hub.ref("two").ask(["echo", "lives"], timeout=TIMEOUT) == "lives"


def test_what_waits_when_an_actor_ends_for_good_becomes_dead_letters(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Scenarios 28 and 29: one tell in hand, asks and tells behind it."""
    hung = tmp_path / "hung"
    ref = daemon.hub.ref("one")
    ref.tell(["hang_once", str(hung)])
    daemon.until(hung.exists)
    asks = [ref.ask(["echo", n], block=False, idempotent=True) for n in range(20)]
    for n in range(20):
        ref.tell(["remember", n])
    daemon.kill("one")
    for future in asks:
        with pytest.raises(ActorGone):
            future.get(timeout=TIMEOUT)
    daemon.hub.flush(timeout=TIMEOUT)
    assert told(daemon) == [["hang_once", str(hung)], *(["remember", n] for n in range(20))]
    assert [letter.deaths for letter in letters(daemon)] == [1, *[0] * 20]


def test_what_was_not_in_hand_when_its_actor_ended_for_good_was_not_started(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Scenario 28: within the 80 ms that a sender waits for evidence."""
    hung = tmp_path / "hung"
    ref = daemon.hub.ref("one")
    ref.tell(["hang_once", str(hung)])
    daemon.until(hung.exists)
    asks = [ref.ask(["echo", n], block=False) for n in range(20)]
    daemon.kill("one")
    for future in asks:
        with pytest.raises(ActorGone):
            future.get(timeout=TIMEOUT)


def test_an_ask_in_hand_when_its_actor_ends_for_good_fails_as_started(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Scenario 28."""
    hung = tmp_path / "hung"
    in_hand = daemon.hub.ref("one").ask(["hang_once", str(hung)], block=False)
    daemon.until(hung.exists)
    daemon.kill("one")
    with pytest.raises(ActorDied) as died:
        in_hand.get(timeout=TIMEOUT)
    assert died.value.started


def test_a_letter_is_kept_once_whoever_dies_before_it_is_acknowledged(daemon: Daemon) -> None:
    """Scenarios 29 and 32: the writer is killed again and again under a stream of tells."""
    end(daemon, lambda daemon: daemon.kill("one"))
    ref = daemon.hub.ref("one")
    for n in range(2_000):
        ref.tell(["remember", n])
        if n % 500 == 250:
            daemon.wait_for_another("writer", daemon.kill("writer"))
    daemon.hub.flush(timeout=TIMEOUT)
    assert told(daemon) == [["remember", n] for n in range(2_000)]


def test_letters_wait_for_a_writer_that_does_not_answer_within_the_bound(daemon: Daemon) -> None:
    """Scenario 33: nothing is acknowledged before it is kept, and the supervisor answers on."""
    end(daemon, lambda daemon: daemon.kill("one"))
    writer = daemon.pid("writer")
    os.kill(writer, signal.SIGSTOP)
    ref = daemon.hub.ref("one")
    for n in range(500):
        ref.tell(["remember", n])
    waiting = daemon.until(lambda: daemon.child("agents").gone[0].waiting)
    assert 0 < waiting <= 16
    assert daemon.hub.counters()["one"].pending == 500
    with pytest.raises(AskTimeoutError):
        daemon.hub.flush(timeout=0.2)
    with holdfast.connect(daemon.run_dir) as other, pytest.raises(ActorGone):
        other.ref("one").ask(["echo", 1], timeout=TIMEOUT)
    os.kill(writer, signal.SIGCONT)
    daemon.hub.flush(timeout=TIMEOUT)
    assert told(daemon) == [["remember", n] for n in range(500)]


def test_tells_and_asks_of_agents_and_of_asyncio_end_as_well(daemon: Daemon) -> None:
    """Scenario 29: the sender is another agent, or a program with a loop."""
    end(daemon, lambda daemon: daemon.kill("one"))
    two = daemon.hub.ref("two")
    question = ["ask", ["one", ["echo", 1], TIMEOUT]]
    assert two.ask(question, timeout=TIMEOUT) == "RemoteActorGone"
    two.ask(["tell", ["one", ["remember", "by an agent"]]], timeout=TIMEOUT)

    async def program() -> None:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            await hub.ref("one").tell(["remember", "by a loop"])
            with pytest.raises(ActorGone):
                await hub.ref("one").ask(["echo", 1], timeout=TIMEOUT)
            assert not await hub.ref("one").stop(timeout=TIMEOUT)
            await hub.flush(timeout=TIMEOUT)
            assert hub.counters()["one"].dropped == 1

    asyncio.run(program())
    daemon.until(lambda: len(letters(daemon)) == 2)
    assert sorted(what for _, what in told(daemon)) == ["by a loop", "by an agent"]


def test_the_letter_survives_and_the_next_start_runs_the_actor_again(tmp_path: Path) -> None:
    """Gone for good means until somebody starts it."""
    with Daemon(tmp_path, with_one("temporary")) as daemon:
        end(daemon, lambda daemon: daemon.kill("one"))
        daemon.hub.ref("one").tell(["remember", 1])
        daemon.hub.flush(timeout=TIMEOUT)
        assert daemon.stop() == 0
        daemon.restart()
        assert daemon.hub.ref("one").ask(["recall", None], timeout=TIMEOUT) == []
        assert told(daemon) == [["remember", 1]]
        assert gone(daemon) == {}


def test_a_subtree_that_starts_again_takes_its_addresses_back(daemon: Daemon) -> None:
    """Scenario 26: its supervisor is killed; what was not kept yet is handled by the next life."""
    end(daemon, lambda daemon: daemon.kill("one"))
    daemon.hub.ref("one").tell(["remember", "dead"])
    daemon.hub.flush(timeout=TIMEOUT)
    daemon.kill("agents")
    daemon.hub.ref("one").tell(["remember", "alive"])
    daemon.hub.flush(timeout=TIMEOUT)
    ref = daemon.hub.ref("one")
    assert ref.ask(["recall", None], timeout=TIMEOUT, idempotent=True) == [["alive", False]]
    assert told(daemon) == [["remember", "dead"]]


def test_losing_the_zygote_ends_a_temporary_child_for_good(daemon: Daemon) -> None:
    supervisor = daemon.pid("agents")
    zygote = int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])
    os.kill(zygote, signal.SIGKILL)
    daemon.until(lambda: gone(daemon))
    with pytest.raises(ActorGone, match="zygote_lost"):
        daemon.hub.ref("one").ask(["echo", 1], timeout=TIMEOUT)


def test_a_tell_of_nearly_a_frame_is_kept_without_its_body(daemon: Daemon) -> None:
    """What fits a frame by itself does not fit one together with where it came from."""
    end(daemon, lambda daemon: daemon.kill("one"))
    largest = 8 * 1024 * 1024 - 64 - 5
    daemon.hub.ref("one").tell(b"x" * largest)
    daemon.hub.ref("one").tell(["remember", "after"])
    daemon.hub.flush(timeout=TIMEOUT)
    large, after = letters(daemon)
    assert large.body == b""
    assert f"{largest + 5} bytes were too many to keep" in large.reason
    assert msgspec.msgpack.decode(after.body) == ["remember", "after"]


TEAM = """
[supervisors.team]
parent = "agents"
max_restarts = 0
"""


def with_team(restart: Restart) -> tuple[ChildSpec, ...]:
    """The default tree and, below ``agents``, supervisor ``team`` with agents one and two.

    The config has no restart type for supervisors; specs do.
    """
    agents = "".join(
        AGENT.format(name=name, root=ROOT, more='parent = "team"') for name in ("one", "two")
    )
    tree = root_spec(parse_settings(CONFIG + TEAM + agents, file="test.toml"))

    def changed(spec: ChildSpec) -> ChildSpec:
        if not isinstance(spec.run, SupervisorSpec):
            return spec
        children = tuple(map(changed, spec.run.children))
        run = msgspec.structs.replace(spec.run, children=children)
        policy = restart if spec.id == "team" else spec.restart
        return msgspec.structs.replace(spec, run=run, restart=policy)

    return tuple(map(changed, tree.children))


@pytest.mark.parametrize(
    ("restart", "victim", "said"),
    [("transient", "one", "shutdown, code 5"), ("temporary", "team", "signal 9")],
)
def test_all_below_a_supervisor_that_is_gone_for_good_are_answered_for(
    grow: Grow, restart: Restart, victim: str, said: str
) -> None:
    """Scenarios 15 and 29: it gave up, or was killed; the tree above it goes on."""
    tree: SmallTree = grow(*with_team(restart)).ready()
    with holdfast.connect(tree.run_dir) as hub:
        assert hub.ref("two").ask(["echo", 1], timeout=TIMEOUT) == 1
        tree.kill(victim)
        tree.expect("^team is gone for good")
        for name in ("one", "two"):
            with pytest.raises(ActorGone, match=f"with its supervisor 'team': {said}"):
                hub.ref(name).ask(["echo", 1], timeout=TIMEOUT)
        with pytest.raises(ActorGone, match=f"it ended .{said}"):
            hub.ref("team").ask(["which_children"], timeout=TIMEOUT)
        hub.ref("two").tell(["remember", 1])
        hub.flush(timeout=TIMEOUT)
        reply = hub.ask("query", ListDeadLetters(10), timeout=TIMEOUT)
        (letter,) = msgspec.convert(reply, DeadLettersAre).letters
        assert (letter.actor, letter.reason) == ("two", f"gone: with its supervisor 'team': {said}")
    assert tree.end() == 0
