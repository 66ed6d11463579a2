"""The sending half of a conversation with one actor: numbers, outbox, acknowledgements.

Sans I/O: messages in, bytes out; bytes in, callbacks out.  A driver (the mailbox, a thread) owns
the socket and the clock.  Kept here until the other side has acknowledged it: every tell and
every command.  Lost when this process dies: all of that, since the sender is the keeper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from holdfast.actors.entry import Entry, OnReply
from holdfast.actors.failures import RemoteActorDied, exception_from
from holdfast.actors.outbox import Omit, Outbox, OutboxLimits, Pack
from holdfast.actors.plain import encode
from holdfast.actors.versions import other_version
from holdfast.actors.wire import (
    MAX_FRAME,
    VERSION,
    Ack,
    Begin,
    Credit,
    Failure,
    Farewell,
    Goodbye,
    Hello,
    Refused,
    Reply,
    Result,
    StopActor,
    Tell,
    Welcome,
    ask_frame,
    command_frame,
    decode_from_receiver,
    encode_frame,
    tell_frame,
)
from holdfast.errors import DeliveryError, FrameError, HoldfastError, OutboxFullError

__all__ = ["Link", "OnReply", "lane"]

SEND_BYTES: Final = 512 * 1024  # bytes handed to the socket at a time


class Link:
    """One sender's conversation with the actor ``to``, across any number of connections.

    ``pack``, ``omit`` and ``limits`` are the outbox's.
    """

    def __init__(
        self,
        *,
        to: str,
        sender: str,
        incarnation: str,
        max_frame: int = MAX_FRAME,
        decode_reply: Callable[[bytes | msgspec.Raw], Any] = msgspec.msgpack.decode,
        pack: Pack | None = None,
        omit: Omit | None = None,
        limits: OutboxLimits | None = None,
    ) -> None:
        self.to = to
        self._sender = sender
        self._incarnation = incarnation
        self._max_frame = max_frame
        self._decode_reply = decode_reply
        self._state: Literal["down", "greeting", "up"] = "down"
        self._first = b""  # what this connection begins with, and goes before everything else
        self._credit = 0  # may dip below zero by one frame
        self._outbox = Outbox(pack, omit, limits)
        self._asks: dict[int, Entry] = {}  # sent and not answered
        # Asks that may not be repeated, of a connection that broke: until it is known how far
        # the actor's last life had come.
        self._limbo: list[Entry] = []
        self.life = ""  # the incarnation of the other side that said Welcome last
        self._connection = 0  # the number that it gave to the connection
        self._position = 0  # messages sent on this connection
        self._farewell: int | None = None  # of them the other side had, when it stopped
        self._handed: list[Entry] = []  # given to the driver by the last ``outgoing``
        self.duplicates = 0  # keys that existed, as the other side counts them
        self.dropped = 0  # events that were not stored, likewise
        self.rejected = 0  # messages that found no room
        self.late_replies = 0
        self.refused: HoldfastError | None = None  # set once; the link is of no use after that

    # -- what the program says ----------------------------------------------------------------

    def tell(self, message: object) -> bool:
        """Queue a message; it is sent again until it is acknowledged.  Raises FrameError.

        Whether there is a full frame to send now.
        """
        return self._outbox.join("tell", self._encoded(message))

    def command(self, message: object, on_reply: OnReply) -> None:
        """Queue a message that is carried out once, and answered however often it is sent."""
        self._outbox.add("command", self._encoded(message), on_reply, idempotent=True)

    def ask(
        self,
        message: object,
        on_reply: OnReply,
        *,
        idempotent: bool,
        deadline: float | None = None,
    ) -> int:
        """Queue a question; its id.  ``idempotent`` ones are asked again after a break.

        ``deadline`` (monotonic seconds) tells the receiver until when the answer is of use.
        """
        entry = self._outbox.add("ask", self._encoded(message), on_reply, idempotent=idempotent)
        entry.deadline = deadline
        return entry.first

    def stop(self, on_reply: OnReply) -> None:
        """Queue pykka's stop: the actor handles what came before it and ends."""
        self._check()
        self._outbox.add("stop", b"", on_reply, idempotent=False)

    def offer(self, item: bytes) -> bool:
        """Queue one item; neighbours travel in one frame, packed.

        Whether there is a full frame to send now.
        """
        return self._outbox.join("offer", item)

    def overflow(self, item: bytes) -> bool:
        """The outbox is full: whether the policy is to omit the item, which is done then."""
        if self._outbox.can_omit:
            self._outbox.omit(item)
            return True
        return False

    def reject(self, waited: float) -> OutboxFullError:
        """The error for a message that found no room; it is counted."""
        self.rejected += 1
        return OutboxFullError(
            f"{self.queued} messages to {self.to!r} wait for an acknowledgement"
            f"{f', for {waited:.0f} s now' if waited else ''}: is the daemon running?"
        )

    def abandon(self, ident: int) -> bool:
        """Stop waiting for the ask ``ident``; whether it had been sent.

        A reply that comes later is dropped and counted.
        """
        if self._asks.pop(ident, None) is not None:
            return True
        self._limbo = [entry for entry in self._limbo if entry.first != ident]
        self._outbox.remove("ask", ident)
        return False

    # -- what the driver says -----------------------------------------------------------------

    @property
    def accepted(self) -> int:
        """Messages ever queued that need an acknowledgement."""
        return self._outbox.accepted

    @property
    def queued(self) -> int:
        """Those of them that are not acknowledged."""
        return self._outbox.pending

    @property
    def queued_bytes(self) -> int:
        """And their bytes."""
        return self._outbox.pending_bytes

    @property
    def is_full(self) -> bool:
        """Wait before queueing more: the bound on what is not acknowledged is reached.

        Always so once the link is refused.
        """
        return self._outbox.is_full

    @property
    def room_timeout(self) -> float:
        """Seconds to wait for room."""
        limits = self._outbox.limits
        return 0.0 if limits.policy == "fail" else limits.timeout

    @property
    def idle(self) -> bool:
        """Nothing waits for an acknowledgement or a reply."""
        return self._outbox.is_empty and not (self._asks or self._limbo)

    @property
    def has_output(self) -> bool:
        """Something waits to be sent, though perhaps not now."""
        outbox = self._outbox
        return bool(outbox.queue or self._first or outbox.omission.count)

    @property
    def is_up(self) -> bool:
        """The other side has said Welcome on this connection."""
        return self._state == "up"

    def connected(self) -> None:
        """A connection stands: greet on it."""
        first, resuming = self._outbox.first_number()
        hello = Hello(VERSION, self.to, self._sender, self._incarnation, first, resuming)
        self._first = encode_frame(hello)
        self._state, self._farewell = "greeting", None

    def disconnected(self, *, last_was_sent: bool = True) -> None:
        """The connection is gone: what was sent waits to be sent again.

        Asks that may not be repeated wait in limbo for the next Welcome, or ``give_up_limbo``.
        ``last_was_sent`` is False when nothing of the last ``outgoing`` left this process.
        """
        if self._state == "down":
            return
        self._state = "down"
        self._first = b""
        asks = list(self._asks.values())
        self._asks.clear()
        unsent: set[Entry] = set() if last_was_sent else set(self._handed)
        if (received := self._farewell) is not None:
            unsent.update(each for each in asks if each.position > received and each.kind == "ask")
        again = [entry for entry in asks if entry.idempotent or entry in unsent]
        self._limbo += [entry for entry in asks if entry not in again]
        self._outbox.put_back(again, unsent)

    def give_up_limbo(self) -> None:
        """Nobody has come to say how far the actor had come: they may have been handled."""
        limbo, self._limbo = self._limbo, []
        for entry in limbo:
            entry.answer(RemoteActorDied(self.to, started=True))

    def outgoing(self) -> bytes:
        """Bytes to send now; empty when there are none or no credit is left."""
        frames: list[bytes] = []
        if self._first:
            frames.append(self._first)
            self._first = b""
        if self._state != "up":
            return b"".join(frames)
        size = 0
        self._handed.clear()
        while self._credit > 0 and size < SEND_BYTES:
            entry = self._outbox.next(self._credit)
            if entry is None:
                break
            self._handed.append(entry)
            self._credit -= entry.count
            frame = self._frame(entry)
            size += len(frame)
            frames.append(frame)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def goodbye(self) -> bytes:
        """The frame that says nothing more is wanted; empty where it would not be true."""
        return self._first + encode_frame(Goodbye()) if self.is_up and self.idle else b""

    def receive(self, payload: bytes | bytearray) -> None:
        """Take one payload in.  Raises FrameError, VersionError or what the peer refused with."""
        message = decode_from_receiver(payload)
        match message:
            case Reply(id=ident, body=body):
                entry = self._asks.pop(ident, None)
                self._replied(entry.answer if entry is not None else None, body)
            case Ack(mark=mark, duplicates=duplicates, dropped=dropped):
                self.duplicates = max(self.duplicates, duplicates)
                self.dropped = max(self.dropped, dropped)
                self._outbox.trim(mark)
            case Credit(count=count):
                self._credit += count
            case Result(number=number, body=body):
                self._replied(self._outbox.finish(number), body)
            case Failure():
                self._failed(message)
            case Welcome():
                self._welcomed(message)
            case Farewell(received=received):
                self._farewell = received
            case Refused():
                self.refuse(exception_from(self.to, message.type, message.text, []))

    def refuse(self, error: HoldfastError) -> None:
        """Give the link up for good: whoever waits gets ``error``.  Raises it."""
        self.refused = error
        self._state = "down"
        waiting = [*self._limbo, *self._asks.values(), *self._outbox.sent, *self._outbox.queue]
        self._limbo.clear()
        self._asks.clear()
        self._outbox.shut()
        for entry in waiting:
            entry.answer(error)
        raise error

    # -- inside -------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.refused is not None:
            raise self.refused

    def _encoded(self, message: object) -> bytes:
        self._check()
        body = encode(message)
        if len(body) > self._max_frame - 64:  # 64: the widest head a frame of ours has
            raise FrameError(
                f"a message of {len(body)} bytes to {self.to!r} is over the bound of "
                f"{self._max_frame}: send less at a time"
            )
        return body

    def _frame(self, entry: Entry) -> bytes:
        self._position += 1
        entry.position = self._position
        match entry.kind:
            case "ask":
                self._asks[entry.first] = entry
                return ask_frame(entry.first, entry.body, entry.was_sent, entry.deadline)
            case "tell":
                return tell_frame(entry.first, entry.was_sent, entry.bodies)
            case "offer":
                frame: Tell | StopActor
                frame = Tell(entry.first, entry.count, entry.was_sent, msgspec.Raw(entry.body))
            case "command":
                answered = self._outbox.answered_up_to
                return command_frame(entry.first, answered, entry.was_sent, entry.body)
            case "stop":
                self._asks[entry.first] = entry
                frame = StopActor(entry.first)
        return encode_frame(frame, max_frame=self._max_frame)

    def _welcomed(self, welcome: Welcome) -> None:
        if welcome.version != VERSION:
            self.refuse(other_version(self.to, daemon=welcome.version, program=VERSION))
        self._leave_limbo(welcome)
        self._state = "up"
        self._credit = welcome.credit
        self.life, self._connection = welcome.incarnation, welcome.connection
        self._first = encode_frame(Begin(welcome.connection))
        self._position = 0
        self.duplicates = max(self.duplicates, welcome.duplicates)
        self.dropped = max(self.dropped, welcome.dropped)
        self._outbox.trim_queue(welcome.mark)

    def _leave_limbo(self, welcome: Welcome) -> None:
        """Send again what the last life never took in hand; the rest may have been handled."""
        limbo, self._limbo = self._limbo, []
        last = welcome.last_life, welcome.last_connection
        is_known = self.life != "" and last == (self.life, self._connection)
        for entry in limbo:
            # A stop was for the life that has ended; whatever else was not taken, is not lost.
            if is_known and entry.position > welcome.taken and entry.kind == "ask":
                self._outbox.requeue([entry])
            else:
                entry.answer(RemoteActorDied(self.to, started=True))

    def _failed(self, failure: Failure) -> None:
        error = exception_from(self.to, failure.type, failure.text, failure.parts)
        is_unhandled = isinstance(error, RemoteActorDied) and not error.started
        if failure.number:
            if is_unhandled:
                return  # the command goes to its receiver's next life
            answer = self._outbox.finish(failure.number)
        else:
            entry = self._asks.pop(failure.id, None)
            # The next life's, as what a killed one never took in hand; a stop was for this one.
            if entry is not None and entry.kind == "ask" and is_unhandled:
                self._outbox.requeue([entry])
                return
            answer = None if entry is None else entry.answer
        if answer is None:
            self.late_replies += 1
        else:
            answer(error)

    def _replied(self, answer: OnReply | None, body: msgspec.Raw) -> None:
        if answer is None:
            self.late_replies += 1
            return
        try:
            value = self._decode_reply(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            value = DeliveryError(f"the reply of {self.to!r} could not be read: {error}")
        answer(value)


def lane(name: str, sender: str) -> tuple[str, str]:
    """The actor that ``name`` means, and the sender's name on that connection.

    "log:read" is a second connection to "log": in no order with the first, so that what is asked
    on it does not wait behind events that have no credit.
    """
    actor, _, way = name.partition(":")
    return (actor, f"{sender}:{way}") if way else (actor, sender)
