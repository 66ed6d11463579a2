"""The protocol of Redis and Valkey (RESP2) on a socket: requests packed, replies read.

redis-py does the same at three times the cost of the exchange itself; it makes the connection.
Lost with its socket: nothing, whatever was not read is asked for again.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["RefusalError", "Wire"]

_END: Final = b"\r\n"
_NONE: Final = b"-1"  # a length
_READ: Final = 65_536  # bytes taken from the socket at a time; more when more is known to come
_MOST: Final = 1_048_576


class RefusalError(Exception):
    """The server answered with an error; its text."""


class Wire:
    """A socket, which has a timeout, and what was read from it too far.

    Raises RefusalError, after which all that was asked is answered or not, and OSError.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._read = b""
        self._at = 0  # what stands before is done with

    def exchange(self, requests: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """The replies to requests that travel together: bytes, int, None, lists of these."""
        self._socket.sendall(_packed(requests))
        try:
            return [self._reply() for _ in requests]
        except ValueError as error:
            raise ConnectionError(f"this is not the protocol of Redis: {error}") from None

    def _reply(self) -> Any:
        while (end := self._read.find(_END, self._at)) < 0:
            self._more(0)
        kind, rest = self._read[self._at : self._at + 1], self._read[self._at + 1 : end]
        self._at = end + 2
        if kind == b"$":
            return None if rest == _NONE else self._text(int(rest))
        if kind == b"*":
            return None if rest == _NONE else [self._reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RefusalError(rest.decode(errors="replace"))
        raise ConnectionError(f"this is not the protocol of Redis: {(kind + rest)[:40]!r}")

    def _text(self, length: int) -> bytes:
        """So many bytes, and what ends them."""
        missing = self._at + length + 2 - len(self._read)
        if missing > 0:
            self._more(missing)
        start = self._at
        self._at = start + length + 2
        return self._read[start : start + length]

    def _more(self, missing: int) -> None:
        """What is not done with, and at least so much behind it."""
        parts = [self._read[self._at :]]
        while True:
            part = self._socket.recv(min(max(missing, _READ), _MOST))
            if not part:
                raise ConnectionError("the server closed the connection")
            parts.append(part)
            missing -= len(part)
            if missing <= 0:
                break
        self._read, self._at = b"".join(parts), 0


def _packed(requests: Sequence[Sequence[str | bytes | int]]) -> bytes:
    parts: list[bytes] = []
    for request in requests:
        texts = [each if type(each) is bytes else str(each).encode() for each in request]
        parts.append(b"*%d\r\n" % len(texts))
        parts += [b"$%d\r\n%b\r\n" % (len(text), text) for text in texts]
    return b"".join(parts)
