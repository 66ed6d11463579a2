"""Peers that send rubbish, or nothing, or too much: every listener lives and serves the others."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import holdfast
from holdfast.actors.crowd import HELD, NEWCOMERS, Crowd, descriptor_limit
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.peers import greet, hello
from tests.security.strangers import connected

LISTENERS = (
    "root", "state", "agents", "writer", "query", "log", "sessions", "checkpoints", "files",
    "tracker",
)  # fmt: skip
MEBIBYTE = 1024 * 1024
SEED = 20_261_128


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    few = "".join(f"[actors.{name}]\nnofile = 192\n" for name in ("tracker", "files"))
    with Daemon(tmp_path_factory.mktemp("floods"), CONFIG + few) as daemon:
        yield daemon


def pids(daemon: Daemon) -> dict[str, int]:
    return {name: daemon.pid(name) for name in LISTENERS}


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def is_served(daemon: Daemon) -> bool:
    """Somebody who connects now gets what every state actor does."""
    with holdfast.connect(daemon.run_dir) as hub:
        hub.events.emit("still:here")
        hub.flush(timeout=TIMEOUT)
        hub.sessions.put("s", {"a": 1}, timeout=TIMEOUT)
        return hub.events.count(types="still:here") > 0 and hub.sessions.get("s") is not None


def rubbish(random: random.Random, sock: socket.socket, actor: str) -> bytes:
    """A greeting, a part of one or none, then what no sender says."""
    name = f"rubbish-{random.random()}"
    head = hello(actor, name)
    head = random.choice((b"", b"", head, head[: random.randrange(len(head))]))
    if not head and random.random() < 0.5:
        greet(sock, actor, name)
    size = random.choice((0, 1, 5, 300, 70_000))
    lies = random.choice(
        (b"", b"\xff\xff\xff\xff", b"\xff\xff\x7f\x00", (size).to_bytes(4, "little"))
    )
    return head + lies + random.randbytes(size)


@pytest.mark.parametrize("actor", LISTENERS)
def test_no_bytes_end_an_actor_or_grow_it(daemon: Daemon, actor: str) -> None:
    before = pids(daemon)
    source = random.Random(SEED)
    with connected(daemon.run_dir, actor) as first:
        first.sendall(rubbish(source, first, actor))
    memory = resident(before[actor])
    for _ in range(150):
        with connected(daemon.run_dir, actor) as sock, suppress(OSError):
            sock.sendall(rubbish(source, sock, actor))
            if source.random() < 0.3:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65_536):
                    pass
    assert is_served(daemon)
    assert pids(daemon) == before
    assert resident(before[actor]) - memory < 24 * MEBIBYTE


def test_a_thousand_that_say_nothing_and_half_a_frame_of_each_cost_little(daemon: Daemon) -> None:
    """One actor is connected to by them all; the crowd is bounded, and who greets gets in."""
    before, memory = pids(daemon), resident(daemon.pid("sessions"))
    with ExitStack() as stack:
        for number in range(1_000):
            sock = stack.enter_context(connected(daemon.run_dir, "sessions"))
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(b"" if number % 2 else b"\x00\x80\x00\x00" + bytes(20_000))
        assert is_served(daemon)
        assert resident(before["sessions"]) - memory < 24 * MEBIBYTE
        open_now = len(os.listdir(f"/proc/{before['sessions']}/fd"))
        assert open_now < NEWCOMERS + 60
    assert is_served(daemon)
    assert pids(daemon) == before


def test_half_frames_of_many_senders_take_bounded_memory(daemon: Daemon) -> None:
    """Each of twenty announces eight mebibytes and leaves out the last one."""
    pid = daemon.pid("sessions")
    memory = resident(pid)
    half = (8 * MEBIBYTE - 5).to_bytes(4, "little") + bytes(7 * MEBIBYTE)
    with ExitStack() as stack:
        for number in range(20):
            sock = stack.enter_context(connected(daemon.run_dir, "sessions"))
            greet(sock, "sessions", f"half-{number}")
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(half)
        assert is_served(daemon)
        assert resident(pid) - memory < HELD + 40 * MEBIBYTE
    assert daemon.pid("sessions") == pid


@pytest.mark.parametrize("actor", ["tracker", "files"])
def test_a_flood_up_to_the_limit_of_descriptors_leaves_some_and_passes(
    daemon: Daemon, actor: str
) -> None:
    """Who greets may stay, so these fill it up; who was connected before is served meanwhile."""
    before = pids(daemon)
    hub = daemon.hub

    def ask() -> object:
        if actor == "tracker":
            return hub.tracker.list(timeout=TIMEOUT)
        return hub.files.append("flood", {"a": 1}, timeout=TIMEOUT)

    ask()
    with ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(connected(daemon.run_dir, actor))
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(hello(actor, f"flood-{number}"))
        ask()
        assert max(map(int, os.listdir(f"/proc/{before[actor]}/fd"))) < 192
    began = time.monotonic()
    assert is_served(daemon)
    assert time.monotonic() - began < TIMEOUT
    assert pids(daemon) == before


class Peer:
    """A connection as a Crowd sees it."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.has_greeted = False
        self.says_hello = False
        self.reason = ""

    def read_rest(self) -> None:
        self.has_greeted = self.says_hello

    def close(self, reason: str) -> None:
        self.reason = reason
        self.crowd.leave(self)


def test_the_oldest_of_too_many_that_have_not_greeted_goes_unless_its_greeting_is_there() -> None:
    crowd = Crowd()
    peers = [Peer(crowd) for _ in range(NEWCOMERS)]
    for peer in peers:
        crowd.enter(peer)
    peers[0].says_hello = True
    crowd.enter(Peer(crowd))
    assert peers[0].has_greeted
    assert not any(peer.reason for peer in peers)
    crowd.enter(Peer(crowd))
    assert [peer.reason for peer in peers if peer.reason] == [
        f"one of over {NEWCOMERS} that have not greeted"
    ]
    assert peers[1].reason


def test_the_frame_that_is_unfinished_for_longest_gives_way() -> None:
    crowd = Crowd()
    old, young = Peer(crowd), Peer(crowd)
    crowd.holds(old, HELD // 2)
    crowd.holds(young, HELD // 2)
    assert not old.reason
    crowd.holds(young, HELD // 2 + 1)
    assert old.reason
    assert not young.reason
    crowd.holds(young, HELD)
    assert not young.reason


@pytest.mark.slow  # thousands of connections
def test_connections_leave_descriptors_to_their_actor() -> None:
    assert descriptor_limit() > 0
