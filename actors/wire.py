"""The frames two actors exchange: a length, then one msgpack value.

A frame is four bytes of little-endian length and that many bytes of msgpack, at most
``max_frame``.  Bodies stay encoded (``msgspec.Raw``) until the actor they are for decodes them.
Nothing here is lost on a crash: nothing here is kept.

The order on a connection: the sender's Hello, the receiver's Welcome (or Refused), the sender's
Begin, then Tell, Command and Ask one way and Ack, Reply, Result, Failure and Credit the other.
Begin repeats what only this Welcome said, so that what comes again on another connection, by
whatever copies bytes, is known for a copy: the reason for TCP's third segment (RFC 9293, 3.5).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec

from holdfast.actors.plain import encode_hook
from holdfast.errors import FrameError

__all__ = [
    "MAX_FRAME",
    "VERSION",
    "Ack",
    "Ask",
    "Begin",
    "Command",
    "Credit",
    "Failure",
    "Farewell",
    "FromReceiver",
    "FromSender",
    "Goodbye",
    "Hello",
    "Refused",
    "Reply",
    "Result",
    "StopActor",
    "Tell",
    "Tells",
    "Welcome",
    "array_head",
    "array_length",
    "ask_frame",
    "command_frame",
    "decode_bodies",
    "decode_from_receiver",
    "decode_from_sender",
    "encode_frame",
    "reply_frame",
    "tell_frame",
]

VERSION: Final = 3
MAX_FRAME: Final = 8 * 1024 * 1024  # bytes; the largest legal event is an eighth of it
_LENGTH = struct.Struct("<I")
_Ident = Annotated[int, msgspec.Meta(ge=0)]  # the flight recorder and a reply have no sign for it


class Hello(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=0):
    """Opens a connection.  ``version`` comes first and for ever, so that any version reads it.

    ``first`` is the number of the next message that will come; ``resuming`` says that messages
    from there on were sent before, on a connection that broke.
    """

    version: int
    to: str
    sender: str
    incarnation: str
    first: int
    resuming: bool


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=1):
    """Messages up to ``mark`` need not be sent again; ``credit`` messages may be sent now.

    ``duplicates`` counts the events of this sender so far whose key existed already, ``dropped``
    those at or below the mark that were not stored, which a row of ``dropped`` says.
    ``connection`` is a number that no other connection has, to be repeated by Begin.
    ``last_life`` is the incarnation before this one, if it is known how far that one came:
    ``taken`` messages of the sender's last connection to it, which had the number
    ``last_connection``, had been taken in hand.
    """

    version: int
    actor: str
    incarnation: str
    mark: int
    duplicates: int
    credit: int
    connection: int
    last_life: str = ""
    last_connection: int = 0
    taken: int = 0
    dropped: int = 0


class Begin(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=14):
    """What follows is for the connection that Welcome has given this number, and for no other."""

    connection: int


class Refused(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=2):
    """The connection is closed after this; ``type`` is a class of ``holdfast.errors``."""

    type: str
    text: str


class Tell(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=3):
    """Messages ``first`` .. ``first + count - 1`` in one body; kept until acknowledged."""

    first: int
    count: int
    redelivered: bool
    body: msgspec.Raw


class Tells(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=13):
    """The messages ``first``, ``first + 1``, ...: ``bodies`` is a msgpack array of them."""

    first: int
    redelivered: bool
    bodies: msgspec.Raw


class Command(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=4):
    """A numbered message with a Result; results up to ``acked`` were received."""

    number: int
    acked: int
    redelivered: bool
    body: msgspec.Raw


class Ask(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=5):
    """A message without a number.  Answer: Reply or Failure with the same ``id``.

    Nobody waits for the answer after ``deadline``: seconds of CLOCK_MONOTONIC, which all processes
    of one machine share.
    """

    id: _Ident
    body: msgspec.Raw
    redelivered: bool = False
    deadline: float | None = None


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=6):
    """The sender ends and has everything it wanted acknowledged."""


class StopActor(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=12):
    """Stop after what came before it.  Answer: Reply with the same ``id``."""

    id: _Ident


class Ack(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=7):
    """Everything up to ``mark`` has reached the level the receiver promises, or is recorded as
    lost; ``duplicates`` and ``dropped`` as in Welcome, dead letters of a gone actor included."""

    mark: int
    duplicates: int
    dropped: int = 0


class Reply(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=8):
    """The answer to an Ask."""

    id: int
    body: msgspec.Raw


class Result(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=9):
    """The answer to a Command."""

    number: int
    body: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=10):
    """An exception instead of an answer, to the Ask ``id`` or the Command ``number``.

    ``parts`` are the attributes that the class in ``holdfast.errors`` takes.
    """

    id: int
    number: int
    type: str
    text: str
    parts: list[Any] = []


class Credit(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=11):
    """So many more messages may be sent."""

    count: int


class Farewell(msgspec.Struct, frozen=True, array_like=True, tag_field="frame", tag=15):
    """The last frame of an actor that stops: ``received`` messages of this connection had come.

    What was sent behind them was taken in hand by nobody.
    """

    received: int


FromSender = Hello | Begin | Tell | Tells | Command | Ask | Goodbye | StopActor
FromReceiver = Welcome | Refused | Ack | Reply | Result | Failure | Credit | Farewell

_Payload = bytes | bytearray
_from_sender: Callable[[_Payload], FromSender] = msgspec.msgpack.Decoder(FromSender).decode
_from_receiver: Callable[[_Payload], FromReceiver] = msgspec.msgpack.Decoder(FromReceiver).decode
_encode = msgspec.msgpack.Encoder(enc_hook=encode_hook).encode
# The messages of a Tells, each still encoded.
decode_bodies: Callable[[bytes | msgspec.Raw], list[msgspec.Raw]] = msgspec.msgpack.Decoder(
    list[msgspec.Raw]
).decode


def decode_from_sender(payload: _Payload) -> FromSender:
    """Raises FrameError for anything a sender may not say."""
    try:
        return _from_sender(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a frame of {len(payload)} bytes that is no message: {error}") from error


def decode_from_receiver(payload: _Payload) -> FromReceiver:
    """Raises FrameError for anything a receiver may not say."""
    try:
        return _from_receiver(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"a frame of {len(payload)} bytes that is no message: {error}") from error


def encode_frame(message: object, *, max_frame: int = MAX_FRAME) -> bytes:
    """Length and payload.  A body may be any value msgspec encodes, or Raw.

    Raises FrameError when the payload is over ``max_frame`` bytes, before anything is sent.
    """
    payload = _encode(message)
    if len(payload) > max_frame:
        raise FrameError(
            f"a message of {len(payload)} bytes is over the bound of {max_frame}: "
            "send less at a time"
        )
    return _LENGTH.pack(len(payload)) + payload


# What every ask and tell begins with is written by hand: a struct and an encoder would take as
# long as all the rest of sending one.  The heads are msgpack: array of n, tag, ...
_HEAD: Final = struct.Struct(">BBBQ")  # array of n, tag, uint64, its value
_DEADLINE: Final = struct.Struct(">Bd")  # float64, its value
_ACKED: Final = struct.Struct(">BQ")  # uint64, its value
_FLAG: Final = (b"\xc2", b"\xc3")


def array_head(count: int) -> bytes:
    """What a msgpack array of ``count`` values begins with."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65_536:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def array_length(data: bytes | memoryview) -> int:
    """How many values the msgpack array that ``data`` begins with has.  Raises FrameError."""
    kind = data[0] if len(data) else 0
    if kind & 0xF0 == 0x90:
        return kind & 0x0F
    if kind == 0xDC and len(data) > 2:
        return int.from_bytes(data[1:3], "big")
    if kind == 0xDD and len(data) > 4:
        return int.from_bytes(data[1:5], "big")
    raise FrameError("an array was expected")


