"""RESP2 on a socket: whatever way the bytes arrive, the replies are the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from holdfast.storage.redis_wire import RefusalError, Wire

REPLIES = (
    b"+OK\r\n:-7\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n$6\r\na\r\n\0\xffb\r\n"
    b"*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n+y\r\n"
)
MEANT = [b"OK", -7, None, None, [], b"", b"a\r\n\0\xffb", [b"x", [1, None], b"y"]]


class Server:
    """The other end: what it is asked, and what it says to that."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(10)
        self.theirs.settimeout(10)
        self.wire = Wire(self.ours)

    def exchange(self, count: int, *parts: bytes) -> list[Any]:
        """Says the parts one by one, the next when the one before was taken."""

        def say() -> None:
            self.theirs.recv(1_000)
            for part in parts:
                self.theirs.sendall(part)

        speaking = threading.Thread(target=say)
        speaking.start()
        try:
            return self.wire.exchange([("PING",)] * count)
        finally:
            speaking.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.ours.close()
    server.theirs.close()


def test_every_kind_of_reply_is_read_in_whatever_parts_it_comes(server: Server) -> None:
    assert server.exchange(len(MEANT), REPLIES) == MEANT
    assert server.exchange(len(MEANT), *(REPLIES[n : n + 1] for n in range(len(REPLIES)))) == MEANT
    for at in range(1, len(REPLIES)):
        assert server.exchange(len(MEANT), REPLIES[:at], REPLIES[at:]) == MEANT


def test_a_large_reply_is_read_whole_and_what_follows_it_is_not_lost(server: Server) -> None:
    large = bytes(range(256)) * 20_000
    said = b"*2\r\n$%d\r\n%b\r\n:1\r\n" % (len(large), large)
    assert server.exchange(2, said + b"+ne", b"xt\r\n") == [[large, 1], b"next"]


@pytest.mark.parametrize(
    ("request_", "packed"),
    [
        (("GET", "k"), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
        (("SET", b"\0\r\n", 15), b"*3\r\n$3\r\nSET\r\n$3\r\n\0\r\n\r\n$2\r\n15\r\n"),
        (("GET", "\u00e9", ""), b"*3\r\n$3\r\nGET\r\n$2\r\n\xc3\xa9\r\n$0\r\n\r\n"),
    ],
)
def test_a_request_has_the_length_of_its_bytes(
    server: Server, request_: Sequence[str | bytes | int], packed: bytes
) -> None:
    server.theirs.sendall(b"+OK\r\n" * 2)
    assert server.wire.exchange([request_, request_]) == [b"OK", b"OK"]
    assert server.theirs.recv(1_000) == packed * 2


def test_an_error_is_told_apart_from_a_server_that_speaks_something_else(server: Server) -> None:
    with pytest.raises(RefusalError, match="NOPERM no"):
        server.exchange(1, b"-NOPERM no\r\n")
    for said in (b"HTTP/1.1 400 Bad Request\r\n", b"$x\r\n", b"*\r\n"):
        with pytest.raises(ConnectionError, match="not the protocol"):
            server.exchange(1, said)


def test_a_server_that_hangs_up_or_says_nothing_is_an_error(server: Server) -> None:
    server.ours.settimeout(0.01)
    with pytest.raises(TimeoutError):
        server.exchange(1, b"*2\r\n:1\r\n")
    server.theirs.sendall(b"$5\r\nab")
    server.theirs.close()
    with pytest.raises(ConnectionError, match="closed"):
        Wire(server.ours)._reply()
