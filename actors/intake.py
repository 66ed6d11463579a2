"""The receiving half of a conversation with one sender: order, acknowledgement, credit.

Sans I/O: payloads in, deliveries out; ``take_output`` has the bytes to send.  Lost when this
process dies: the marks of senders, which then send again what was not acknowledged, marked
``redelivered``.  Actors whose messages the writer commits keep their marks there instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from pykka.messages import _ActorStop

from holdfast.actors.delivery import Delivery, Departed, Joined
from holdfast.actors.failures import failure_of
from holdfast.actors.receiver import Marks, Receiver
from holdfast.actors.recorder import InHand
from holdfast.actors.versions import other_version
from holdfast.actors.wire import (
    VERSION,
    Ack,
    Ask,
    Begin,
    Command,
    Credit,
    Failure,
    Farewell,
    FromSender,
    Goodbye,
    Hello,
    Refused,
    Result,
    StopActor,
    Tell,
    Tells,
    Welcome,
    array_length,
    decode_bodies,
    decode_from_sender,
    encode_frame,
    reply_frame,
)
from holdfast.errors import FrameError, HoldfastError, ProtocolError

__all__ = ["CopyError", "Intake"]


class CopyError(ProtocolError):
    """What came on another connection comes again; nothing of it is taken in, nobody is told."""


class Intake:
    """One connection's receiving end."""

    def __init__(self, receiver: Receiver, *, wake: Callable[[], None]) -> None:
        self._receiver = receiver
        self._wake = wake  # called when there is something to send
        self.sender = ""
        self.incarnation = ""
        self.position = 0  # frames received on this connection
        self.slot = 0  # of this connection in the flight recorder
        self.closed = False
        self.is_refused = False
        self._number = 0  # of this connection: whoever has its Welcome knows it, and no copy does
        self._welcomed = self._begun = False
        self._marks = Marks(received=0, handled=0)
        self._outstanding = 0  # granted and not handled
        self._allowance = 0  # granted and not received; a frame may overdraw it
        self._frames: list[bytes] = []  # to be sent
        self._owes_ack = False  # with the following, before those frames
        self._acked = self._duplicates = self._dropped = 0
        self._done = 0  # handled, and their room not given back yet
        self._is_dirty = False  # ``wake`` was called, and nothing taken since

    def receive(self, payload: bytes | bytearray) -> Sequence[Delivery]:
        """Take one payload in; what is to be handled.

        Raises CopyError; and ProtocolError, the connection is closed after its output is sent.
        """
        frame = decode_from_sender(payload)
        if not self._begun:
            return self._open(frame)
        self.position += 1
        match frame:
            case Ask(id=ident, body=body):
                self._spend(1)
                delivery = Delivery(self, "ask", ident, None)
                delivery.redelivered = frame.redelivered
                delivery.deadline = frame.deadline
                return self._decoded(delivery, body)
            case Tells():
                return self._take_tells(frame)
            case Tell():
                return self._take_tell(frame)
            case Command(number=number, body=body):
                # A repeat goes on to where its result is kept.
                delivery = Delivery(self, "command", number, None)
                delivery.skip = self._take_in(number, 1, repeats_end_here=False)
                delivery.redelivered = frame.redelivered
                delivery.acked = frame.acked
                return self._decoded(delivery, body)
            case StopActor(id=ident):
                return (Delivery(self, "ask", ident, _ActorStop()),)
            case Goodbye():
                return self._departed()
            case Hello() | Begin():
                raise FrameError(f"{type(frame).__name__} twice on one connection")

    @property
    def has_output(self) -> bool:
        """There are bytes to send."""
        return bool(self._frames or self._done or self._owes_ack)

    def take_output(self) -> bytes:
        """The bytes to send now: one acknowledgement and one grant for all that was handled."""
        self._is_dirty = True  # what is added here leaves with the rest
        if self._owes_ack:
            ack = Ack(self._acked, self._duplicates, self._dropped)
            self._frames.insert(0, encode_frame(ack))
            self._owes_ack = False
        if self._done:
            done, self._done = self._done, 0
            self._release(done)
        frames, self._frames = self._frames, []
        self._is_dirty = False
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def answer(self, delivery: Delivery, value: Any) -> None:
        """Send the reply of an ask or the result of a command."""
        if self.closed:
            self._receiver.late_answers += 1
            return
        receiver = self._receiver
        try:
            if delivery.kind == "command":
                frame = encode_frame(Result(delivery.number, value), max_frame=receiver.max_frame)
            else:
                frame = reply_frame(delivery.number, value, max_frame=receiver.max_frame)
        except (TypeError, ValueError, OverflowError, RecursionError, FrameError) as error:
            self.fail(delivery, error)
            return
        self._done += delivery.count
        self._send(frame)

    def fail(self, delivery: Delivery, error: BaseException) -> None:
        """Send an exception as the answer."""
        if self.closed:
            self._receiver.late_answers += 1
            return
        type_, text, parts = failure_of(error)
        is_command = delivery.kind == "command"
        ident, number = (0, delivery.number) if is_command else (delivery.number, 0)
        text = text.encode("utf-8", "backslashreplace").decode()
        self._done += delivery.count
        self._send(encode_frame(Failure(ident, number, type_, text, parts)))

    def free(self, delivery: Delivery) -> None:
        """Grant the place that the message takes again; its answer frees none then."""
        self._done += delivery.count
        delivery.count = 0
        self._touch()

    def acknowledge(self, mark: int, duplicates: int, dropped: int, count: int) -> None:
        """``count`` more messages are handled, and all up to ``mark``."""
        if mark > self._marks.handled:
            self._marks.handled = mark
        if not self.closed:
            self._done += count
            self._note(mark, duplicates, dropped)
            return
        # The sender may have come back on another connection meanwhile.
        successor = self._receiver.intakes.get((self.sender, self.incarnation))
        if successor is not None and successor._welcomed:
            successor._note(mark, duplicates, dropped)

    def _note(self, mark: int, duplicates: int, dropped: int) -> None:
        """Acknowledge with the next output; what waits to be acknowledged is included."""
        if mark > self._acked:
            self._acked = mark
        if duplicates or dropped:
            self._duplicates = max(duplicates, self._duplicates)
            self._dropped = max(dropped, self._dropped)
        self._owes_ack = True
        if not self._is_dirty:
            self._touch()

    def _touch(self) -> None:
        if not self._is_dirty:
            self._is_dirty = True
            self._wake()

    def welcome(self, mark: int, duplicates: int, dropped: int = 0) -> None:
        """Let the sender begin after ``mark``."""
        if self.closed or self._welcomed:
            return
        self._welcomed = True
        self._marks.handled = max(self._marks.handled, mark)
        self._marks.received = max(self._marks.received, mark)
        receiver = self._receiver
        credit = receiver.top_up(0)
        self._outstanding = self._allowance = credit
        receiver.granted += credit
        who = (VERSION, receiver.actor, receiver.incarnation)
        life, number, taken = "", 0, 0
        if (last := receiver.last_life) is not None:
            reached = last.reached(self.sender, self.incarnation)
            if reached is not None:
                life, (number, taken) = last.incarnation, reached
        grants = (mark, duplicates, credit, self._number)
        self._send(encode_frame(Welcome(*who, *grants, life, number, taken, dropped)))

    def farewell(self) -> None:
        """The actor stops: tell the sender what has come of what it sent."""
        if self._begun and not self.closed and not self.is_refused:
            self._send(encode_frame(Farewell(self.position)))

    def refuse(self, error: HoldfastError) -> None:
        """Tell the sender why its connection ends, which it does once that is sent."""
        if self.closed or self.is_refused:
            return
        self.is_refused = True
        type_, text, _ = failure_of(error)
        self._send(encode_frame(Refused(type_, text)))

    def close(self) -> None:
        """The connection is gone; its room goes to the others."""
        if not self.closed:
            self.closed = True
            receiver = self._receiver
            receiver.granted -= self._outstanding
            if receiver.recorder is not None:
                receiver.recorder.leave(self.slot)
            if receiver.intakes.get((self.sender, self.incarnation)) is self:
                del receiver.intakes[self.sender, self.incarnation]

    def _open(self, frame: FromSender) -> Sequence[Delivery]:
        """Hello, then Begin."""
        match frame:
            case Hello() if not self.sender:
                return self._greet(frame)
            case Begin() if self.sender:
                if frame.connection != self._number:
                    self._receiver.copies += 1
                    raise CopyError(f"a copy of another connection of {self.sender!r}")
                self._begun = True
                return ()
        due = "Begin" if self.sender else "Hello"
        raise FrameError(f"{type(frame).__name__} before {due}")

    def _greet(self, hello: Hello) -> Sequence[Delivery]:
        receiver = self._receiver
        if hello.version != VERSION:
            raise other_version(receiver.actor, daemon=VERSION, program=hello.version)
        if hello.to != receiver.actor or not hello.sender or hello.first < 1:
            raise ProtocolError(f"this is actor {receiver.actor!r}, not {hello.to!r}")
        receiver.before_greeting(hello.sender, hello.incarnation)
        key = hello.sender, hello.incarnation
        self.sender, self.incarnation = key
        receiver.intakes[key] = self
        self._number = int.from_bytes(os.urandom(8))
        if receiver.recorder is not None:
            self.slot = receiver.recorder.seat(*key, self._number)
        self._marks = receiver.marks_of(key, hello.first)
        if hello.resuming and not receiver.keeps_marks:
            joined = Joined(hello.sender, hello.incarnation, hello.first)
            return (Delivery(self, "joined", 0, joined),)
        self.welcome(max(self._marks.handled, hello.first - 1), 0)
        return ()

    def _spend(self, count: int) -> None:
        if self._allowance <= 0 or count < 1:
            raise FrameError(f"{self.sender!r} sends without credit")
        self._allowance -= count

    def _take_tell(self, tell: Tell) -> Sequence[Delivery]:
        skip = self._take_in(tell.first, tell.count, repeats_end_here=True)
        if skip == tell.count:
            return ()
        delivery = Delivery(self, "tell", tell.first, None)
        delivery.count, delivery.skip = tell.count, skip
        delivery.redelivered = tell.redelivered
        return self._decoded(delivery, tell.body)

    def _take_tells(self, tells: Tells) -> Sequence[Delivery]:
        first, receiver = tells.first, self._receiver
        count = array_length(memoryview(tells.bodies))
        skip = self._take_in(first, count, repeats_end_here=True)
        if skip == count:
            return ()
        try:
            if tells.redelivered or skip:
                bodies = decode_bodies(tells.bodies)[skip:]
                self._done += skip
                return [self._again(first + skip + n, body) for n, body in enumerate(bodies)]
            messages = receiver.decode_many(tells.bodies)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"no messages of actor {receiver.actor!r}: {error}") from error
        return [Delivery(self, "tell", first + n, message) for n, message in enumerate(messages)]

    def _again(self, number: int, body: msgspec.Raw) -> Delivery:
        """One of many tells that come again."""
        delivery = Delivery(self, "tell", number, None)
        delivery.redelivered = True
        self._decoded(delivery, body)
        return delivery

    def _take_in(self, first: int, count: int, *, repeats_end_here: bool) -> int:
        """How many of the messages from ``first`` on were taken in before.

        What is left out between two was acknowledged, or answered, by an earlier life, in whatever
        order; whose marks outlive it was told of that in its Welcome.
        """
        self._spend(count)
        marks, can_miss = self._marks, self._receiver.keeps_marks
        if first < 1 or (first > marks.received + 1 and not can_miss):
            raise FrameError(f"message {first} came where {marks.received + 1} was due")
        skip = max(0, min(count, marks.received + 1 - first))
        if skip == count and repeats_end_here:
            self._done += count
            self._touch()
            if marks.handled >= first + count - 1:
                self._note(marks.handled, 0, 0)
        marks.received = max(marks.received, first + count - 1)
        return skip

    def _decoded(self, delivery: Delivery, body: msgspec.Raw) -> Sequence[Delivery]:
        """The delivery, or none when its body is refused: only its sender hears of that."""
        try:
            delivery.message = self._receiver.decode(body)
            if delivery.kind == "tell" and self._receiver.count_of(delivery.message) != (
                delivery.count
            ):
                raise msgspec.ValidationError(f"its frame promises {delivery.count} messages")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            refused = FrameError(f"no message of actor {self._receiver.actor!r}: {error}")
            if delivery.kind == "tell":
                raise refused from error
            self.fail(delivery, refused)
            return ()
        if delivery.redelivered and (last := self._receiver.last_life) is not None:
            in_hand = InHand(self.sender, self.incarnation, delivery.kind, delivery.number)
            delivery.poison = last.poison(in_hand)
            if delivery.poison is not None:
                delivery.raw = bytes(body)
        return (delivery,)

    def _send(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._touch()

    def _departed(self) -> Sequence[Delivery]:
        receiver = self._receiver
        receiver.marks.pop((self.sender, self.incarnation), None)
        if receiver.keeps_marks:
            return ()
        return (Delivery(self, "departed", 0, Departed(self.sender, self.incarnation)),)

    def _release(self, count: int) -> None:
        """Room for ``count`` messages is free again; grant when half the window is used up."""
        receiver = self._receiver
        self._outstanding -= count
        receiver.granted -= count
        if self._outstanding * 2 <= receiver.window:
            more = receiver.top_up(self._outstanding)
            if more > 0:
                self._outstanding += more
                self._allowance += more
                receiver.granted += more
                self._send(encode_frame(Credit(more)))
