"""The other process of a floor: what two processes reach with a bare socket and no actor.

``python -m benchmarks.bare ROLE FD [ARGUMENT ...]`` serves a connected socket until its end.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec

from benchmarks.daemon import ROOT

__all__ = ["LENGTH", "PER_FRAME", "ROLES", "frames_of", "peer"]

LENGTH: Final = struct.Struct("<I")
PER_FRAME: Final = 64  # messages in one msgpack array
# As the mailbox reads.  More, and malloc maps pages for every read: a floor that is no floor.
READ_BYTES: Final = 64 * 1024

_encode: Final = msgspec.msgpack.Encoder().encode


@contextmanager
def peer(role: str, *arguments: str) -> Iterator[socket.socket]:
    """This end of a Unix stream socket whose other end a new process serves."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            command = [sys.executable, "-m", "benchmarks.bare", role, str(theirs.fileno())]
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, pass_fds=[theirs.fileno()])
        try:
            yield ours
        finally:
            ours.close()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def frames_of(message: object, count: int) -> Iterator[bytes]:
    """``count`` messages as frames, then the empty one that is answered; each is encoded anew."""
    for _ in range(count // PER_FRAME):
        frame = _encode([msgspec.Raw(_encode(message)) for _ in range(PER_FRAME)])
        yield LENGTH.pack(len(frame)) + frame
    empty = _encode([])
    yield LENGTH.pack(len(empty)) + empty


def echo(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(READ_BYTES):
        sock.sendall(data)


def sink(sock: socket.socket) -> None:
    """Decode what comes on one connection."""
    inflow = Inflow(sock)
    while inflow.read():
        pass


def fan_in(sock: socket.socket, path: str) -> None:
    """Decode what comes on any connection to the socket ``path``, which is there after a byte."""
    poll = select.epoll()
    inflows: dict[int, Inflow] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        poll.register(listener, select.EPOLLIN)
        poll.register(sock, select.EPOLLIN)
        sock.sendall(b"r")
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == sock.fileno():
                    return
                if descriptor == listener.fileno():
                    connection, _ = listener.accept()
                    inflows[connection.fileno()] = Inflow(connection)
                    poll.register(connection, select.EPOLLIN)
                elif not inflows[descriptor].read():
                    poll.unregister(descriptor)
                    del inflows[descriptor]


class Inflow:
    """Decodes frames, each an array of messages; an empty one is answered with the count."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._count = 0
        self._decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[Any]).decode

    def read(self) -> bool:
        """Read once; False at the end."""
        data = self._sock.recv(READ_BYTES)
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            (length,) = LENGTH.unpack_from(buffer, at)
            if len(buffer) - at - 4 < length:
                break
            messages = self._decode(bytes(buffer[at + 4 : at + 4 + length]))
            at += 4 + length
            self._count += len(messages)
            if not messages:
                self._sock.sendall(LENGTH.pack(self._count))
        del buffer[:at]
        return bool(data)


def newest(sock: socket.socket, path: str, rows: str) -> None:
    """For every byte that comes open the database, read its newest rows, say how long it took."""
    import apsw

    sql = "SELECT * FROM events ORDER BY seq DESC LIMIT ?"
    while sock.recv(1):
        began = time.perf_counter_ns()
        # Not read-only: nobody else has it open, and somebody has to make the shared memory.
        connection = apsw.Connection(path)
        found = connection.execute(sql, (int(rows),)).fetchall()
        connection.close()
        assert len(found) == int(rows)
        sock.sendall(LENGTH.pack((time.perf_counter_ns() - began) // 1000))


def zygote(sock: socket.socket) -> None:
    """For every byte that comes fork a child, which says its pid and waits to be killed.

    The same modules are loaded as in the daemon's zygotes: a fork copies their page tables.  Like
    the daemon's, a child dies with what forked it.
    """
    from holdfast.supervisors.linux import children_of_this_process, die_with_parent
    from holdfast.supervisors.roles import PRELOAD

    for module in PRELOAD:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    parent = os.getpid()
    while sock.recv(1):
        if os.fork() == 0:
            die_with_parent(parent)
            sock.sendall(LENGTH.pack(os.getpid()))
            signal.pause()
    for pid in children_of_this_process():
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # which says that the kernel has reaped the last of them
        os.wait()


ROLES: Final[dict[str, Callable[..., None]]] = {
    "echo": echo,
    "sink": sink,
    "fan_in": fan_in,
    "newest": newest,
    "zygote": zygote,
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the benchmark's; then comes the end
    # The other end may close with something unread, which is an end as well.
    with socket.socket(fileno=int(sys.argv[2])) as served, suppress(ConnectionError):
        ROLES[sys.argv[1]](served, *sys.argv[3:])
