"""The receiving half of a conversation with one sender: order, acknowledgement, credit.

Sans I/O: payloads in, deliveries out; ``outgoing`` holds the bytes to send.  Lost when this
process dies: the marks of senders, which then send again what was not acknowledged, marked
``redelivered``.  Actors whose messages the writer commits keep their marks there instead.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal

import msgspec
from pykka.messages import _ActorStop

from holdfast.actors.failures import failure_of
from holdfast.actors.receiver import Marks, Receiver
from holdfast.actors.recorder import InHand, Suspect
from holdfast.actors.wire import (
    VERSION,
    Ack,
    Ask,
    Command,
    Credit,
    Failure,
    Goodbye,
    Hello,
    Refused,
    Reply,
    Result,
    StopActor,
    Tell,
    Welcome,
    decode_from_sender,
    encode_frame,
)
from holdfast.errors import FrameError, HoldfastError, ProtocolError, VersionError

__all__ = ["LATER", "Delivery", "Departed", "Intake", "Joined", "Later"]


class Later:
    """The type of LATER."""


LATER: Final = Later()  # a handler returns it when it answers through its Delivery later


class Joined(msgspec.Struct, frozen=True):
    """A sender that resumes; it sends nothing numbered until its delivery is welcomed."""

    sender: str
    incarnation: str
    first: int


class Departed(msgspec.Struct, frozen=True):
    """A sender said goodbye: what was kept of it may be forgotten."""

    sender: str
    incarnation: str


class Delivery:
    """One message in the receiver's hands, and the way to answer it.

    It is the ``reply_to`` of pykka's envelope: pykka calls ``set`` with what the handler
    returned and ``set_exception`` with what it raised.
    """

    __slots__ = (
        "acked",
        "count",
        "deadline",
        "deferred",
        "intake",
        "kind",
        "message",
        "number",
        "poison",
        "position",
        "raw",
        "redelivered",
        "skip",
    )

    def __init__(
        self,
        intake: Intake,
        kind: Literal["tell", "command", "ask", "joined", "departed"],
        number: int,
        message: Any,
        *,
        count: int = 1,
        redelivered: bool = False,
        skip: int = 0,
    ) -> None:
        self.intake = intake
        self.kind = kind
        self.number = number  # of the first message in a tell; the id of an ask
        self.message = message
        self.count = count
        self.redelivered = redelivered
        self.skip = skip  # so many of ``count`` were taken in before, on another connection
        self.position = intake.position  # among the messages of its connection
        self.poison: Suspect | None = None  # the evidence that it kills whoever handles it
        self.raw = b""  # the encoded message, of poison only
        self.deadline: float | None = None  # monotonic; nobody waits for the answer after it
        self.acked = 0  # the sender holds the results of commands up to here
        self.deferred = False  # a tell whose handler acknowledges it later

    @property
    def sender(self) -> str:
        """Who sent it."""
        return self.intake.sender

    @property
    def incarnation(self) -> str:
        """Which life of the sender sent it."""
        return self.intake.incarnation

    def set(self, value: Any = None) -> None:
        """Answer; LATER answers nothing yet."""
        if value is not LATER:
            self.intake.answer(self, value)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
        | None = None,
    ) -> None:
        """Answer with an exception, by default the one being handled."""
        error = (exc_info or sys.exc_info())[1]
        self.intake.fail(self, error or RuntimeError("the handler failed without an exception"))

    def done(self, mark: int | None = None, duplicates: int = 0, dropped: int = 0) -> None:
        """A tell is handled: acknowledge up to ``mark`` (or its last number); free its place."""
        last = self.number + self.count - 1
        self.intake.acknowledge(last if mark is None else mark, duplicates, dropped, self.count)

    def refuse(self, error: HoldfastError) -> None:
        """End the sender's connection with ``error``; its link is of no use after that."""
        self.intake.refuse(error)

    def set_aside(self) -> None:
        """An ask that is answered much later: its place in the mailbox is free at once."""
        self.intake.free(self)

    def welcome(self, mark: int, duplicates: int, dropped: int = 0) -> None:
        """Answer Joined: what is at or below ``mark`` need not come again."""
        self.intake.welcome(mark, duplicates, dropped)


