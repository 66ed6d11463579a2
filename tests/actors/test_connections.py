"""Connections that stop in the middle are cut off in time; who is slow, and not stuck, is not."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from loguru import logger

from holdfast.actors.connection import GRACE, PATIENCE
from holdfast.actors.connections import Connections
from holdfast.actors.delivery import Delivery
from holdfast.actors.reactor import Reactor
from holdfast.actors.wire import encode_frame
from tests.actors.conversing import receiver
from tests.clock import ManualClock
from tests.peers import begin, hello, welcome

LOOKS = 1_000  # at the sockets, until something is there; each waits a hundredth of a second


class Actor:
    """One that only accepts, reads and writes; its clock stands still until a test moves it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._clock = ManualClock()
        self._reactor = Reactor(clock=self._clock)
        stack.callback(self._reactor.close)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        stack.callback(path.unlink)
        listener.listen()
        self.arrived: list[Delivery] = []
        self.receiver = receiver(mailbox_limit=1_000)
        self._connections = Connections(
            listener,
            reactor=self._reactor,
            receiver=self.receiver,
            deliver=self.arrived.extend,
        )
        stack.callback(self._connections.close)

    def connect(self) -> socket.socket:
        """A peer that has said nothing yet."""
        sock = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        sock.connect(str(self._path))
        self.look()
        return sock

    def greet(self, sender: str) -> socket.socket:
        """A peer that may send messages."""
        sock = self.connect()
        sock.sendall(hello("critic", sender))
        self.look()
        sock.sendall(begin(welcome(sock)))
        self.look()
        return sock

    def look(self) -> None:
        """Do what is to be done now."""
        self._reactor.poll(0.01)
        self._connections.flush()

    def after(self, seconds: float) -> None:
        """So much later."""
        self._clock.advance(seconds)
        self.look()

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(LOOKS):
            if condition():
                return
            self.look()
        raise AssertionError("it has not come about")


@pytest.fixture
def actor(tmp_path: Path) -> Iterator[Actor]:
    with ExitStack() as stack:
        yield Actor(tmp_path / "critic.sock", stack)


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    handler = logger.add(lines.append, format="{message}", level="WARNING")
    yield lines
    logger.remove(handler)


def read_all_there_is(sock: socket.socket) -> int:
    """How many bytes that were."""
    size = 0
    with suppress(BlockingIOError):
        while data := sock.recv(1 << 20, socket.MSG_DONTWAIT):
            size += len(data)
    return size


def is_open(sock: socket.socket) -> bool:
    """Not cut off by the actor, which has sent nothing."""
    sock.setblocking(False)
    try:
        return bool(sock.recv(1))
    except BlockingIOError:
        return True
    except ConnectionResetError:  # it had sent what was not read any more
        return False
    finally:
        sock.setblocking(True)


@pytest.mark.parametrize("said_so_far", [b"", hello("critic", "s")[:9]], ids=["nothing", "half"])
def test_who_has_not_greeted_in_time_is_cut_off(
    actor: Actor, said: list[str], said_so_far: bytes
) -> None:
    peer = actor.connect()
    peer.sendall(said_so_far)
    actor.after(PATIENCE - 0.1)
    assert is_open(peer)
    actor.after(0.2)
    assert not is_open(peer)
    assert said == [f"connection of ? unknown: it has not greeted for {PATIENCE:.0f} s\n"]


def test_who_has_greeted_may_be_silent(actor: Actor) -> None:
    peer = actor.greet("quiet")
    for _ in range(3):
        actor.after(PATIENCE + 1)
    assert is_open(peer)
    peer.sendall(encode_frame([5, 1, "what"]))
    actor.until(lambda: len(actor.arrived) == 1)


def test_a_frame_whose_rest_does_not_come_ends_its_connection(
    actor: Actor, said: list[str]
) -> None:
    peer, other = actor.greet("stuck"), actor.greet("other")
    frame = encode_frame([5, 1, "x" * 1_000])
    peer.sendall(frame[:500])
    actor.look()
    actor.after(PATIENCE - 0.1)  # first from its greeting, then from the look that found it
    actor.after(PATIENCE)
    assert is_open(other)
    actor.after(PATIENCE)
    assert not is_open(peer)
    reason = f"unfinished: the rest of a frame has not come for {PATIENCE:.0f} s"
    assert said == [f"connection of stuck {reason}\n"]
    assert is_open(other)
    assert actor.arrived == []
    assert set(actor.receiver.intakes) == {("other", "1")}


def test_a_frame_that_comes_byte_by_byte_is_not_waited_for_longer(actor: Actor) -> None:
    """Nor does it keep its connection open for ever."""
    peer = actor.greet("drip")
    frame = encode_frame([5, 1, "x" * 1_000])
    for place in range(10):
        peer.sendall(frame[place : place + 1])
        actor.look()
        actor.after(PATIENCE / 4)
        if not is_open(peer):
            break
    assert not is_open(peer)
    assert place > 3


def test_frames_that_are_cut_anywhere_and_go_on_are_read(actor: Actor) -> None:
    """However long it takes: each of them is finished in time."""
    peer = actor.greet("slow")
    stream = b"".join(encode_frame([5, n, "x" * 100]) for n in range(1, 21))
    for first in range(0, len(stream), 60):
        peer.sendall(stream[first : first + 60])
        actor.look()
        actor.after(PATIENCE / 3)
    actor.until(lambda: len(actor.arrived) == 20)
    assert is_open(peer)


def test_who_leaves_what_it_is_sent_unread_is_cut_off(actor: Actor, said: list[str]) -> None:
    """Not who is slow: only when nothing has left for so long."""
    peer = actor.greet("deaf")
    for n in range(1, 8):
        peer.sendall(encode_frame([5, n, "what"]))
    actor.until(lambda: len(actor.arrived) == 7)
    for delivery in actor.arrived:
        delivery.set("x" * (7 << 20))
    actor.look()
    for _ in range(3):
        actor.after(GRACE - 0.1)
        assert read_all_there_is(peer) > 1 << 20
        actor.look()
    assert said == []
    actor.after(GRACE + 0.1)
    assert said == [f"connection of deaf left bytes unread for {GRACE:.0f} s\n"]
