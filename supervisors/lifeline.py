"""The socket that ties a child to its supervisor; either end is told here what the other said.

Datagrams in order: a message is whole or not there, and end of file is the other's death.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from holdfast.actors.messages import lifeline
from holdfast.actors.messages.lifeline import FromChild, FromParent

__all__ = ["Lifeline", "child_end", "lifeline_pair"]

# Bytes; above what the kernel lets through: twice wmem_max, which is 208 KiB, less its own share.
# A child in a supervisor's answer takes some 700.
DATAGRAM = 512 * 1024

Heard = TypeVar("Heard")


class Lifeline(Generic[Heard]):
    """One end; nothing here blocks."""

    def __init__(self, sock: socket.socket, decode: Callable[[bytes], Heard]) -> None:
        self._sock = sock
        self._decode = decode
        self.ended = False  # the other end is closed: nothing more will be heard
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM)

    def fileno(self) -> int:
        """Readable when there is something to hear."""
        return self._sock.fileno()

    def send(self, message: FromChild | FromParent) -> None:
        """Say it, unless the other end is dead; whoever waits for an answer has a deadline."""
        with suppress(BlockingIOError, ConnectionError):
            self._sock.send(lifeline.encode(message))

    def hear(self) -> list[Heard]:
        """What was said since; sets ``ended``."""
        heard: list[Heard] = []
        while not self.ended:
            try:
                datagram = self._sock.recv(DATAGRAM)
            except BlockingIOError:
                break
            except ConnectionError:
                datagram = b""
            if datagram:
                heard.append(self._decode(datagram))
            else:
                self.ended = True
        return heard

    def close(self) -> None:
        """Close this end."""
        self._sock.close()


def lifeline_pair() -> tuple[Lifeline[FromChild], socket.socket]:
    """The supervisor's end, and what becomes the child's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Lifeline(ours, lifeline.decode_from_child), theirs


def child_end(fd: int) -> Lifeline[FromParent]:
    """The child's end, from the descriptor it was born with."""
    return Lifeline(socket.socket(fileno=fd), lifeline.decode_from_parent)
