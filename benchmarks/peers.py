"""The other process of a floor: what two processes reach with a bare socket and no actor.

``python -m benchmarks.peers ROLE FD`` serves a connected socket until its end.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from benchmarks.daemon import ROOT

__all__ = ["LENGTH", "ROLES", "peer"]

LENGTH: Final = struct.Struct("<I")
READ_BYTES: Final = 64 * 1024  # as the mailbox reads; more, and malloc maps pages for every read


@contextmanager
def peer(role: str) -> Iterator[socket.socket]:
    """This end of a Unix stream socket whose other end a new process serves."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            command = [sys.executable, "-m", "benchmarks.peers", role, str(theirs.fileno())]
            process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        try:
            yield ours
        finally:
            ours.close()
            process.wait(10.0)


def echo(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(READ_BYTES):
        sock.sendall(data)


def sink(sock: socket.socket) -> None:
    """Decode frames, each an array of messages; an empty array is answered with the count."""
    decode = msgspec.msgpack.Decoder(list[str]).decode
    buffer = bytearray()
    count = 0
    while data := sock.recv(READ_BYTES):
        buffer += data
        at = 0
        while len(buffer) - at >= 4:
            (length,) = LENGTH.unpack_from(buffer, at)
            if len(buffer) - at - 4 < length:
                break
            messages = decode(bytes(buffer[at + 4 : at + 4 + length]))
            at += 4 + length
            count += len(messages)
            if not messages:
                sock.sendall(LENGTH.pack(count))
        del buffer[:at]


def zygote(sock: socket.socket) -> None:
    """For every byte that comes fork a child, which says its pid and waits to be killed.

    The same modules are loaded as in the daemon's zygotes: a fork copies their page tables.
    """
    from holdfast.supervisors.roles import PRELOAD

    for module in PRELOAD:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    children = []
    while sock.recv(1):
        pid = os.fork()
        if pid == 0:
            sock.sendall(LENGTH.pack(os.getpid()))
            signal.pause()
        children.append(pid)
    os.kill(children[-1], signal.SIGKILL)  # the others were


ROLES: Final = {"echo": echo, "sink": sink, "zygote": zygote}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the benchmark's; then comes the end
    with socket.socket(fileno=int(sys.argv[2])) as served:
        ROLES[sys.argv[1]](served)
