"""The outgoing links of the actor behind a mailbox, by the names of those they lead to.

Owns the outboxes of an actor, which are lost with its process.  Everything here happens on the
actor's thread but for ``push``, which lets another thread send while a handler takes its time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from holdfast.actors.link import Link, lane
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.mailbox_link import Home, MailboxLink
from holdfast.actors.outbox import OutboxLimits
from holdfast.actors.reactor import Reactor
from holdfast.actors.vocabularies import decode_reply_of
from holdfast.clock import Clock

__all__ = ["Outgoing"]

ALONE: Final = 0.0002  # seconds since the last tell to an actor after which the next one is alone
PUSH: Final = 0.001  # seconds that a tell waits for a handler that still runs
PUSH_MOST: Final = 0.05  # between two looks, as long as a receiver takes nothing


class Outgoing:
    """Made with what all links of one actor share; ``limits`` bound each of them."""

    def __init__(
        self,
        home: Home,
        *,
        address: Callable[[str], str],
        limits: OutboxLimits | None,
        reactor: Reactor,
        clock: Clock,
    ) -> None:
        self._address = address
        self._limits = limits
        self._reactor = reactor
        self._now = clock.monotonic
        self._home = home
        self._links: dict[str, MailboxLink] = {}
        self._wires: list[LinkSocket] = []  # of the links
        # What reads the answers of actors that have no vocabulary of their own.
        self.decode_plain: Callable[[bytes | msgspec.Raw], Any] = msgspec.msgpack.decode
        # Held by whoever touches a link.  The actor's thread lets go of it while a handler runs
        # or nothing does.
        self.guard: Final = threading.RLock()
        # Has another thread call ``push`` so many seconds later; None where handlers are short.
        self.nudge: Callable[[float], object] | None = None
        self.is_driven = False  # the actor's thread looks at the sockets itself just now
        self.was_pushed = False  # another thread has looked: what is waited for may be here
        self._is_nudged = False

    def __iter__(self) -> Iterator[Link]:
        return (link.link for link in self._links.values())

    def link(self, to: str) -> MailboxLink:
        """The link to another actor, or another lane to it; the same one for the same name."""
        known = self._links.get(to)
        if known is None:
            actor, sender = lane(to, self._home.name)
            address = self._address(actor)
            link = Link(
                to=actor,
                sender=sender,
                incarnation=self._home.incarnation,
                decode_reply=decode_reply_of(actor) or self.decode_plain,
                limits=self._limits,
            )
            wire = LinkSocket(link, address=address, reactor=self._reactor)
            known = MailboxLink(link, wire, self._home, guard=self.guard)
            with self.guard:
                self._wires.append(wire)
                self._links[to] = known
                wire.open()
        return known

    def flush(self) -> None:
        """Send what can be sent now."""
        for wire in self._wires:
            wire.flush()

    def tell(self, to: str, message: object) -> None:
        """Send at once what a handler tells alone; neighbours wait for each other.

        They leave when there is a frame full of them, when the handler ends or asks, or after
        PUSH seconds, should it take longer.
        """
        link = self.link(to)
        with self.guard:
            is_full = link.link.tell(message)
            now = self._now()
            if is_full or now - link.told_at > ALONE:
                link.told_at = now
                link.flush()
                if not link.link.has_output:
                    return
        self._nudge(PUSH)

    def push(self, waited: float) -> None:
        """From another thread: what the actor's own would do, if a handler did not keep it busy.

        Until what was told has left: ``waited`` seconds were between the last look and this one,
        twice as many will be to the next.
        """
        self._is_nudged = False
        with self.guard:
            if self.is_driven:
                return
            self.was_pushed = True
            for wire in self._wires:
                wire.drive()
            is_left = any(wire.link.has_output for wire in self._wires)
        if is_left:
            self._nudge(min(2 * waited, PUSH_MOST))

    def _nudge(self, delay: float) -> None:
        if self.nudge is not None and not self._is_nudged:
            self._is_nudged = True
            self.nudge(delay)

    def let_go(self) -> None:
        """In a fork: close its copies of the sockets; the conversations are not its own."""
        for wire in self._wires:
            if wire.sock is not None:
                wire.sock.close()

    def close(self) -> None:
        """Close them for good."""
        with self.guard:
            for wire in self._wires:
                wire.close()
