"""All connections to one actor: accepted, checked, read, written, closed.

Owns sockets; what they hold when the process dies is sent again by its senders.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

from loguru import logger

from holdfast.actors.connection import Connection
from holdfast.actors.crowd import Crowd, descriptor_limit
from holdfast.actors.delivery import Delivery
from holdfast.actors.peers import is_own, peer_uid
from holdfast.actors.reactor import READ, Reactor
from holdfast.actors.receiver import Receiver
from holdfast.errors import ProtocolError

__all__ = ["Connections"]

ACCEPTS: Final = 64  # connections taken in a row
REST: Final = 1.0  # seconds without accepting, when there is no descriptor for another one


class Connections:
    """What comes in over the listener, which the root made and keeps."""

    def __init__(
        self,
        listener: socket.socket | None,
        *,
        reactor: Reactor,
        receiver: Receiver,
        deliver: Callable[[Sequence[Delivery]], None],
    ) -> None:
        self._reactor = reactor
        self._receiver = receiver
        self._deliver = deliver
        self._open: set[Connection] = set()
        self._crowd = Crowd()
        self._most = descriptor_limit()
        self._dirty: list[Connection] = []  # those that have something to say
        self._listener = listener
        self._is_full = self._is_closed = False  # no descriptor was left; nobody is accepted again
        receiver.before_greeting = self._take_in_the_rest_of
        if listener is not None:
            listener.setblocking(False)
            reactor.add(listener.fileno(), READ, self._accept)

    def flush(self) -> None:
        """Send what there is to say."""
        if self._dirty:
            dirty, self._dirty = self._dirty, []
            for connection in dirty:
                connection.flush()

    def read_rest(self) -> None:
        """Take in what has arrived on any of them."""
        for connection in list(self._open):
            connection.read_rest()

    def farewell(self) -> None:
        """Tell them all how much of what they sent has come."""
        for connection in self._open:
            connection.intake.farewell()

    def let_go(self) -> None:
        """In a fork: close its copies, unseen by the peers."""
        for connection in self._open:
            connection.sock.close()
        if self._listener is not None:
            self._listener.close()

    def close(self) -> None:
        """Close them all."""
        self._is_closed = True
        for connection in list(self._open):
            connection.close("the actor stopped")

    def _accept(self, _events: int) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._rest(error)
                return
            if not is_own(sock):
                logger.warning("refused a connection of uid {}", peer_uid(sock))
                sock.close()
                continue
            if sock.fileno() >= self._most:  # the rest is for files and programs of the actor
                sock.close()
                self._rest(OSError(errno.EMFILE, "too many connections"))
                return
            self._is_full = False
            sock.setblocking(False)
            connection = Connection(
                sock,
                reactor=self._reactor,
                receiver=self._receiver,
                deliver=self._deliver,
                wake=self._dirty_one,
                closed=self._forget,
                holds=self._crowd.holds,
            )
            self._open.add(connection)
            self._crowd.enter(connection)

    def _rest(self, error: OSError) -> None:
        """No descriptor is left, most likely: who waits to be accepted would wake us at once."""
        assert self._listener is not None
        if not self._is_full:
            logger.warning("cannot accept a connection, trying again each second: {}", error)
        self._is_full = True
        self._reactor.remove(self._listener.fileno())
        self._reactor.later(REST, self._look_again)

    def _look_again(self) -> None:
        if self._listener is not None and self._listener.fileno() >= 0 and not self._is_closed:
            self._reactor.add(self._listener.fileno(), READ, self._accept)

    def _dirty_one(self, connection: Connection) -> None:
        self._dirty.append(connection)

    def _forget(self, connection: Connection, reason: str) -> None:
        self._open.discard(connection)
        self._crowd.leave(connection)
        if reason.startswith(("refused", "left", "un", "one of", "is a copy")):
            logger.warning("connection of {} {}", connection.intake.sender or "?", reason)

    def _take_in_the_rest_of(self, sender: str, incarnation: str) -> None:
        """A sender opens a connection: what its earlier one holds comes first, then it ends."""
        for connection in list(self._open):
            if connection.intake.sender != sender:
                continue
            if _life(connection.intake.incarnation) > _life(incarnation):
                raise ProtocolError(f"a newer life of {sender!r} is connected: this one must end")
            connection.read_rest()
            connection.close("superseded")


def _life(incarnation: str) -> tuple[int, ...]:
    """Incarnations in the order of their lives; "5.1.2" comes before "5.1.10"."""
    return tuple(int(part) if part.isdigit() else 0 for part in incarnation.split("."))
