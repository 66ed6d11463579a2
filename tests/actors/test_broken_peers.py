"""Peers that break the protocol, die inside a frame, or are somebody else."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.actors.connection import GRACE
from holdfast.actors.frames import FrameReader
from holdfast.actors.messages import log
from holdfast.actors.wire import (
    Begin,
    Hello,
    Refused,
    decode_from_receiver,
    encode_frame,
)
from tests.daemon import TIMEOUT, Daemon
from tests.peers import greet, hello

HELLO = hello("log", "stranger")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One for all who are refused: none of them changes it."""
    with Daemon(tmp_path_factory.mktemp("patient")) as daemon:
        yield daemon


def connect(daemon: Daemon, actor: str = "log") -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect(str(daemon.run_dir / f"{actor}.sock"))
    return sock


def all_that_comes(sock: socket.socket) -> list[object]:
    """The frames until the other side closes."""
    reader = FrameReader()
    found: list[object] = []
    while data := sock.recv(65536):
        found += [decode_from_receiver(payload) for payload in reader.feed(data)]
    return found


@pytest.mark.parametrize(
    ("greets", "sent", "error"),
    [
        (False, b"GET / HTTP/1.1\r\n\r\n", "FrameError"),
        (False, b"\xff\xff\xff\x7f", "FrameError"),
        (False, b"\x03\x00\x00\x00\xc1\xc1\xc1", "FrameError"),
        (False, encode_frame({"not": "a message"}), "FrameError"),
        (False, encode_frame([3, 1, 1, False, ["emit", []]]), "FrameError"),
        (False, encode_frame(Hello(99, "log", "stranger", "1", 1, False)), "VersionError"),
        (False, hello("writer", "stranger"), "ProtocolError"),
        (False, encode_frame(Begin(1)), "FrameError"),
        (False, HELLO + HELLO, "FrameError"),
        (False, HELLO + encode_frame([5, 1, ["stats"]]), "FrameError"),
        (True, encode_frame([3, 1, 1, False, ["emit", [[1, 2]]]]), "FrameError"),
        (True, encode_frame([3, 1, 2, False, ["emit", []]]), "FrameError"),
        (True, encode_frame([3, 7, 1, False, ["tail", 1]]), "FrameError"),
        (True, HELLO, "FrameError"),
        (True, encode_frame(Begin(1)), "FrameError"),
        (True, encode_frame([5, -1, ["stats"]]), "FrameError"),
        (True, encode_frame([12, -1]), "FrameError"),
        (True, encode_frame([3, 1, 2**63, False, ["omit", 2**63, []]]), "InvalidInputError"),
    ],
    ids=[
        "http",
        "2 GiB",
        "no msgpack",
        "no frame",
        "no hello",
        "version",
        "wrong actor",
        "begin before hello",
        "hello twice before begin",
        "ask before begin",
        "no event",
        "count",
        "gap",
        "hello twice",
        "begin twice",
        "negative ask",
        "negative stop",
        "omitted without end",
    ],
)
def test_a_peer_that_breaks_the_protocol_loses_its_connection_and_nobody_elses(
    patient: Daemon, greets: bool, sent: bytes, error: str
) -> None:
    """Scenario 35."""
    daemon = patient
    pid, writer = daemon.pid("log"), daemon.pid("writer")
    seen = daemon.hub.events.count()
    daemon.hub.events.emit("before")
    with connect(daemon) as sock:
        if greets:
            greet(sock, "log", "stranger")
        sock.sendall(sent)
        refusals = [frame for frame in all_that_comes(sock) if isinstance(frame, Refused)]
    assert [refusal.type for refusal in refusals] == [error]
    assert refusals[0].text
    daemon.hub.events.emit("after")
    daemon.hub.flush(timeout=TIMEOUT)
    assert daemon.hub.events.count() == seen + 2
    assert (daemon.pid("log"), daemon.pid("writer")) == (pid, writer)


def test_a_question_that_is_none_is_an_error_of_its_sender_alone(patient: Daemon) -> None:
    with connect(patient) as sock:
        greet(sock, "log", "curious")
        sock.sendall(encode_frame([5, 1, ["no such request"]]))
        sock.shutdown(socket.SHUT_WR)
        frames = all_that_comes(sock)
    assert getattr(frames[0], "type", "") == "FrameError"