def ask_frame(ident: int, body: bytes, redelivered: bool, deadline: float | None) -> bytes:
    """An Ask, as ``encode_frame`` writes it."""
    head = _HEAD.pack(0x95, 5, 0xCF, ident)
    rest = _FLAG[redelivered] + (b"\xc0" if deadline is None else _DEADLINE.pack(0xCB, deadline))
    return b"".join((_LENGTH.pack(len(head) + len(body) + len(rest)), head, body, rest))


def command_frame(number: int, acked: int, redelivered: bool, body: bytes) -> bytes:
    """A Command, as ``encode_frame`` writes it: a checkpoint in it is copied once."""
    head = _HEAD.pack(0x95, 4, 0xCF, number) + _ACKED.pack(0xCF, acked) + _FLAG[redelivered]
    return b"".join((_LENGTH.pack(len(head) + len(body)), head, body))


def reply_frame(ident: int, value: object, *, max_frame: int) -> bytes:
    """A Reply, as ``encode_frame`` writes it.  Raises FrameError."""
    body = _encode(value)
    size = _HEAD.size + len(body)
    if size > max_frame:
        raise FrameError(f"an answer of {size} bytes is over the bound of {max_frame}")
    return b"".join((_LENGTH.pack(size), _HEAD.pack(0x93, 8, 0xCF, ident), body))


def tell_frame(first: int, redelivered: bool, bodies: Sequence[bytes]) -> bytes:
    """A Tells, or the Tell of a single message."""
    flag = _FLAG[redelivered]
    if len(bodies) == 1:
        (body,) = bodies
        head = _HEAD.pack(0x95, 3, 0xCF, first) + b"\x01" + flag
        return b"".join((_LENGTH.pack(len(head) + len(body)), head, body))
    head = _HEAD.pack(0x94, 13, 0xCF, first) + flag + array_head(len(bodies))
    rest = b"".join(bodies)
    return b"".join((_LENGTH.pack(len(head) + len(rest)), head, rest))