class Intake:
    """One connection's receiving end."""

    def __init__(self, receiver: Receiver, *, wake: Callable[[], None]) -> None:
        self._receiver = receiver
        self._wake = wake  # called when ``outgoing`` gets its first frame
        self.sender = ""
        self.incarnation = ""
        self.position = 0  # messages received on this connection
        self.slot = 0  # of this connection in the flight recorder
        self.outgoing: deque[bytes] = deque()
        self.closed = False
        self.is_refused = False
        self._welcomed = False
        self._marks = Marks(received=0, handled=0)
        self._outstanding = 0  # granted and not handled
        self._allowance = 0  # granted and not received; a frame may overdraw it

    def receive(self, payload: bytes) -> Delivery | None:
        """Take one payload in; what is to be handled, if anything.

        Raises ProtocolError; the connection is closed after ``outgoing`` is sent.
        """
        frame = decode_from_sender(payload)
        if not self.sender:
            if not isinstance(frame, Hello):
                raise FrameError(f"{type(frame).__name__} before Hello")
            return self._greet(frame)
        self.position += 1
        match frame:
            case Ask(id=ident, body=body):
                self._spend(1)
                delivery = Delivery(self, "ask", ident, None, redelivered=frame.redelivered)
                delivery.deadline = frame.deadline
                return self._decoded(delivery, body)
            case Tell(first=first, count=count, body=body):
                skip = self._take_in(first, count, repeats_end_here=True)
                if skip == count:
                    return None
                again = frame.redelivered
                delivery = Delivery(
                    self, "tell", first, None, count=count, redelivered=again, skip=skip
                )
                return self._decoded(delivery, body)
            case Command(number=number, body=body):
                # A repeat goes on to where its result is kept.
                skip = self._take_in(number, 1, repeats_end_here=False)
                again = frame.redelivered
                delivery = Delivery(self, "command", number, None, redelivered=again, skip=skip)
                delivery.acked = frame.acked
                return self._decoded(delivery, body)
            case StopActor(id=ident):
                return Delivery(self, "ask", ident, _ActorStop())
            case Goodbye():
                return self._departed()
            case Hello():
                raise FrameError("Hello twice on one connection")

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
                frame = encode_frame(Reply(delivery.number, value), max_frame=receiver.max_frame)
        except (TypeError, ValueError, OverflowError, RecursionError, FrameError) as error:
            self.fail(delivery, error)
            return
        self._send(frame)
        self._release(delivery.count)

    def fail(self, delivery: Delivery, error: BaseException) -> None:
        """Send an exception as the answer."""
        if self.closed:
            self._receiver.late_answers += 1
            return
        type_, text, parts = failure_of(error)
        is_command = delivery.kind == "command"
        ident, number = (0, delivery.number) if is_command else (delivery.number, 0)
        text = text.encode("utf-8", "backslashreplace").decode()
        self._send(encode_frame(Failure(ident, number, type_, text, parts)))
        self._release(delivery.count)

    def free(self, delivery: Delivery) -> None:
        """Grant the place that the message takes again; its answer frees none then."""
        if not self.closed:
            self._release(delivery.count)
        delivery.count = 0

    def acknowledge(self, mark: int, duplicates: int, dropped: int, count: int) -> None:
        """``count`` more messages are handled, and all up to ``mark``."""
        self._marks.handled = max(self._marks.handled, mark)
        intake = self
        if self.closed:  # the sender may have come back on another connection meanwhile
            successor = self._receiver.intakes.get((self.sender, self.incarnation))
            if successor is None or not successor._welcomed:
                return
            intake = successor
        intake._send(encode_frame(Ack(mark, duplicates, dropped)))
        if intake is self:
            self._release(count)

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
        welcome = Welcome(*who, mark, duplicates, credit, dropped=dropped)
        if (last := receiver.last_life) is not None:
            taken = last.position(self.sender, self.incarnation)
            if taken is not None:
                welcome = msgspec.structs.replace(welcome, last_life=last.incarnation, taken=taken)
        self._send(encode_frame(welcome))

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

    def _greet(self, hello: Hello) -> Delivery | None:
        receiver = self._receiver
        if hello.version != VERSION:
            raise VersionError(
                f"actor {receiver.actor!r} speaks version {VERSION} of the protocol, not "
                f"{hello.version}: use a client and a daemon of the same holdfast"
            )
        if hello.to != receiver.actor or not hello.sender or hello.first < 1:
            raise ProtocolError(f"this is actor {receiver.actor!r}, not {hello.to!r}")
        receiver.before_greeting(hello.sender, hello.incarnation)
        key = hello.sender, hello.incarnation
        self.sender, self.incarnation = key
        receiver.intakes[key] = self
        if receiver.recorder is not None:
            self.slot = receiver.recorder.seat(*key)
        self._marks = receiver.marks_of(key, hello.first)
        if hello.resuming and not receiver.keeps_marks:
            joined = Joined(hello.sender, hello.incarnation, hello.first)
            return Delivery(self, "joined", 0, joined)
        self.welcome(max(self._marks.handled, hello.first - 1), 0)
        return None

    def _spend(self, count: int) -> None:
        if self._allowance <= 0 or count < 1:
            raise FrameError(f"{self.sender!r} sends without credit")
        self._allowance -= count

    def _take_in(self, first: int, count: int, *, repeats_end_here: bool) -> int:
        """How many of the messages from ``first`` on were taken in before."""
        self._spend(count)
        marks = self._marks
        if first < 1 or first > marks.received + 1:
            raise FrameError(f"message {first} came where {marks.received + 1} was due")
        skip = min(count, marks.received + 1 - first)
        if skip == count and repeats_end_here:
            if marks.handled >= first + count - 1:
                self._send(encode_frame(Ack(marks.handled, 0)))
            self._release(count)
        marks.received = max(marks.received, first + count - 1)
        return skip

    def _decoded(self, delivery: Delivery, body: msgspec.Raw) -> Delivery | None:
        """The delivery, or None when its body is refused: only its sender hears of that."""
        try:
            delivery.message = self._receiver.decode(bytes(body))
            if delivery.kind == "tell" and self._receiver.count_of(delivery.message) != (
                delivery.count
            ):
                raise msgspec.ValidationError(f"its frame promises {delivery.count} messages")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            refused = FrameError(f"no message of actor {self._receiver.actor!r}: {error}")
            if delivery.kind == "tell":
                raise refused from error
            self.fail(delivery, refused)
            return None
        if delivery.redelivered and (last := self._receiver.last_life) is not None:
            in_hand = InHand(self.sender, self.incarnation, delivery.kind, delivery.number)
            delivery.poison = last.poison(in_hand)
            if delivery.poison is not None:
                delivery.raw = bytes(body)
        return delivery

    def _send(self, frame: bytes) -> None:
        self.outgoing.append(frame)
        if len(self.outgoing) == 1:
            self._wake()

    def _departed(self) -> Delivery | None:
        receiver = self._receiver
        receiver.marks.pop((self.sender, self.incarnation), None)
        if receiver.keeps_marks:
            return None
        return Delivery(self, "departed", 0, Departed(self.sender, self.incarnation))

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
