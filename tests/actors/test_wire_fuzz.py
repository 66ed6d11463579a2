"""Whatever bytes come in: only the protocol's own errors, and no more memory than a frame."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.actors.delivery import Delivery
from holdfast.actors.frames import FrameReader
from holdfast.actors.intake import Intake
from holdfast.actors.link import Link
from holdfast.actors.receiver import Receiver
from holdfast.actors.wire import (
    VERSION,
    Ack,
    Ask,
    Begin,
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
    decode_from_sender,
    encode_frame,
)
from holdfast.errors import FrameError, HoldfastError, ProtocolError
from tests.actors.conversing import Journal, Wire, begin, link, receiver

MAX_FRAME = 1_000
EXAMPLES = [120, pytest.param(10_000, marks=pytest.mark.slow)]

BODY = msgspec.Raw(msgspec.msgpack.encode(["emit", [1, "ü", b"\0", None, {"a": 1.5}]]))
TEXT = msgspec.Raw(msgspec.msgpack.encode("the only kind of message that is taken"))
FROM_SENDER = [
    Hello(VERSION, "critic", "fuzzer", "1", 1, False),
    Begin(5),
    Tell(1, 1, False, TEXT),
    Tell(1, 1, True, BODY),
    Command(1, 0, False, TEXT),
    Command(2, 0, True, BODY),
    Ask(3, BODY, deadline=1.5),
    StopActor(4),
    Goodbye(),
]
FROM_RECEIVER = [
    Welcome(VERSION, "critic", "1.1", 0, 0, 10, 7, last_life="1", last_connection=6, taken=3),
    Ack(1, 0, 2),
    Credit(7),
    Reply(1, BODY),
    Result(2, BODY),
    Failure(3, 0, "GapError", "text", ["who", 1, 2]),
    Failure(3, 0, "Conflict", "text", ["what", None, "2"]),
    Refused("VersionError", "too old"),
]
GREETING = encode_frame(FROM_SENDER[0])[4:]
FRAMES = [encode_frame(frame) for frame in (*FROM_SENDER, *FROM_RECEIVER)]

nested = st.builds(
    lambda depth, opening: opening * depth,
    st.integers(min_value=1, max_value=3_000),
    st.sampled_from([b"\x91", b"\x81", b"\x81\xa1a", b"\xdc\0\1", b"\xdd\0\0\0\1"]),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid frame with bytes changed, taken out or put in, and perhaps a length that lies."""
    frame = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(min_value=0, max_value=6))):
        at = draw(st.integers(min_value=0, max_value=len(frame) - 1))
        what = draw(st.sampled_from(["change", "cut", "insert"]))
        if what == "change":
            frame[at] = draw(st.integers(min_value=0, max_value=255))
        elif what == "cut" and len(frame) > 5:
            del frame[at : at + draw(st.integers(min_value=1, max_value=4))]
        else:
            frame[at:at] = draw(st.binary(max_size=8) | nested)
        frame = frame or bytearray(b"\0")
    if draw(st.booleans()):  # of what is there now, so that it is read to its end
        frame[:4] = struct.pack("<I", max(0, len(frame) - 4))
    elif draw(st.booleans()):
        frame[:4] = struct.pack("<I", draw(st.integers(min_value=0, max_value=2**32 - 1)))
    return bytes(frame)


@st.composite
def spliced(draw: st.DrawFn) -> bytes:
    """The head of one frame, and the tail of another."""
    first, second = draw(st.sampled_from(FRAMES)), draw(st.sampled_from(FRAMES))
    cut = draw(st.integers(min_value=0, max_value=len(first)))
    return first[:cut] + second[draw(st.integers(min_value=0, max_value=len(second))) :]


lies = st.builds(
    lambda length, size: struct.pack("<I", length) + bytes(size),
    st.integers(min_value=0, max_value=2**32 - 1) | st.integers(min_value=900, max_value=100_000),
    st.sampled_from([0, 1, 1_000, 20_000]),
)
streams = st.lists(
    st.binary(max_size=200) | nested | mutated() | spliced() | lies | st.sampled_from(FRAMES),
    max_size=8,
)


def payloads(frames: list[Any]) -> st.SearchStrategy[bytes]:
    """What a reader hands on: whole payloads, right, nearly right or not at all."""
    right = st.sampled_from([encode_frame(frame)[4:] for frame in frames])
    tags = st.integers(min_value=-1, max_value=15)
    values: st.SearchStrategy[Any] = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(min_value=-(2**63), max_value=2**64 - 1)
        | st.integers(min_value=-1, max_value=20)
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["Conflict", "GapError", "ActorDied", "RemoteError", "OSError"])
        | st.binary(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=8,
    )
    typed = st.builds(
        lambda tag, rest: msgspec.msgpack.encode([tag, *rest]), tags, st.lists(values, max_size=8)
    )
    cut = mutated().map(lambda frame: frame[4:])
    return right | typed | cut | st.binary(max_size=60) | nested


