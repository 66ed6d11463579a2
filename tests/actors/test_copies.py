"""What a sender said comes once more on another connection: nothing of it is taken in."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.actors.messages import sessions
from holdfast.actors.recorder import FlightRecorder, LastLife, create
from holdfast.actors.wire import Ask, Begin, StopActor, Tell, encode_frame
from holdfast.errors import ActorDied
from tests.actors.conversing import Wire, copied, link, receiver
from tests.actors.scribe import entries
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.peers import begin, hello, welcome

ROOT = Path(__file__).parents[2]
SCRIBE = """
[agents.scribe]
class = "tests.actors.scribe:Scribe"
python_path = ["{root}"]
options = {{ path = "{path}" }}
"""
encode = msgspec.msgpack.encode


@pytest.fixture(scope="module")
def handled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies") / "handled"


@pytest.fixture(scope="module")
def daemon(handled: Path) -> Iterator[Daemon]:
    with Daemon(handled.parent, CONFIG + SCRIBE.format(root=ROOT, path=handled)) as daemon:
        yield daemon


@pytest.fixture
def originals() -> Iterator[ExitStack]:
    """Closes those that a test has opened."""
    with ExitStack() as stack:
        yield stack


class Original:
    """A connection whose bytes are known, since they were written by hand."""

    def __init__(self, stack: ExitStack, daemon: Daemon, actor: str, sender: str) -> None:
        self._path = str(daemon.run_dir / f"{actor}.sock")
        self._sock = stack.enter_context(self._connect())
        self.said = hello(actor, sender)
        self._sock.sendall(self.said)
        self.say(begin(welcome(self._sock)))

    def say(self, data: bytes) -> None:
        self.said += data
        self._sock.sendall(data)

    def hears(self) -> None:
        """Something is answered."""
        assert self._sock.recv(65_536), "hung up on"

    def comes_again(self) -> list[bytes]:
        """All that it said, on another connection, until that is closed; what is heard there."""
        heard = []
        with self._connect() as copy:
            copy.sendall(self.said)
            while data := copy.recv(65_536):
                heard.append(data)
        return heard

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
        sock.connect(self._path)
        return sock


def copies(daemon: Daemon, actor: str) -> int:
    return daemon.child(actor).traffic.copies


@pytest.mark.parametrize("life", ["same", "next"])
def test_a_copied_put_does_not_replace_the_one_after_it(
    daemon: Daemon, originals: ExitStack, life: str
) -> None:
    original = Original(originals, daemon, "sessions", f"copied-{life}")
    put = sessions.Put(life, "1", durability="memory")
    original.say(encode_frame(Ask(1, msgspec.Raw(encode(put)))))
    original.hears()
    daemon.hub.sessions.put(life, 2, durability="committed", timeout=TIMEOUT)
    if life == "next":
        pid = daemon.pid("sessions")
        daemon.kill("sessions")
        daemon.wait_for_another("sessions", pid)
    before = copies(daemon, "sessions")
    assert original.comes_again() == []
    session = daemon.hub.sessions.get(life, timeout=TIMEOUT)
    assert session is not None
    assert session.data == 2
    daemon.until(lambda: copies(daemon, "sessions") == before + 1)


def test_the_copy_of_a_tell_that_the_last_life_handled_is_not_handled(
    daemon: Daemon, originals: ExitStack, handled: Path
) -> None:
    original = Original(originals, daemon, "scribe", "copied")
    for n in (1, 2, 3):
        original.say(encode_frame(Tell(n, 1, False, msgspec.Raw(encode([7, n])))))
        original.hears()
    pid = daemon.pid("scribe")
    daemon.kill("scribe")
    daemon.wait_for_another("scribe", pid)
    assert original.comes_again() == []
    assert daemon.hub.ref("scribe").ask(None, timeout=TIMEOUT) == daemon.pid("scribe")
    assert [entry.n for entry in entries(handled) if entry.sender == 7] == [1, 2, 3]


def test_the_copy_of_a_stop_stops_nobody(daemon: Daemon, originals: ExitStack) -> None:
    pid = daemon.pid("scribe")
    original = Original(originals, daemon, "scribe", "stops")
    original.say(encode_frame(StopActor(1)))
    original.hears()
    again = daemon.wait_for_another("scribe", pid).pid
    assert original.comes_again() == []
    assert daemon.hub.ref("scribe").ask(None, timeout=TIMEOUT) == again


def test_a_sender_whose_connection_is_copied_connects_again_and_goes_on(
    daemon: Daemon, originals: ExitStack
) -> None:
    original = Original(originals, daemon, "sessions", "goes-on")
    put = sessions.Put("goes-on", "1", durability="memory")
    original.say(encode_frame(Ask(1, msgspec.Raw(encode(put)))))
    original.hears()
    original.comes_again()
    later = Original(originals, daemon, "sessions", "goes-on")
    get = sessions.Get("goes-on")
    later.say(encode_frame(Ask(2, msgspec.Raw(encode(get)))))
    later.hears()


def test_the_record_of_a_connection_that_its_sender_never_heard_of_proves_nothing() -> None:
    """A broken connection, then the actor's death before its next Welcome arrives.

    What was in hand came on the first; on record is how far it had come with the second.
    """
    record = create("critic")
    first_life = receiver(recorder=FlightRecorder(record))
    sender = link()
    wire = Wire(sender, first_life)
    outcomes: list[Any] = []
    sender.ask("in hand", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    (in_hand,) = wire.move(1 << 20)
    assert first_life.recorder is not None
    slot, position = in_hand.intake.slot, in_hand.position
    first_life.recorder.begin(1.0, slot, "ask", in_hand.number, position, str)
    wire.cut()
    again = Wire(sender, first_life)
    again.carry(1 << 20)  # its Hello; the Welcome does not arrive any more
    last = LastLife(record, incarnation="1.1")
    again.cut()
    Wire(sender, receiver(incarnation="1.2", last_life=last)).settle(
        lambda delivery: delivery.set("asked twice")
    )
    (died,) = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    os.close(record)


def test_what_may_have_been_handled_is_not_asked_again_after_a_copy() -> None:
    """The copy takes the place of its original in the record of the life that dies."""
    record = create("critic")
    first_life = receiver(recorder=FlightRecorder(record))
    sender = link()
    wire = Wire(sender, first_life)
    outcomes: list[Any] = []
    sender.ask("in hand", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    (in_hand,) = wire.move(1 << 20)
    assert first_life.recorder is not None
    slot = in_hand.intake.slot
    first_life.recorder.begin(1.0, slot, "ask", in_hand.number, in_hand.position, str)
    wire.cut()
    first_life.recorder.seat("planner", "1.1", 7)  # before anything of it is known for a copy
    last = LastLife(record, incarnation="1.1")
    Wire(sender, receiver(incarnation="1.2", last_life=last)).settle(
        lambda delivery: delivery.set("asked twice")
    )
    (died,) = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    os.close(record)


@pytest.mark.parametrize("incarnation", ["1.1", "1.2"])
def test_no_part_of_a_connection_is_taken_in_twice(incarnation: str) -> None:
    """By the life that had it, or another one."""
    shared, sender = receiver(), link()
    wire = Wire(sender, shared)
    for n in range(5):
        sender.tell(n)
        sender.ask(n, lambda _outcome: None, idempotent=True)
        sender.command(n, lambda _outcome: None)
    wire.settle(lambda delivery: delivery.set(1) if delivery.kind != "tell" else delivery.done())
    before = len(hello("critic", "planner")) + len(encode_frame(Begin(1 << 63)))
    other = shared if incarnation == "1.1" else receiver(incarnation=incarnation)
    for size in range(0, len(wire.gone) + 1, 3):
        other.copies = 0
        assert not list(copied(wire.gone[:size], other))
        if size > before + 10:
            assert other.copies == 1
