"""A process of its own that measures on request: the sending side of fan-in, and the peers.

``driven("benchmarks.senders", ...)`` runs that module, which calls ``serve``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec

import holdfast
from benchmarks.bare import LENGTH
from benchmarks.daemon import ROOT
from benchmarks.processes import ending
from holdfast.supervisors.linux import adopt_orphans, children_of_this_process

__all__ = ["Driven", "driven", "serve", "taken_over"]

DEADLINE: Final = 60.0  # seconds for a start or a round
PATIENCE: Final = 10.0  # seconds to end in order ...
HURRY: Final = 2.0  # ... and after a Ctrl-C, when what it waits for may be gone


class Driven:
    """The process, by its socket."""

    def __init__(self, name: str, sock: socket.socket) -> None:
        self._name = name
        self._sock = sock
        sock.settimeout(DEADLINE)

    def ask(self, command: str, count: int = 0) -> Any:
        """What the command's function returns for ``count``."""
        self.begin(command, count)
        return self.end()

    def begin(self, command: str, count: int) -> None:
        """Have it work; ``end`` waits for it, and says if it is not there."""
        with suppress(ConnectionError):
            _send(self._sock, (command, count))

    def end(self) -> Any:
        """What the work begun before returned."""
        try:
            found = _receive(self._sock)
        except TimeoutError:
            raise holdfast.DeliveryError(
                f"{self._name} did not answer within {DEADLINE:g} s"
            ) from None
        if found is None:
            raise holdfast.DeliveryError(f"{self._name} ended: see what it printed above")
        return found[0]


@contextmanager
def driven(module: str, *arguments: str) -> Iterator[Driven]:
    """Run it; afterwards nothing of it, nor of what it started, is left, in /tmp neither."""
    adopt_orphans()  # what leaves its parent is reaped here; not every container's init does
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        environment = {**os.environ, "TMPDIR": folder, "RAY_TMPDIR": folder}
        others = set(children_of_this_process())
        with theirs:
            command = [sys.executable, "-m", module, str(theirs.fileno()), *arguments]
            process = subprocess.Popen(
                command, cwd=ROOT, pass_fds=[theirs.fileno()], env=environment
            )
        patience = PATIENCE
        try:
            client = Driven(module, ours)
            client.ask("")  # it is there
            yield client
        except BaseException:
            patience = HURRY
            raise
        finally:
            with ending(process.pid, patience):
                ours.close()
            process.wait()
            _end_orphans(others)


def _end_orphans(others: set[int]) -> None:
    """What it started while it was ending has this process as its parent now."""
    while orphans := set(children_of_this_process()) - others:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # then its own children come here


def taken_over() -> socket.socket:
    """In the driven process: its socket.  A Ctrl-C is the benchmark's; then comes the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return socket.socket(fileno=int(sys.argv[1]))


def serve(sock: socket.socket, work: Mapping[str, Callable[[int], Any]]) -> None:
    """Do what is asked for, until the end of the socket."""
    with suppress(BrokenPipeError):  # the end came while it worked
        while (found := _receive(sock)) is not None:
            command, count = found
            _send(sock, (work[command](count) if command else None,))


def _send(sock: socket.socket, message: tuple[Any, ...]) -> None:
    frame = msgspec.msgpack.encode(message)
    sock.sendall(LENGTH.pack(len(frame)) + frame)


def _receive(sock: socket.socket) -> list[Any] | None:
    """None at the end."""
    try:
        head = sock.recv(LENGTH.size, socket.MSG_WAITALL)
        if not head:
            return None
        frame = sock.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL)
    except ConnectionError:  # the other end had not read all
        return None
    return msgspec.msgpack.decode(frame, type=list[Any])
