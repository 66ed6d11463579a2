"""The clients of the gateway: accepted, checked, read, written, closed; nothing here blocks.

A client's lines are handled one after the other, and the next one is begun when the answer to the
one before is out of this process.  So what a client may make this process hold is a line and an
answer, and not reading is its own harm: after ``grace`` seconds it is disconnected, and counted.
Lost with the process: the connections, and answers that were not sent; clients connect again.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.crowd import descriptor_limit
from holdfast.actors.json_lines import JsonLines, TooLong
from holdfast.actors.peers import is_own, peer_uid
from holdfast.actors.reactor import READ, WRITE, Reactor
from holdfast.actors.wire import Refused, encode_frame

__all__ = ["Client", "Doors", "Figures", "Limits", "Line"]

CHUNK: Final = 64 * 1024  # bytes of one read
ACCEPTS: Final = 64  # connections taken in a row
REST: Final = 1.0  # seconds without accepting, when there is no descriptor for another one
HEAD: Final = 4  # bytes; a frame of holdfast's own protocol has a NUL in them, and no JSON has
# What a program is told that speaks that protocol here.
WRONG_DOOR: Final = encode_frame(
    Refused("UnknownActorError", "the gateway speaks JSON lines only: see docs/GATEWAY.md")
)
LOST: Final = select.EPOLLHUP | select.EPOLLERR


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the configuration; ``timeout`` and ``grace`` in seconds."""

    max_clients: int
    max_line: int
    max_answer: int
    timeout: float
    grace: float


class Figures(msgspec.Struct, kw_only=True):
    """What this life of the gateway has seen."""

    connected: int = 0  # ever
    refused: int = 0  # of another user, or one too many
    slow: int = 0  # disconnected, for they did not read
    requests: int = 0
    errors: int = 0  # requests answered with an error
    pushed: int = 0  # events sent to subscribers


class Line(msgspec.Struct, frozen=True):
    """A client asks; it says nothing else before it is answered."""

    client: Client
    text: bytes | TooLong


class Client:
    """One connection.  ``owner`` is for whoever handles its lines to keep what it likes in."""

    def __init__(self, sock: socket.socket, number: int, doors: Doors) -> None:
        self.number = number
        self.owner: Any = None
        self.is_busy = False  # a line of it is being handled
        self.is_open = True
        self._sock = sock
        self._doors = doors
        self._lines = JsonLines(max_line=doors.limits.max_line)
        self._unsent = b""
        self._stuck_at = 0.0  # when the last byte of those left (monotonic seconds)
        self._is_timed = False  # there is a timer that looks at that
        self._is_at_end = False  # it says nothing any more
        self._is_deaf = False  # it has closed: nothing can be said to it
        self._is_new = True  # it has said nothing yet
        self._mask: int | None = READ  # what the reactor waits for; None for nothing
        doors.reactor.add(sock.fileno(), READ, self._on_ready)

    @property
    def is_clear(self) -> bool:
        """All that was said to it has left this process."""
        return not self._unsent

    @property
    def is_deaf(self) -> bool:
        """It has closed its end: nothing is of use to it any more."""
        return self._is_deaf

    def say(self, text: bytes) -> None:
        """Send a line, or several; what does not go now waits."""
        if not self.is_open or self._is_deaf:
            return
        if self._unsent:
            self._unsent += text
            return
        self._stuck_at = self._doors.now()
        self._send(text)

    def answered(self) -> None:
        """Its line was handled: on to the next."""
        self.is_busy = False
        self._go_on()

    def close(self) -> None:
        """Close; once."""
        if not self.is_open:
            return
        self.is_open = False
        if self._mask is not None:
            self._doors.reactor.remove(self._sock.fileno())
            self._mask = None
        self._sock.close()
        self._unsent = b""
        self._doors.left(self)

    # -- inside -------------------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        if events & WRITE and self._unsent:
            self._send(self._unsent)
            if not self._unsent:
                self._doors.on_clear(self)
        if self.is_open and events & ~WRITE:
            if self._wants_more:
                self._read()
            elif events & LOST:
                self._lose()
        if self.is_open:
            self._go_on()

    @property
    def _wants_more(self) -> bool:
        return not (self._is_at_end or self._lines.is_full)

    def _read(self) -> bool:
        """Whether something came, or the end."""
        try:
            data = self._sock.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._is_deaf, data = True, b""
        if self._is_new and b"\0" in data[:HEAD]:
            self.say(WRONG_DOOR)
            self.close()
        elif data:
            self._is_new = False
            self._lines.feed(data)
        else:
            self._is_at_end = True
            self._lines.end()
        return True

    def _send(self, text: bytes) -> None:
        try:
            sent = self._sock.send(text)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose()
            return
        if sent:
            self._stuck_at = self._doors.now()
        self._unsent = text[sent:] if sent < len(text) else b""
        if self._unsent:
            self._time()
        self._watch()

    def _lose(self) -> None:
        """It has closed: what it had asked for before is carried out all the same."""
        self._is_deaf, self._unsent = True, b""
        if self._mask is not None:  # the end would be reported over and over
            self._doors.reactor.remove(self._sock.fileno())
            self._mask = None

    def _go_on(self) -> None:
        """Hand the next line over, if it is its turn."""
        while not self.is_busy and not self._unsent:
            line = self._lines.next()
            if line is not None:
                self.is_busy = True
                self._doors.deliver(Line(self, line))
            elif self._is_at_end:
                if self._is_deaf or not self._doors.is_listening(self):
                    self.close()
                    return
                break
            elif self._is_deaf:
                if not self._read():  # it has closed, so all there is, is there
                    self.close()
                if not self.is_open:
                    return
            else:
                break
        self._watch()

    def _watch(self) -> None:
        """Wait for what there is to do, and no more."""
        if self._mask is None or not self.is_open:
            return
        mask = (READ if self._wants_more else 0) | (WRITE if self._unsent else 0)
        if mask != self._mask:
            self._mask = mask
            self._doors.reactor.modify(self._sock.fileno(), mask)

    def _time(self) -> None:
        if not self._is_timed:
            self._is_timed = True
            rest = self._stuck_at + self._doors.limits.grace - self._doors.now()
            self._doors.reactor.later(max(rest, 0.001), self._look_whether_it_reads)

    def _look_whether_it_reads(self) -> None:
        self._is_timed = False
        if not (self.is_open and self._unsent):
            return
        if self._doors.now() - self._stuck_at < self._doors.limits.grace:
            self._time()
            return
        self._doors.figures.slow += 1
        logger.warning(
            "client {} has left answers unread for {} s and is disconnected",
            self.number,
            self._doors.limits.grace,
        )
        self.close()