def test_a_sender_killed_inside_a_frame_harms_nobody(daemon: Daemon) -> None:
    """Scenario 35: four mebibytes announced, half of them sent."""
    program = (
        "import os, socket, sys\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(sys.argv[1])\n"
        "from tests.peers import greet\n"
        "greet(sock, 'log', 'stranger')\n"
        "sock.sendall((4 << 20).to_bytes(4, 'little'))\n"
        "sock.sendall(bytes(2 << 20))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    pid = daemon.pid("log")
    arguments = [str(daemon.run_dir / "log.sock")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, timeout=TIMEOUT, check=False
    )
    assert done.returncode == -9
    daemon.hub.events.emit("after")
    daemon.hub.flush(timeout=TIMEOUT)
    assert daemon.hub.events.count(types="after") == 1
    assert daemon.pid("log") == pid


@pytest.mark.slow  # half a minute is what a peer is given
def test_a_peer_that_leaves_what_it_is_sent_unread_is_cut_off_and_hinders_nobody(
    daemon: Daemon,
) -> None:
    for n in range(1_000):
        daemon.hub.events.emit("n", {"n": n, "text": "x" * 1_000})
    daemon.hub.flush(timeout=TIMEOUT)
    ask = log.Tail(1_000)
    with connect(daemon) as sock:
        # More than both kernel buffers hold.
        greet(sock, "log", "stranger")
        sock.sendall(b"".join(encode_frame([5, n, ask]) for n in range(1, 41)))
        ended = select.poll()
        ended.register(sock, select.POLLHUP)
        assert not ended.poll(1_000)
        assert daemon.hub.events.count(types="n", timeout=TIMEOUT) == 1_000
        assert ended.poll((GRACE + TIMEOUT) * 1_000)
    reason = f"left bytes unread for {GRACE:.0f} s"
    assert daemon.until(lambda: reason in daemon.log.read_text())


def test_what_an_earlier_connection_still_holds_comes_before_its_successor(
    daemon: Daemon,
) -> None:
    """More than two reads of it wait in the kernel when the sender greets on a new connection."""
    frames, each = 40, 50
    with connect(daemon) as earlier, connect(daemon) as later:
        earlier.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        greet(earlier, "log", "stranger")
        log = daemon.pid("log")
        os.kill(log, signal.SIGSTOP)
        try:
            for frame in range(frames):
                event = [1, "held", "stranger", *[None] * 5, 0, None, '"' + "x" * 60 + '"']
                emit = ["emit", [event] * each]
                earlier.sendall(encode_frame([3, 1 + frame * each, each, False, emit]))
            later.sendall(hello("log", "stranger", resuming=True))
        finally:
            os.kill(log, signal.SIGCONT)
        assert later.recv(1_000), "the welcome"
        daemon.until(lambda: daemon.hub.events.count(types="held") == frames * each)


def test_only_the_owner_may_reach_the_sockets(daemon: Daemon) -> None:
    """Scenario D18: by the modes of folder and sockets, and by the uid of whoever connects."""
    assert stat.S_IMODE(daemon.run_dir.stat().st_mode) == 0o700
    sockets = list(daemon.run_dir.glob("*.sock"))
    assert len(sockets) == 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_peer_of_another_user_is_cut_off(daemon: Daemon) -> None:
    """Scenario D18, past the file modes: they are opened up for this test."""
    daemon.run_dir.chmod(0o711)
    (daemon.run_dir / "log.sock").chmod(0o666)
    program = (
        "import os, socket, sys\n"
        "folder = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setgid(65534)\n"
        "os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(f'/proc/self/fd/{folder}/log.sock')\n"
        "sock.settimeout(30)\n"
        "print(sock.recv(100))\n"
    )
    arguments = [str(daemon.run_dir)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        timeout=TIMEOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "b''\n", done
    # The line goes by two pipes, and nobody waits for it.
    daemon.until(lambda: "refused a connection of uid 65534" in daemon.log.read_text() or None)
