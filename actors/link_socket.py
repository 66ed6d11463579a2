"""The socket under a link: connects, reconnects, never gives up until the link is refused.

The address of an actor outlives the actor, since the root keeps its listener: a connection made
while the actor restarts waits in the kernel.  So a refused connect only means that the root is
restarting too; it is tried again and nobody hears of it.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from holdfast.actors.frames import FrameReader
from holdfast.actors.link import Link
from holdfast.actors.peers import is_own
from holdfast.actors.reactor import READ, WRITE, Cancellable, Watches
from holdfast.errors import HoldfastError

__all__ = ["LinkSocket"]

# The kernel takes what net.core.wmem_max allows, doubled; each time it is full costs a wake-up,
# which in a program with a busy thread takes up to 5 ms to get the interpreter.
SEND_BUFFER: Final = 4 * 1024 * 1024
EVIDENCE: Final = 0.08  # seconds to hear from the next life what the last one had in hand
RETRY_FIRST: Final = 0.005  # seconds; a restart takes 5-10 ms
RETRY_MOST: Final = 0.25  # seconds; bounds how long a restarted root goes unnoticed


class LinkSocket:
    """Drives one link over one Unix socket at a time; never blocks."""

    def __init__(
        self,
        link: Link,
        *,
        address: str,
        reactor: Watches,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.link = link
        self.sock: socket.socket | None = None
        self.claimed = False  # a thread reads the socket itself; the reactor must not
        self.waiting = False  # that thread waits in the kernel now, without the lock
        self.lingers = False  # a timer will look whether that thread still comes
        self.reads = 0  # by threads; tells whether they go on claiming
        self.waiter = select.poll()  # what a thread waits with
        self._address = address
        self._reactor = reactor
        self._changed = changed  # called after acknowledgements, replies, breaks
        self._reader = FrameReader()
        self._unsent = b""
        self._is_new = False  # nothing of what was last tried to send had left before
        self._last_was_sent = True  # False: the socket broke before the last bytes left
        self._failures = 0  # connections in a row that brought no Welcome
        self._retry: Cancellable | None = None
        self._closed = False

    def open(self) -> None:
        """Connect now, or keep trying."""
        if self._retry is not None:  # it may be early: one of them goes on, not both
            self._retry.cancel()
            self._retry = None
        if self.sock is not None or self._closed:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            sock.connect(self._address)
            if not is_own(sock):  # somebody else's socket in our place: nothing is said to it
                raise PermissionError
        except OSError:  # EAGAIN, refused, no such file: all of them mean "restarting"
            sock.close()
            self._try_again()
            return
        self.sock = sock
        self._reader = FrameReader()
        self._unsent = b""
        self._last_was_sent = True
        self._reactor.add(sock.fileno(), READ, self._on_ready)
        self.waiter = select.poll()
        self.waiter.register(sock, select.POLLIN)
        self.link.connected()
        self.flush()

    def flush(self) -> None:
        """Send what the link has to say and the socket takes; wait for room for the rest."""
        if not self._send():
            is_new, self._unsent = self._is_new, b""
            if not self.waiting:  # it has answered all the same, perhaps, and said farewell
                self._hear_last_words()
            self._broke(last_was_sent=not is_new)

    def drive(self) -> None:
        """Do at once what the reactor would: from a thread that has its owner's leave."""
        self.open()
        self.read()
        self.flush()

    def _send(self) -> bool:
        """False when the socket broke."""
        link, sock, had_rest = self.link, self.sock, bool(self._unsent)
        while sock is not None and (self._unsent or link.has_output):
            self._is_new = not self._unsent
            data = self._unsent or link.outgoing()
            if not data:
                break  # no credit
            try:
                sent = sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            self._unsent = data[sent:] if sent < len(data) else b""
            if self._unsent:
                break
        if bool(self._unsent) != had_rest:
            self._renew_interest()
        return True

    def claim(self) -> None:
        """Let the calling thread read; the reactor goes on to write."""
        self.claimed = True
        self._renew_interest()

    def release(self) -> None:
        """Let the reactor read again."""
        self.claimed = False
        self._renew_interest()

    def read(self) -> None:
        """Take in what has arrived."""
        if self.sock is None:
            return
        try:
            payloads = self._reader.read(self.sock)
            if payloads is None:
                self._broke()
                return
            for payload in payloads:
                self.link.receive(payload)
        except BlockingIOError:
            return
        except OSError:
            self._broke()
            return
        except HoldfastError:
            if self.link.refused is not None:
                self.close()
            else:
                self._broke()
        if self.link.is_up:
            self._failures = 0
        self._changed()

    def _hear_last_words(self) -> None:
        with suppress(OSError, HoldfastError):  # BlockingIOError among them: that was all
            while self.sock is not None and (payloads := self._reader.read(self.sock)) is not None:
                for payload in payloads:
                    self.link.receive(payload)

    def close(self) -> None:
        """Close for good; what is not acknowledged is abandoned with the link."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        if self.sock is not None:
            if self.link.refused is None and not self._unsent:
                with suppress(OSError):
                    self.sock.send(self.link.goodbye())
            if self.waiting:  # closing it alone would leave its reader waiting
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
            self._drop()

    def _drop(self) -> None:
        if self.sock is not None:
            self._reactor.remove(self.sock.fileno())
            self.sock.close()
            self.sock = None
            self.claimed = False

    def _on_ready(self, events: int) -> None:
        if events & ~WRITE and not self.waiting:
            if self.claimed:  # by a thread that has gone; a hang-up is reported all the same
                self.release()
            self.read()
        self.flush()

    def _renew_interest(self) -> None:
        if self.sock is not None:
            mask = (0 if self.claimed else READ) | (WRITE if self._unsent else 0)
            self._reactor.modify(self.sock.fileno(), mask)

    def _broke(self, *, last_was_sent: bool = True) -> None:
        if self.waiting and self.sock is not None:
            # Closing it here would leave its reader waiting; this wakes the reader up.
            self._last_was_sent = last_was_sent
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            return
        was_up = self.link.is_up
        self._drop()
        self.link.disconnected(last_was_sent=last_was_sent and self._last_was_sent)
        self._reactor.later(EVIDENCE, self._give_up_limbo)
        self._changed()
        if was_up and not self._failures:
            self.open()
        else:
            self._try_again()

    def _give_up_limbo(self) -> None:
        self.link.give_up_limbo()
        self._changed()

    def _try_again(self) -> None:
        delay = min(RETRY_MOST, RETRY_FIRST * 2 ** min(self._failures, 10))
        self._failures += 1
        self._retry = self._reactor.later(delay, self.open)
