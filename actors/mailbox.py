"""The mailbox that is a socket: pykka's inbox over one epoll, on the process's only thread.

Whatever becomes ready turns into an envelope: a frame from another process, a timer's message, a
reply to an ask of this actor.  Lost when the process dies: everything in it; senders keep what was
not acknowledged, and the listener, which the root keeps too, lets them connect meanwhile.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from holdfast.actors.connections import Connections
from holdfast.actors.counters import Counters, counters_of, traffic_of
from holdfast.actors.delivery import Delivery
from holdfast.actors.eager import Eager
from holdfast.actors.handling import Handling
from holdfast.actors.mailbox_link import Answered, MailboxLink
from holdfast.actors.messages.supervisor import Traffic
from holdfast.actors.outbox import OutboxLimits
from holdfast.actors.outgoing import Outgoing
from holdfast.actors.reactor import READ, Reactor, Timer
from holdfast.actors.receiver import Receiver
from holdfast.actors.recorder import FlightRecorder, Kind, LastLife, Suspect
from holdfast.clock import Clock
from holdfast.errors import AskTimeoutError

__all__ = ["Answered", "Batch", "Mailbox", "MailboxLink", "Poisoned"]

BURST: Final = 64  # messages handled before the sockets are looked at again
PATIENCE: Final = 0.002  # seconds of handling before they are, too: acknowledgements leave then


class Batch(msgspec.Struct, frozen=True):
    """Everything that was ready, in order; each item is answered through its delivery."""

    items: list[Delivery]


class Poisoned(msgspec.Struct, frozen=True):
    """A message that killed its receiver more than once; not to be handled again."""

    delivery: Delivery
    evidence: Suspect


class Mailbox:
    """pykka's inbox (``put``, ``get``, ``empty``) and the whole input and output of a process.

    ``batch_limit`` messages are delivered as one Batch when it is above 0.  ``address`` gives
    the socket path of an actor.  ``keeps_marks`` is False for actors whose senders' marks the
    writer keeps; those get Joined and Departed messages.  ``limits`` bound each outgoing link.
    """

    # Of the hub that an agent has beside its mailbox.
    hub_counters: Callable[[], dict[str, Counters]] = dict

    def __init__(
        self,
        *,
        name: str,
        incarnation: str,
        clock: Clock,
        listener: socket.socket | None,
        address: Callable[[str], str],
        decode: Callable[[bytes | msgspec.Raw], Any] = msgspec.msgpack.decode,
        mailbox_limit: int = 10_000,
        batch_limit: int = 0,
        keeps_marks: bool = True,
        count_of: Callable[[Any], int] = lambda _message: 1,
        recorder: FlightRecorder | None = None,
        last_life: LastLife | None = None,
        limits: OutboxLimits | None = None,
    ) -> None:
        self.name, self.incarnation, self.handled = name, incarnation, 0
        self.on_first_get: Callable[[], None] | None = None
        self.current: Delivery | None = None  # what the handler has in hand, if it came by socket
        self._batch_limit, self._burst = batch_limit, 0 if batch_limit else BURST
        self._clock, self.reactor, self._now = clock, Reactor(clock=clock), clock.monotonic
        self._eager = Eager(select=self.reactor.select, clock=clock)
        self.receiver = Receiver(
            actor=name,
            incarnation=incarnation,
            decode=decode,
            mailbox_limit=mailbox_limit,
            keeps_marks=keeps_marks,
            count_of=count_of,
            recorder=recorder,
            last_life=last_life,
        )
        # What a dead life may have had in hand comes again singly: the next death tells which it
        # was, or that it was the same.
        self._singly = last_life is not None and last_life.died_at_work
        self._ready: deque[Envelope[Any] | Delivery] = deque()
        self._recorder, self._is_ending, self._since_poll = recorder, False, 0
        self.handling = Handling(self._now(), batches=batch_limit > 0)
        self._looked = self._began = 0.0  # at the sockets; to handle what is in hand (monotonic)
        self._served: list[Connections] = []  # at the actor's own address, and at others
        self._connections = self.serve(listener, self.receiver, self._ready.extend)
        self.outgoing = Outgoing(
            self, address=address, limits=limits, reactor=self.reactor, clock=clock
        )

    # -- pykka's inbox ------------------------------------------------------------------------

    def put(self, envelope: Envelope[Any]) -> None:
        """Queue a message from inside this process."""
        self._ready.append(envelope)

    def empty(self) -> bool:
        """Nothing waits to be handled."""
        return not self._ready

    def get(self) -> Envelope[Any]:
        """The next message; waits for it.  The one before it counts as handled now."""
        if self.current is not None:
            self._finish_current()
        if self.on_first_get is not None:
            callback, self.on_first_get = self.on_first_get, None
            callback()
        ready = self._ready
        while True:
            now = self._now() if ready and self._since_poll < self._burst else None
            if now is None or now - self._looked > PATIENCE:
                now = self._look(ready)
            self._since_poll += 1
            item = ready.popleft()
            if not isinstance(item, Delivery):
                self._began, self.handling.own = now, self.handling.own + 1
                if self._recorder is not None:
                    self._recorder.begin_own(now)  # what was in hand before is not to blame
                return item
            if item.deadline is None or item.deadline > now:
                self._began = now
                return self._batch(item) if self._batch_limit else self._single(item)
            late = AskTimeoutError(f"it waited for {self.name!r} longer than its timeout")
            item.set_exception((None, late, None))  # nobody waits for it any more

    # -- for the actor ------------------------------------------------------------------------

    def decode_with(
        self,
        decode: Callable[[bytes | msgspec.Raw], Any],
        decode_all: Callable[[bytes | msgspec.Raw], list[Any]],
    ) -> None:
        """Read what arrives from now on, requests and replies, with ``decode``.

        ``decode_all`` reads an array of messages at once.
        """
        self.receiver.decode = self.outgoing.decode_plain = decode
        self.receiver.decode_all = decode_all

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return self._clock.monotonic()

    def time_us(self) -> int:
        """Microseconds since 1970."""
        return self._clock.time_us()

    @property
    def length(self) -> int:
        """Messages that wait."""
        return len(self._ready)

    @property
    def traffic(self) -> Traffic:
        """What the conversations of this process came to."""
        own = map(counters_of, self.outgoing)
        return traffic_of(self.receiver, [*own, *self.hub_counters().values()])

    def absolve(self) -> None:
        """What is in hand has had its effect: a death from here on is none of its doing."""
        if self._recorder is not None:
            self._recorder.absolve()

    def stop(self) -> None:
        """Put pykka's stop behind what waits."""
        self._ready.append(Envelope(_ActorStop()))

    def end(self, *, failed: bool = False) -> None:
        """Acknowledge nothing more: what waits is for the next life.

        ``failed``: so is what is in hand, and it stays on record.
        """
        if failed:
            self.current = self._recorder = None
        self._finish_current()
        self._is_ending = True
        self.receiver.recorder = None  # the record says how this life ended, not its clearing up

    def deliver(self, message: object) -> None:
        """Queue a plain message, without anybody to answer."""
        self._ready.append(Envelope(message))

    def after(self, delay: float, message: object) -> Timer:
        """Deliver ``message`` in ``delay`` seconds."""
        return self.reactor.later(delay, lambda: self.deliver(message))

    def watch(self, fd: int, read: Callable[[], Iterable[object]]) -> None:
        """Call ``read`` whenever ``fd`` is readable; deliver what it returns."""

        def on_ready(_events: int) -> None:
            for message in read():
                self.deliver(message)

        self.reactor.add(fd, READ, on_ready)

    def unwatch(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        self.reactor.remove(fd)

    def link(self, to: str) -> MailboxLink:
        """The outgoing link to another actor; the same one for the same name."""
        return self.outgoing.link(to)

    def serve(
        self,
        listener: socket.socket | None,
        receiver: Receiver,
        deliver: Callable[[Sequence[Delivery]], None],
    ) -> Connections:
        """Accept at an address; who adds another actor's also unwatches and closes it."""
        served = Connections(listener, reactor=self.reactor, receiver=receiver, deliver=deliver)
        self._served.append(served)
        return served

    def dismiss(self, served: Connections) -> None:
        """Let go of everybody who is connected at another actor's address."""
        served.close()
        self._served.remove(served)

    def narrow(self, is_narrow: bool) -> None:
        """Let each sender have one frame under way at a time, or its share of the mailbox again.

        What was granted before is not taken back.
        """
        self.receiver.is_narrow = is_narrow

    def later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back from inside ``get``; for timeouts that are not the actor's business."""
        return self.reactor.later(delay, callback)

    def pump(self, is_done: Callable[[], bool], timeout: float | None) -> bool:
        """Run input and output, but no handler, until ``is_done`` or ``timeout`` seconds.

        What arrives meanwhile is put aside in order.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        while not is_done():
            rest = None if deadline is None else deadline - self._clock.monotonic()
            if rest is not None and rest <= 0:
                self._poll(0)  # what has arrived is in time
                return is_done()
            self._poll(rest)
        return True

    def drain(
        self,
        is_done: Callable[[], bool],
        handle: Callable[[Any], Any],
        wanted: type,
        timeout: float,
    ) -> bool:
        """While stopping: hand messages of type ``wanted`` to ``handle`` until ``is_done``.

        Everything else stays where it is.  False when ``timeout`` seconds did not do.
        """
        deadline = self._clock.monotonic() + timeout
        aside: list[Envelope[Any] | Delivery] = []
        while not is_done():
            if not self.pump(lambda: bool(self._ready), deadline - self._clock.monotonic()):
                break
            item = self._ready.popleft()
            if isinstance(item.message, wanted):
                handle(item.message)
            else:
                aside.append(item)
        self._ready.extendleft(reversed(aside))
        return is_done()

    def close(self) -> None:
        """Tell who waits that it stopped, send what is left to send, close everything."""
        self.end()
        with self.outgoing.guard:
            self.outgoing.is_driven = True  # from here on for good: nobody else sends
        self._connections.read_rest()
        for item in self._ready:
            if isinstance(item, Delivery) and item.kind in ("ask", "command"):
                item.set_exception((None, ActorDeadError(f"{self.name} stopped"), None))
        self._ready.clear()
        self._connections.farewell()
        self._flush()
        self._connections.close()
        self.outgoing.close()
        self.reactor.close()

    def let_go(self) -> None:
        """In a fork of this process: close its copies of all sockets, and nothing else.

        The connections of the actor end with it then, however long its forks live.
        """
        self._connections.let_go()
        self.outgoing.let_go()
        self.reactor.close()

    # -- inside -------------------------------------------------------------------------------

    def _finish_current(self) -> None:
        done, self.current = self.current, None
        if done is None:
            return
        if done.kind != "tell":
            self._send_answers()
        elif not (done.deferred or self._is_ending):
            done.done()

    def _send_answers(self) -> None:
        """What an agent has answered does not wait for its next handler, which may take minutes.

        Where handlers are short, answers leave together at the next look.
        """
        if self._ready and self.outgoing.nudge is not None:
            for served in self._served:
                served.flush()

    def _look(self, ready: deque[Envelope[Any] | Delivery]) -> float:
        """Send and receive, wait until there is something to handle; when that was."""
        if self._recorder is not None:
            self._recorder.idle()
        self.handling.add(self.handled, self._looked, self._began, self._now())
        self._poll(0 if ready else None)
        while not ready:
            self._poll(None)
        self._looked = now = self._now()
        return now

    def _poll(self, timeout: float | None) -> None:
        self._since_poll = 0
        reactor, outgoing = self.reactor, self.outgoing
        with outgoing.guard:
            outgoing.is_driven = True
            self._flush()
            if outgoing.was_pushed:
                outgoing.was_pushed, timeout = False, 0  # the caller looks before it waits
        ready = self._eager.wait(reactor.bounded(timeout))
        with outgoing.guard:
            reactor.dispatch(ready)
            outgoing.is_driven = False

    def _flush(self) -> None:
        for served in self._served:
            served.flush()
        self.outgoing.flush()

    def _single(self, delivery: Delivery) -> Envelope[Any]:
        self.handled += 1
        if delivery.poison is not None:
            if self._recorder is not None:
                self._recorder.begin_own(self._began)
            return Envelope(Poisoned(delivery, delivery.poison))
        self.current = delivery
        kind = delivery.kind
        if self._recorder is not None:
            slot, number, type_ = delivery.intake.slot, delivery.number, type(delivery.message)
            self._recorder.begin(self._began, slot, kind, number, delivery.position, type_)
        if kind == "ask" or kind == "command":
            return Envelope(delivery.message, delivery)  # type: ignore[arg-type]  # a Delivery is what pykka uses of a Future
        return Envelope(delivery.message)

    def _batch(self, first: Delivery) -> Envelope[Any]:
        if first.poison is not None or isinstance(first.message, _ActorStop):
            return self._single(first)
        items, size = [first], first.count
        while self._ready and size < self._batch_limit and self._may_join(first):
            item = self._ready[0]
            if not (isinstance(item, Delivery) and self._may_join(item)):
                break
            items.append(item)
            size += item.count
            self._ready.popleft()
        self.handled += len(items)
        if self._recorder is not None:
            for item in items:
                kind: Kind = item.kind if len(items) == 1 else "batch"
                slot, number, type_ = item.intake.slot, item.number, type(item.message)
                self._recorder.begin(self._began, slot, kind, number, item.position, type_)
        return Envelope(Batch(items))

    def _may_join(self, item: Delivery) -> bool:
        is_suspect = self._singly and item.redelivered
        return not (is_suspect or item.poison or isinstance(item.message, _ActorStop))
