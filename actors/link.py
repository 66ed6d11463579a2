"""The sending half of a conversation with one actor: numbers, outbox, acknowledgements.

Sans I/O: messages in, bytes out; bytes in, callbacks out.  A driver (the mailbox, a thread) owns
the socket and the clock.  Kept here until the other side has acknowledged it: every tell and
every command.  Lost when this process dies: all of that, since the sender is the keeper.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from holdfast.actors.entry import Entry, Kind, OnReply
from holdfast.actors.failures import RemoteActorDied, exception_from
from holdfast.actors.wire import (
    MAX_FRAME,
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
    decode_from_receiver,
    encode_frame,
)
from holdfast.errors import DeliveryError, FrameError, HoldfastError, VersionError

__all__ = ["Link", "OnReply"]

PACK: Final = 512  # items in one frame; beyond it a larger frame saves nothing measurable
PACK_BYTES: Final = 256 * 1024  # bytes of items in one frame: far below any legal max_frame
OUTBOX_MESSAGES: Final = 100_000  # not acknowledged: a minute of outage at 1,500 a second
OUTBOX_BYTES: Final = 64 * 1024 * 1024  # of them
SEND_BYTES: Final = 512 * 1024  # bytes handed to the socket at a time

_encode = msgspec.msgpack.Encoder().encode


class Link:
    """One sender's conversation with the actor ``to``, across any number of connections.

    ``pack`` turns a list of offered items into the one message that carries them.
    """

    def __init__(
        self,
        *,
        to: str,
        sender: str,
        incarnation: str,
        max_frame: int = MAX_FRAME,
        decode_reply: Callable[[bytes], Any] = msgspec.msgpack.decode,
        pack: Callable[[list[Any]], object] | None = None,
    ) -> None:
        self.to = to
        self._sender = sender
        self._incarnation = incarnation
        self._max_frame = max_frame
        self._decode_reply = decode_reply
        self._pack = pack
        self._state: Literal["down", "greeting", "up"] = "down"
        self._hello: bytes | None = None
        self._credit = 0  # may dip below zero by one frame
        self._next_number = 1
        self._next_order = 0
        self._queue: deque[Entry] = deque()  # not sent on this connection, in order
        self._sent: deque[Entry] = deque()  # tells and commands sent and not acknowledged
        self._asks: dict[int, Entry] = {}  # sent and not answered
        self._handed: list[Entry] = []  # given to the driver by the last ``outgoing``
        self._loose: deque[tuple[Any, int]] = deque()  # offered, not packed: (item, bytes)
        self.accepted = 0  # messages ever queued that need an acknowledgement
        self.queued = 0  # those of them not acknowledged
        self.queued_bytes = 0
        self.duplicates = 0  # keys that existed, as the other side counts them
        self.late_replies = 0
        self.refused: HoldfastError | None = None  # set once; the link is of no use after that

    # -- what the program says ----------------------------------------------------------------

    def tell(self, message: object) -> None:
        """Queue a message; it is sent again until it is acknowledged.  Raises FrameError."""
        self._seal()
        self._number("tell", self._bounded(_encode(message)), None)

    def command(self, message: object, on_reply: OnReply) -> None:
        """Queue a message that is carried out once, and answered however often it is sent."""
        self._seal()
        self._number("command", self._bounded(_encode(message)), on_reply)

    def ask(self, message: object, on_reply: OnReply, *, idempotent: bool) -> int:
        """Queue a question; its id.  ``idempotent`` ones are asked again after a break."""
        self._seal()
        body = self._bounded(_encode(message))
        self._next_order += 1
        ident = self._next_order
        entry = Entry("ask", ident, 1, body, ident, on_reply, idempotent=idempotent)
        self._queue.append(entry)
        return ident

    def stop(self, on_reply: OnReply) -> None:
        """Queue pykka's stop: the actor handles what came before it and ends."""
        self._seal()
        self._bounded(b"")
        self._next_order += 1
        order = self._next_order
        self._queue.append(Entry("stop", order, 1, b"", order, on_reply, idempotent=False))

    def offer(self, item: Any, size: int) -> None:
        """Queue one item of about ``size`` bytes; neighbours travel in one frame."""
        self._loose.append((item, size))
        self.accepted += 1
        self.queued += 1
        self.queued_bytes += size

    def abandon(self, ident: int) -> bool:
        """Stop waiting for the ask ``ident``; whether it had been sent.

        A reply that comes later is dropped and counted.
        """
        if self._asks.pop(ident, None) is not None:
            return True
        for entry in self._queue:
            if entry.kind == "ask" and entry.first == ident:
                self._queue.remove(entry)
                break
        return False

    # -- what the driver says -----------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing waits for an acknowledgement or a reply."""
        return not (self._queue or self._sent or self._asks or self._loose)

    @property
    def is_full(self) -> bool:
        """The bound on what is not acknowledged is reached: wait before queueing more."""
        return self.queued >= OUTBOX_MESSAGES or self.queued_bytes >= OUTBOX_BYTES

    @property
    def is_up(self) -> bool:
        """The other side has said Welcome on this connection."""
        return self._state == "up"

    def connected(self) -> None:
        """A connection stands: greet on it."""
        numbered = self._sent[0] if self._sent else None
        for entry in self._queue:
            if entry.kind in ("tell", "command") and (
                numbered is None or entry.first < numbered.first
            ):
                numbered = entry
        first = numbered.first if numbered is not None else self._next_number
        resuming = bool(self._sent) or (numbered is not None and numbered.was_sent)
        hello = Hello(VERSION, self.to, self._sender, self._incarnation, first, resuming)
        self._hello = encode_frame(hello)
        self._state = "greeting"

    def disconnected(self, *, last_was_sent: bool = True) -> None:
        """The connection is gone: asks that may not be repeated fail, the rest waits.

        ``last_was_sent`` is False when nothing of the last ``outgoing`` left this process.
        """
        if self._state == "down":
            return
        if not last_was_sent:
            for entry in self._handed:
                if self._asks.pop(entry.first, None) is entry:
                    self._queue.append(entry)  # sorted below
        self._state = "down"
        self._hello = None
        failed = [entry for entry in self._asks.values() if not entry.idempotent]
        again = [entry for entry in self._asks.values() if entry.idempotent]
        again += self._sent
        self._asks.clear()
        self._sent.clear()
        for entry in again:
            entry.was_sent = True  # it was sent once
        self._queue = deque(sorted((*again, *self._queue), key=lambda entry: entry.order))
        for entry in failed:
            self._answer(entry, RemoteActorDied(self.to, started=True))

    def outgoing(self) -> bytes:
        """Bytes to send now; empty when there are none or no credit is left."""
        frames: list[bytes] = []
        if self._hello is not None:
            frames.append(self._hello)
            self._hello = None
        if self._state != "up":
            return b"".join(frames)
        size = 0
        self._handed.clear()
        while self._credit > 0 and size < SEND_BYTES:
            if not self._queue and not self._pack_loose():
                break
            entry = self._queue.popleft()
            self._handed.append(entry)
            self._credit -= entry.count
            frame = self._frame(entry)
            size += len(frame)
            frames.append(frame)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def goodbye(self) -> bytes:
        """The frame that says nothing more is wanted; empty where it would not be true."""
        return encode_frame(Goodbye()) if self.is_up and self.idle else b""

    def receive(self, payload: bytes) -> None:
        """Take one payload in.  Raises FrameError, VersionError or what the peer refused with."""
        message = decode_from_receiver(payload)
        match message:
            case Reply(id=ident, body=body):
                self._replied(self._asks.pop(ident, None), body)
            case Ack(mark=mark, duplicates=duplicates):
                self.duplicates = max(self.duplicates, duplicates)
                self._trim(mark)
            case Credit(count=count):
                self._credit += count
            case Result(number=number, body=body):
                self._replied(self._finish(number), body)
            case Failure():
                self._failed(message)
            case Welcome():
                self._welcomed(message)
            case Refused():
                self.refuse(exception_from(self.to, message.type, message.text, []))

    def refuse(self, error: HoldfastError) -> None:
        """Give the link up for good: whoever waits gets ``error``.  Raises it."""
        self.refused = error
        self._state = "down"
        waiting = [*self._asks.values(), *self._sent, *self._queue]
        self._asks.clear()
        self._sent.clear()
        self._queue.clear()
        for entry in waiting:
            self._answer(entry, error)
        raise error

    # -- inside -------------------------------------------------------------------------------

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self._max_frame - 64:  # 64: the widest head a frame of ours has
            raise FrameError(
                f"a message of {len(body)} bytes to {self.to!r} is over the bound of "
                f"{self._max_frame}: send less at a time"
            )
        if self.refused is not None:
            raise self.refused
        return body

    def _number(
        self,
        kind: Kind,
        body: bytes,
        on_reply: OnReply | None,
        count: int = 1,
    ) -> None:
        self._next_order += 1
        entry = Entry(kind, self._next_number, count, body, self._next_order, on_reply)
        self._next_number += count
        self._queue.append(entry)
        self.accepted += count
        self.queued += count
        self.queued_bytes += len(body)

    def _seal(self) -> None:
        """Pack what was offered before, so that order holds."""
        while self._loose:
            self._pack_loose()

    def _pack_loose(self) -> bool:
        if not self._loose or self._pack is None:
            return False
        items: list[Any] = []
        size = 0
        while self._loose and len(items) < PACK and size < PACK_BYTES:
            item, item_size = self._loose.popleft()
            items.append(item)
            size += item_size
        self.accepted -= len(items)
        self.queued -= len(items)
        self.queued_bytes -= size
        self._number("tell", _encode(self._pack(items)), None, len(items))
        return True

    def _frame(self, entry: Entry) -> bytes:
        body = msgspec.Raw(entry.body)
        if entry.kind == "stop":
            self._asks[entry.first] = entry
            return encode_frame(StopActor(entry.first))
        if entry.kind == "ask":
            self._asks[entry.first] = entry
            return encode_frame(Ask(entry.first, body), max_frame=self._max_frame)
        self._sent.append(entry)
        if entry.kind == "tell":
            tell = Tell(entry.first, entry.count, entry.was_sent, body)
            return encode_frame(tell, max_frame=self._max_frame)
        acked = self._sent[0].first - 1
        command = Command(entry.first, acked, entry.was_sent, body)
        return encode_frame(command, max_frame=self._max_frame)

    def _welcomed(self, welcome: Welcome) -> None:
        if welcome.version != VERSION:
            self.refuse(
                VersionError(f"{self.to!r} speaks version {welcome.version}, not {VERSION}")
            )
        self._state = "up"
        self._credit = welcome.credit
        self.duplicates = max(self.duplicates, welcome.duplicates)
        self._trim_queue(welcome.mark)

    def _trim_queue(self, mark: int) -> None:
        kept: deque[Entry] = deque()
        for entry in self._queue:
            if entry.kind == "tell" and entry.first + entry.count - 1 <= mark:
                self._forget(entry)
            else:
                kept.append(entry)
        self._queue = kept

    def _trim(self, mark: int) -> None:
        sent = self._sent
        while sent:
            entry = sent[0]
            if entry.kind == "tell" and entry.first + entry.count - 1 <= mark:
                self._forget(sent.popleft())
            elif entry.kind == "command" and entry.on_reply is None:
                sent.popleft()
            else:
                break

    def _finish(self, number: int) -> Entry | None:
        """The command ``number``, which is answered now."""
        for entry in self._sent:
            if entry.kind == "command" and entry.first == number and entry.on_reply is not None:
                finished = Entry("command", number, 1, entry.body, entry.order, entry.on_reply)
                entry.on_reply = None
                self._forget(entry)
                self._trim(0)
                return finished
        return None

    def _forget(self, entry: Entry) -> None:
        self.queued -= entry.count
        self.queued_bytes -= len(entry.body)

    def _failed(self, failure: Failure) -> None:
        error = exception_from(self.to, failure.type, failure.text, failure.parts)
        is_unhandled = isinstance(error, RemoteActorDied) and not error.started
        if failure.number:
            # A command that its receiver left unhandled goes to the receiver's next life.
            entry = None if is_unhandled else self._finish(failure.number)
        else:
            entry = self._asks.pop(failure.id, None)
            if entry is not None and entry.idempotent and is_unhandled:
                self._queue.appendleft(entry)
                return
        if entry is not None:
            self._answer(entry, error)
        elif not is_unhandled:
            self.late_replies += 1

    def _replied(self, entry: Entry | None, body: msgspec.Raw) -> None:
        if entry is None:
            self.late_replies += 1
            return
        try:
            value = self._decode_reply(bytes(body))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            value = DeliveryError(f"the reply of {self.to!r} could not be read: {error}")
        self._answer(entry, value)

    def _answer(self, entry: Entry, value: Any) -> None:
        on_reply, entry.on_reply = entry.on_reply, None
        if on_reply is not None:
            on_reply(value)
