"""What the service manager is told, when there is one: systemd's sd_notify protocol.

Owns the address in NOTIFY_SOCKET, which children must not have.  Nothing is lost with it; a message
that systemd does not take is dropped, the next one comes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

from holdfast.actors.mailbox import Mailbox

__all__ = ["Notifier"]


class Notifier:
    """Says what it is asked to say, or nothing where nobody listens; never blocks."""

    def __init__(self, address: str = "", *, watchdog: float = 0.0) -> None:
        """``watchdog`` are the seconds within which a sign of life is expected; 0 none."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str]) -> Notifier:
        """What ``environ`` says; it is taken out of it."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        pid = environ.pop("WATCHDOG_PID", "")
        is_meant = not pid or pid == str(os.getpid())
        if not (is_meant and microseconds.isdecimal()):
            return cls(address)
        return cls(address, watchdog=int(microseconds) / 1e6)

    def ready(self, status: str) -> None:
        """Everything is up."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self) -> None:
        """A reload has begun."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading")

    def reloaded(self) -> None:
        """It is over, or undone."""
        self._tell("READY=1\nSTATUS=reloaded")

    def stopping(self) -> None:
        """The stop has begun."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    def keep_alive(self, mailbox: Mailbox) -> None:
        """A sign of life now, and twice in the time for one, as long as the mailbox is read."""
        if self._address and self._watchdog > 0:
            self._tell("WATCHDOG=1")
            mailbox.later(self._watchdog / 2, lambda: self.keep_alive(mailbox))

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
