"""A peer that speaks the protocol by hand, and says with it what it likes."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from holdfast.actors.frames import FrameReader
from holdfast.actors.wire import (
    Failure,
    Refused,
    Reply,
    Result,
    decode_from_receiver,
    encode_frame,
)
from tests.peers import greet

__all__ = ["Stranger", "connected"]


def connected(run_dir: Path, actor: str, *, timeout: float = 2) -> socket.socket:
    """A bare connection to an actor; nothing is said on it yet."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    sock.connect(str(run_dir / f"{actor}.sock"))
    return sock


class Stranger:
    """One connection to one actor, opened again whenever the actor has ended it."""

    def __init__(self, run_dir: Path, actor: str, probe: list[Any]) -> None:
        """``probe`` is a question that the actor always answers."""
        self.actor = actor
        self._run_dir = run_dir
        self._probe = probe
        self._sock: socket.socket | None = None
        self._reader = FrameReader()
        self._waiting: deque[object] = deque()  # heard and not looked at
        self._lives = 0
        self._number = self._ident = 0

    def says(self, body: bytes, kind: str) -> list[object]:
        """Send it as an ask, a command or a tell, then ask the probe; what came before its answer.

        Ends with Refused when the actor has ended the connection.
        """
        if self._sock is None:
            self._greet()
        self._ident += 2
        raw = msgspec.Raw(body)
        if kind == "ask":
            frame = encode_frame([5, self._ident, raw, False, None])
        else:
            self._number += 1
            tag, count = (4, 0) if kind == "command" else (3, 1)
            frame = encode_frame([tag, self._number, count, False, raw])
        probe = self._ident + 1
        heard: list[object] = []
        assert self._sock is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # the reason may be there to read
            self._sock.sendall(frame + encode_frame([5, probe, self._probe, False, None]))
        with suppress(ConnectionResetError):
            for message in self._frames():
                if isinstance(message, Reply) and message.id == probe:
                    if any(isinstance(each, Refused) for each in heard):
                        self.close()
                    return heard
                heard.append(message)
        self.close()
        assert heard, "the connection ended without a word"
        assert isinstance(heard[-1], Refused), heard
        return heard

    def failures(self, body: bytes, kind: str) -> list[str]:
        """The types of the errors that it was answered with; of the connection's end, too."""
        return [
            message.type
            for message in self.says(body, kind)
            if isinstance(message, Failure | Refused)
        ]

    def answers(self, body: bytes, kind: str) -> list[object]:
        """The answers proper."""
        return [each for each in self.says(body, kind) if isinstance(each, Reply | Result)]

    def close(self) -> None:
        """Go away without a goodbye."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _greet(self) -> None:
        self._sock = connected(self._run_dir, self.actor)
        self._reader = FrameReader()
        self._lives += 1
        self._number = 0
        self._waiting.clear()
        name = f"stranger-{self._lives}"
        greet(self._sock, self.actor, name)

    def _frames(self) -> Iterator[object]:
        assert self._sock is not None
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if not (data := self._sock.recv(1 << 16)):
                return
            self._waiting += map(decode_from_receiver, self._reader.feed(data))
