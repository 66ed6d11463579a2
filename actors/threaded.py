"""The driver for programs with threads: links to actors, carried by one background thread.

Kept in this process only: the outboxes.  They are lost when it dies, so whoever needs to know that
something is safe calls ``flush``.

A thread that waits for a reply takes the socket over from the background thread and reads it
itself: a hop between threads costs more than the whole round trip.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from holdfast.actors.addresses import socket_path
from holdfast.actors.background import Background
from holdfast.actors.counters import Counters, counters_of
from holdfast.actors.forks import forks
from holdfast.actors.link import Link, lane
from holdfast.actors.link_socket import LinkSocket
from holdfast.actors.outbox import Omit, OutboxLimits, Pack
from holdfast.actors.plain import decoder
from holdfast.actors.reactor import Timer
from holdfast.actors.ref import RemoteFuture
from holdfast.actors.vocabularies import decode_reply_of
from holdfast.clock import Clock
from holdfast.errors import HoldfastError, OutboxFullError

__all__ = ["ThreadedDriver"]

# Seconds that an offer without waiting gives to a thread that is in the driver just now.  Not
# without end: that thread may wait for a lock of the caller's (of a log handler, say).
LOCK_TIMEOUT: Final = 0.05
# Seconds a thread keeps the socket after a reply.  Who asks once often asks again: changing hands
# costs two system calls, and the background thread wakes up for every reply that is fast.
LINGER: Final = 0.005


class ThreadedDriver:
    """Links by actor name, for any number of threads of one process."""

    def __init__(
        self,
        *,
        run_dir: Path,
        sender: str,
        incarnation: str,
        clock: Clock,
        limits: OutboxLimits | None = None,
    ) -> None:
        self.sender = sender
        self._limits = limits
        self._incarnation = incarnation
        self._clock = clock
        # Addresses go through a descriptor: the path of a socket holds 107 bytes only.
        self._folder = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._pid, self._forks = os.getpid(), forks.count
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._decode_plain = decoder(self)
        self._closing = False
        self._wires: dict[str, LinkSocket] = {}
        self._background = Background(lock=self._lock, clock=clock, send=self._send)
        self._reactor = self._background.reactor
        self._wake = self._background.wake
        self._background.start()

    # -- links --------------------------------------------------------------------------------

    def open(self, to: str, *, pack: Pack | None = None, omit: Omit | None = None) -> LinkSocket:
        """The way to an actor; made at the first call, which says how offers are packed."""
        with self._locked():
            wire = self._wires.get(to)
            if wire is None:
                self._check()
                actor, sender = lane(to, self.sender)
                link = Link(
                    to=actor,
                    sender=sender,
                    incarnation=self._incarnation,
                    decode_reply=decode_reply_of(actor) or self._decode_plain,
                    pack=pack,
                    omit=omit,
                    limits=self._limits,
                )
                wire = self._wires[to] = LinkSocket(
                    link,
                    address=socket_path(self._folder, actor),
                    reactor=self._reactor,
                    changed=self._changed.notify_all,
                )
                wire.open()
                self._wake()
            return wire

    def offer(self, wire: LinkSocket, item: bytes, timeout: float | None = None) -> None:
        """Queue one item; what happens when the outbox is full is the policy's to say.

        Raises OutboxFullError when it stays full; the item is not queued then.  With a timeout of
        0 it may be called from anywhere, also from a signal handler, ``__del__`` or a fork.
        """
        if timeout is not None and timeout <= 0:
            self._offer_at_once(wire, item)
            return
        with self._locked():
            self._put(wire, item, timeout)

    def ask_once(self, to: str, message: object, timeout: float, *, idempotent: bool = True) -> Any:
        """The reply; asked again after every restart of the actor unless not ``idempotent``.

        Raises AskTimeout, RemoteActorDied, or what the handler raised.
        """
        future = RemoteFuture()
        future.sent(self, to, self.send_ask(to, message, future.set, idempotent=idempotent))
        return future.get(timeout=timeout)

    def command_once(self, to: str, message: object, timeout: float) -> Any:
        """The result of a message that is carried out exactly once.

        Raises AskTimeout, and it may be carried out yet; or what the handler raised.
        """
        future, wire = RemoteFuture(), self.open(to)
        with self._locked():
            self._wait_for_room(wire.link, timeout)
            wire.link.command(message, future.set)
            wire.flush()
        future.sent(self, to, 0)
        return future.get(timeout=timeout)

    def drain(self, timeout: float) -> bool:
        """Wait until all that was queued before is acknowledged; whether it was in time.

        Raises what a link was refused with, if it still owes.
        """
        deadline = self._clock.monotonic() + timeout
        owing = [(to, wire.link, wire.link.accepted) for to, wire in list(self._wires.items())]
        for to, link, accepted in owing:
            rest = deadline - self._clock.monotonic()
            if not self.wait(to, partial(_is_settled, link, accepted), rest):
                return False
            if link.refused is not None and link.queued:
                raise link.refused
        return True

    @property
    def owed(self) -> dict[str, int]:
        """How many messages to whom are not acknowledged."""
        with self._locked():
            return {to: wire.link.queued for to, wire in self._wires.items() if wire.link.queued}

    @property
    def counters(self) -> dict[str, Counters]:
        """The counts of every link, by name."""
        with self._locked():
            return {to: counters_of(wire.link) for to, wire in self._wires.items()}

    def pause(self, seconds: float) -> None:
        """Let time pass; ends early when the driver is closed."""
        with self._locked():
            self._changed.wait_for(lambda: self._closing, seconds)
            self._check()

    @property
    def is_usable(self) -> bool:
        """Not closed, and not the copy that a fork made."""
        return not self._closing and self._forks == forks.count

    # -- the driver of references -------------------------------------------------------------

    def send_tell(self, to: str, message: object) -> None:
        """Queue until acknowledged; waits when the outbox is full."""
        with self._locked():
            wire = self._wires.get(to) or self.open(to)
            if wire.link.is_full or self._closing:
                self._wait_for_room(wire.link)
            if wire.link.tell(message):
                self._send_full_frames(wire)
            elif self._background.is_asleep or self._background.naps:
                self._wake()

    def send_ask(
        self,
        to: str,
        message: object,
        on_reply: Callable[[Any], None],
        *,
        idempotent: bool,
        timeout: float | None = None,
    ) -> int:
        """Send at once if there is credit."""
        with self._locked():
            wire = self._wires.get(to) or self.open(to)
            self._check()
            deadline = None if timeout is None else self._clock.monotonic() + timeout
            ident = wire.link.ask(message, on_reply, idempotent=idempotent, deadline=deadline)
            wire.flush()
            return ident

    def send_stop(self, to: str, on_reply: Callable[[Any], None]) -> None:
        """Send pykka's stop."""
        wire = self.open(to)
        with self._locked():
            wire.link.stop(on_reply)
            wire.flush()

    def abandon(self, to: str, ident: int) -> None:
        """Nobody waits for the answer any more."""
        with self._locked():
            self._wires[to].link.abandon(ident)

    def wait(self, to: str, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``; reads the socket of ``to`` here when no other thread does."""
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        with self._locked():
            while not is_done():
                rest = None if deadline is None else deadline - self._clock.monotonic()
                if (rest is not None and rest <= 0) or self._closing:
                    return False
                wire = self._wires[to]
                wire.flush()
                if wire.sock is None or wire.waiting:
                    self._wake()  # a retry may have been put on the heap here
                    self._changed.wait(rest)
                else:
                    self._read_here(wire, is_done, deadline)
        return True

    def wait_until(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Until ``is_done``; the background thread reads meanwhile."""
        with self._locked():
            for wire in self._wires.values():
                if wire.claimed and not wire.waiting:  # it lingers, and nobody would read it
                    wire.release()
            self._changed.wait_for(lambda: self._closing or is_done(), timeout)
            return is_done()

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back in the background thread, which has the lock then."""
        with self._locked():
            self._check()
            self._wake()
            return self._reactor.later(delay, partial(self._call_back, callback))

    def every(self, interval: Callable[[], float], callback: Callable[[], None]) -> None:
        """Call back again and again, as ``later`` does once, until ``interval`` gives 0."""

        def again() -> None:
            if (delay := interval()) > 0:
                callback()
                self._reactor.later(delay, again)

        self.later(interval(), again)

    def is_up(self, to: str) -> bool:
        """Whether the actor has welcomed this process on the present connection."""
        return self.open(to).link.is_up

    def remaining(self) -> float | None:
        """A program asks on nobody's behalf."""
        return None

    def close(self) -> None:
        """Say goodbye where nothing is owed; abandon what is not acknowledged."""
        if self._forks != forks.count:
            return  # a forked child shares the sockets; they are the parent's to close
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._background.end()
        with self._lock:
            for wire in self._wires.values():
                wire.close()
            self._background.close()
            os.close(self._folder)

    # -- inside -------------------------------------------------------------------------------

    def _call_back(self, callback: Callable[[], None]) -> None:
        callback()
        self._changed.notify_all()

    def _locked(self) -> threading.RLock:
        """The lock; in a fork it may belong to a thread that is not there."""
        if self._forks != forks.count:
            self._check()
        return self._lock

    def _check(self) -> None:
        if self._forks != forks.count:
            raise HoldfastError(
                f"this connection belongs to process {self._pid}, not to its fork {os.getpid()}: "
                "connect again in the child"
            )
        if self._closing:
            raise HoldfastError("the connection is closed: connect again")

    def _offer_at_once(self, wire: LinkSocket, item: bytes) -> None:
        self._check()  # first: the lock of a fork's copy may be held by a thread it does not have
        # In a signal handler or ``__del__`` the thread may be in the middle of a change here.
        is_inside: bool = self._lock._is_owned()  # type: ignore[attr-defined]  # as Condition asks it
        if is_inside or not self._lock.acquire(timeout=LOCK_TIMEOUT):
            raise OutboxFullError(f"the outbox to {wire.link.to!r} is in use: offer it again")
        try:
            self._put(wire, item, 0.0)
        finally:
            self._lock.release()

    def _put(self, wire: LinkSocket, item: bytes, timeout: float | None) -> None:
        link = wire.link
        if link.is_full or self._closing:
            if link.refused is None and not self._closing and link.overflow(item):
                return
            self._wait_for_room(link, timeout)
        if link.offer(item):
            self._send_full_frames(wire)
        elif self._background.is_asleep:
            self._wake()

    def _send_full_frames(self, wire: LinkSocket) -> None:
        """From here: the background thread would have to wait for the interpreter, 5 ms in a
        program that is busy."""
        wire.flush()
        if not wire.link.is_up:
            self._wake()  # the break may have put timers on the heap

    def _wait_for_room(self, link: Link, timeout: float | None = None) -> None:
        self._check()
        if timeout is None:
            timeout = link.room_timeout
        deadline = self._clock.monotonic() + timeout
        while link.is_full:
            if link.refused is not None:
                raise link.refused
            rest = deadline - self._clock.monotonic()
            if rest <= 0 or self._closing:
                raise link.reject(timeout)
            self._wake()
            self._changed.wait(rest)

    def _read_here(
        self, wire: LinkSocket, is_done: Callable[[], bool], deadline: float | None
    ) -> None:
        """Read the socket in this thread until done, due or broken; the lock is let go to wait."""
        sock = wire.sock
        assert sock is not None
        if not wire.claimed:
            wire.claim()
            if not wire.lingers:
                wire.lingers = True
                self._reactor.later(LINGER, partial(self._hand_back, wire, wire.reads))
                self._wake()
        waiter = wire.waiter
        try:
            while not is_done() and wire.sock is sock:
                rest = None if deadline is None else deadline - self._clock.monotonic()
                if rest is not None and rest <= 0:
                    return
                wire.waiting = True
                self._lock.release()
                try:
                    ready = waiter.poll(None if rest is None else rest * 1000)
                finally:
                    self._lock.acquire()
                    wire.waiting = False
                if ready:
                    wire.read()
                    wire.flush()  # what was read may have brought credit
        finally:
            wire.reads += 1
            self._changed.notify_all()
            if wire.sock is not sock and not self._closing:
                self._wake()  # the break may have put timers on the heap

    def _hand_back(self, wire: LinkSocket, reads: int) -> None:
        """Give the socket to the background thread once no thread has read it for LINGER."""
        if wire.claimed and (wire.waiting or wire.reads != reads):
            self._reactor.later(LINGER, partial(self._hand_back, wire, wire.reads))
            return
        wire.lingers = False
        if wire.claimed:
            wire.release()

    def _send(self) -> int:
        """Send what was queued; how many messages there have ever been."""
        for wire in self._wires.values():
            wire.flush()
        return sum([wire.link.accepted for wire in self._wires.values()])


def _is_settled(link: Link, accepted: int) -> bool:
    """Whether the first ``accepted`` messages are acknowledged, or never will be."""
    return link.refused is not None or link.accepted - link.queued >= accepted