def conversations(frames: list[Any]) -> st.SearchStrategy[list[bytes]]:
    """Payloads; most often behind the greeting, without which nothing else is looked at."""
    greeting = encode_frame(frames[0])[4:]
    greetings = st.sampled_from([[greeting], [greeting], []])
    rest = st.lists(payloads(frames), max_size=10)
    return st.builds(lambda first, others: first + others, greetings, rest)


def check(test: Callable[[list[bytes]], None], strategy: Any, examples: int) -> None:
    """Run ``test`` on so many examples."""
    each: Any = given(strategy)
    settings(max_examples=examples, deadline=None)(each(test))()


def held_by(reader: FrameReader) -> int:
    """Bytes of all that it keeps between two reads; exact, unlike what the process allocates."""
    return sum(map(sys.getsizeof, vars(reader).values()))


@pytest.mark.parametrize("examples", EXAMPLES)
def test_no_stream_grows_the_reader_or_raises_anything_but_a_frame_error(examples: int) -> None:
    def read(pieces: list[bytes]) -> None:
        reader = FrameReader(max_frame=MAX_FRAME)
        with suppress(FrameError):  # the stream is of no use after that
            for piece in pieces:
                for payload in reader.feed(piece):
                    assert len(payload) <= MAX_FRAME
                    for decode in (decode_from_sender, decode_from_receiver):
                        with suppress(FrameError):
                            decode(payload)
                assert held_by(reader) < 2 * MAX_FRAME

    check(read, streams, examples)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_no_payload_of_a_sender_harms_the_receiver_or_another_sender(examples: int) -> None:
    """Only ProtocolError comes out, and what another sender has under way arrives all the same."""

    def receive(stream: list[bytes]) -> None:
        shared = receiver(max_frame=MAX_FRAME, decode=msgspec.msgpack.Decoder(str).decode)
        other, handle = link(), Journal()
        wire = Wire(other, shared)
        other.tell("before")
        wire.settle(handle)
        _feed_intake(shared, stream)
        other.tell("after")
        wire.settle(handle)
        assert handle.messages == ["before", "after"]
        assert other.idle
        assert set(shared.intakes) == {("planner", "1.1")}
        assert 0 <= shared.granted <= shared.window

    check(receive, conversations(FROM_SENDER), examples)


def _feed_intake(shared: Receiver, stream: list[bytes]) -> None:
    """A connection that sends this, and ends; with a right greeting or without."""
    intake = Intake(shared, wake=lambda: None)
    taken = 0
    for payload in stream:
        try:
            deliveries = intake.receive(payload)
            if payload == stream[0] == GREETING:
                begin(intake)
        except ProtocolError as error:
            intake.refuse(error)
            break
        for delivery in deliveries:
            taken += delivery.count
            if delivery.kind in ("tell", "joined", "departed"):
                delivery.done()
            else:
                delivery.set("answer")
    assert taken <= 2**63
    intake.close()


@pytest.mark.parametrize("examples", EXAMPLES)
def test_no_payload_of_a_receiver_harms_the_sender(examples: int) -> None:
    """Only errors of ours come out; on the next connection everything goes on."""

    def receive(stream: list[bytes]) -> None:
        sender = link()
        outcomes: list[Any] = []
        sender.tell("told")
        sender.ask("asked", outcomes.append, idempotent=True)
        sender.connected()
        sender.outgoing()
        for payload in stream:
            try:
                sender.receive(payload)
            except HoldfastError:
                break
            sender.outgoing()
        sender.disconnected()
        sender.give_up_limbo()
        if sender.refused is None:
            _check_that_it_goes_on(sender)
        assert len(outcomes) == 1

    check(receive, conversations(FROM_RECEIVER), examples)


def _check_that_it_goes_on(sender: Link) -> None:
    handle = Journal()

    def each(delivery: Delivery) -> None:
        if delivery.kind == "tell":
            handle(delivery)
        else:
            delivery.set("answer")

    sender.tell("told later")
    Wire(sender, receiver()).settle(each)
    assert handle.messages[-1:] == ["told later"]
    assert sender.idle


@example(parts=["who", "no number", 2])
@given(parts=st.lists(st.none() | st.text(max_size=3) | st.integers() | st.floats(), max_size=4))
@settings(max_examples=100)
def test_a_failure_with_wrong_parts_is_an_error_all_the_same(parts: list[Any]) -> None:
    for type_ in ("Conflict", "GapError", "ActorDied", "RemoteError", "DiskFullError", "?"):
        sender, outcomes = link(), list[Any]()
        wire = Wire(sender, receiver())
        sender.ask("what", outcomes.append, idempotent=False)
        wire.move(1 << 20)
        (delivery,) = wire.move(1 << 20)
        with suppress(TypeError, OverflowError):  # what msgpack cannot carry
            payload = encode_frame(Failure(delivery.number, 0, type_, "text", parts))[4:]
            sender.receive(payload)
            if outcomes:
                assert isinstance(outcomes[0], HoldfastError)
            else:  # it was not handled: the next life's
                assert type_ == "ActorDied"
        wire.cut()