class Doors:
    """All clients, and the listener, which the root made and keeps.

    ``deliver`` gets their lines; ``is_listening`` says whether a client that says nothing any more
    still waits for events; ``on_clear`` hears when one has read all, after it had not, and
    ``on_leave`` of the end of each.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        reactor: Reactor,
        now: Callable[[], float],
        limits: Limits,
        deliver: Callable[[Line], None],
        is_listening: Callable[[Client], bool],
        on_clear: Callable[[Client], None],
        on_leave: Callable[[Client], None],
    ) -> None:
        self.reactor = reactor
        self.now = now
        self.limits = limits
        self.deliver = deliver
        self.is_listening = is_listening
        self.figures = Figures()
        self.on_clear = on_clear
        self._on_leave = on_leave
        self._clients: dict[Client, None] = {}
        self._listener = listener
        self._most = descriptor_limit()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._clients)

    def open(self) -> None:
        """Let them in."""
        self._listener.setblocking(False)
        self.reactor.add(self._listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Disconnect everybody."""
        if not self._is_closed:
            self._is_closed = True
            self.reactor.remove(self._listener.fileno())
        for client in list(self._clients):
            client.close()

    def left(self, client: Client) -> None:
        """It is closed."""
        self._clients.pop(client, None)
        self._on_leave(client)

    def _accept(self, _events: int) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._rest(error)
                return
            if sock.fileno() >= self._most:
                sock.close()
                self._rest(OSError(errno.EMFILE, "too many connections"))
                return
            sock.setblocking(False)
            if self._is_welcome(sock):
                self.figures.connected += 1
                self._clients[Client(sock, self.figures.connected, self)] = None

    def _is_welcome(self, sock: socket.socket) -> bool:
        if not is_own(sock):
            logger.warning("refused a connection of uid {}", peer_uid(sock))
        elif len(self._clients) >= self.limits.max_clients:
            self._turn_away(sock)
        else:
            return True
        self.figures.refused += 1
        sock.close()
        return False

    def _turn_away(self, sock: socket.socket) -> None:
        text = (
            f"{len(self._clients)} clients are connected, [actors.gateway] max_clients: "
            "close one, or try again later"
        )
        with suppress(OSError):  # it has gone by itself
            sock.send(msgspec.json.encode({"error": text}) + b"\n")

    def _rest(self, error: OSError) -> None:
        """No descriptor is left, most likely: who waits to be accepted would wake us at once."""
        logger.warning("cannot accept a client, trying again each second: {}", error)
        self.reactor.remove(self._listener.fileno())
        self.reactor.later(REST, self._look_again)

    def _look_again(self) -> None:
        if not self._is_closed:
            self.reactor.add(self._listener.fileno(), READ, self._accept)
