"""One connection through the proxy: two directions of bytes, and what befalls them."""

from __future__ import annotations

import random
import selectors
import socket
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Literal

__all__ = ["Direction", "Relay"]

Direction = Literal["up", "down", "both"]  # up: from the client to the actor

READ_BYTES: Final = 64 * 1024
MOST_WAITING: Final = 1024 * 1024  # bytes on their way in one direction; then nobody reads
MOST_KEPT: Final = 256 * 1024  # bytes from its beginning on; a longer one is not duplicated
PIECES: Final = 8  # that one read is split into
NEVER: Final = float("inf")


class _Way:
    """One direction: what was read from ``source`` and has to go to ``sink``."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.waiting: deque[tuple[float, bytes]] = deque()  # when it may go, in order
        self.size = 0
        self.delayed = self.split = self.swallowed = 0.0  # until when
        self.has_ended = False  # the source will say no more
        self.is_done = False  # and the sink knows it

    @property
    def due(self) -> float:
        return self.waiting[0][0] if self.waiting else NEVER


class Relay:
    """Closed when either side breaks, or both have ended."""

    def __init__(
        self,
        name: str,
        client: socket.socket,
        *,
        connect: Callable[[], socket.socket | None],
        selector: selectors.BaseSelector,
        chance: random.Random,
        closed: Callable[[Relay], None],
    ) -> None:
        self.name = name
        self._selector = selector
        self._chance = chance
        self._closed = closed
        self._connect = connect
        self._breaks = NEVER  # when a black hole ends
        self._kept: bytes | None = b""  # what went up from the beginning on
        # Second connections, with what they have still to say and when they end.
        self._doubles: list[tuple[float, socket.socket]] = []
        actor = connect()
        self.is_open = actor is not None
        if actor is None:
            client.close()
            return
        self._up, self._down = _Way(client, actor), _Way(actor, client)
        for way in (self._up, self._down):
            selector.register(way.source, selectors.EVENT_READ, self._reader_of(way))

    @property
    def due(self) -> float:
        """When ``pump`` has something to do, at the latest."""
        doubles = min((until for until, _ in self._doubles), default=NEVER)
        return min(self._up.due, self._down.due, self._breaks, doubles)

    def suffer(self, does: str, direction: Direction, until: float) -> None:
        """Let it happen now, or to all bytes that come before ``until``."""
        ways = [way for way, name in self._ways() if direction in (name, "both")]
        match does:
            case "delay":
                for way in ways:
                    way.delayed = until
            case "split":
                for way in ways:
                    way.split = until
            case "duplicate":
                self._duplicate(until)
            case "reset":
                self._reset()
            case "blackhole":
                self._breaks = min(self._breaks, until)
                for way in ways:
                    way.swallowed = until
                    way.waiting.clear()
                    way.size = 0

    def pump(self, now: float) -> None:
        """Send what may go by now."""
        if not self.is_open:
            return
        if now >= self._breaks:
            self._reset()
            return
        for until, double in list(self._doubles):
            if now >= until:
                self._doubles.remove((until, double))
                double.close()
        for way, _ in self._ways():
            if not self._send(way, now):
                self.close()
                return
        if self._up.is_done and self._down.is_done:
            self.close()

    def close(self) -> None:
        """Break it: whoever has not read what came, will not."""
        if not self.is_open:
            return
        self.is_open = False
        for way, _ in self._ways():
            if way.source in self._selector.get_map():
                self._selector.unregister(way.source)
            way.source.close()
        for _, double in self._doubles:
            double.close()
        self._closed(self)

    # -- inside ------------------------------------------------------------------------------

    def _ways(self) -> tuple[tuple[_Way, Direction], tuple[_Way, Direction]]:
        return (self._up, "up"), (self._down, "down")

    def _reader_of(self, way: _Way) -> Callable[[int], None]:
        return lambda _events: self._read(way)

    def _read(self, way: _Way) -> None:
        try:
            data = way.source.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            way.has_ended = True
            self._selector.unregister(way.source)
        elif not way.swallowed:
            self._take(way, data)
        if way.size > MOST_WAITING and not way.has_ended:
            self._selector.unregister(way.source)  # until the sink has read

    def _take(self, way: _Way, data: bytes) -> None:
        if way is self._up and self._kept is not None:
            self._kept = self._kept + data if len(self._kept) < MOST_KEPT else None
        last = way.waiting[-1][0] if way.waiting else 0.0
        due = max(last, way.delayed)  # what was read before goes before
        pieces = [data]
        if way.split and len(data) > 1:
            count = min(PIECES, len(data) - 1)
            cuts = [0, *sorted(self._chance.sample(range(1, len(data)), count)), len(data)]
            pieces = [data[a:b] for a, b in pairwise(cuts)]
        way.waiting += ((due, piece) for piece in pieces)
        way.size += len(data)

    def _send(self, way: _Way, now: float) -> bool:
        """False when the sink broke.  A piece for each look, while they are split."""
        way.delayed = way.delayed if way.delayed > now else 0.0
        is_split = way.split > now
        way.split = way.split if is_split else 0.0
        while way.due <= now:
            due, data = way.waiting.popleft()
            try:
                sent = way.sink.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            way.size -= sent
            if sent < len(data):
                # The next look is soon enough: nobody else sends there.
                way.waiting.appendleft((max(due, now + 0.001), data[sent:]))
                break
            if is_split:
                break
        if way.has_ended and not way.waiting and not way.is_done and not way.swallowed:
            way.is_done = True
            try:
                way.sink.shutdown(socket.SHUT_WR)
            except OSError:
                return False
        self._read_on(way)
        return True

    def _read_on(self, way: _Way) -> None:
        is_read = way.source in self._selector.get_map()
        if not is_read and not way.has_ended and way.size <= MOST_WAITING:
            self._selector.register(way.source, selectors.EVENT_READ, self._reader_of(way))

    def _duplicate(self, until: float) -> None:
        """What went up so far, from its beginning, on another connection; nobody hears answers."""
        if not self._kept:
            return
        double = self._connect()
        if double is None:
            return
        try:
            double.send(self._kept)  # as much as fits: the rest is a cut in the middle
        except OSError:
            double.close()
            return
        self._doubles.append((until, double))

    def _reset(self) -> None:
        """Some of what is on its way still arrives, cut anywhere."""
        for way, _ in self._ways():
            if way.waiting and not way.swallowed:
                data = b"".join(piece for _, piece in way.waiting)
                try:
                    way.sink.send(data[: self._chance.randrange(len(data) + 1)])
                except OSError:
                    continue
        self.close()
