"""A sender by hand: bytes on a socket, past everything that a link looks after."""

from __future__ import annotations

import socket

from holdfast.actors.wire import (
    VERSION,
    Begin,
    Hello,
    Welcome,
    decode_from_receiver,
    encode_frame,
)

__all__ = ["begin", "greet", "hello", "welcome"]


def hello(to: str, sender: str, *, first: int = 1, resuming: bool = False) -> bytes:
    """What a connection begins with."""
    return encode_frame(Hello(VERSION, to, sender, "1", first, resuming))


def welcome(sock: socket.socket) -> Welcome:
    """The answer, and nothing behind it."""
    size = int.from_bytes(_exactly(sock, 4), "little")
    answer = decode_from_receiver(_exactly(sock, size))
    assert isinstance(answer, Welcome), answer
    return answer


def begin(welcomed: Welcome) -> bytes:
    """What a sender says to that."""
    return encode_frame(Begin(welcomed.connection))


def greet(
    sock: socket.socket, to: str, sender: str, *, first: int = 1, resuming: bool = False
) -> Welcome:
    """Everything until messages may be sent; the Welcome."""
    sock.sendall(hello(to, sender, first=first, resuming=resuming))
    welcomed = welcome(sock)
    sock.sendall(begin(welcomed))
    return welcomed


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, "hung up on"
        data += more
    return data
