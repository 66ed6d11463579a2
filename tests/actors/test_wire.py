"""Frames: whatever pieces they come in, and whatever garbage."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.actors.frames import FrameReader
from holdfast.actors.wire import (
    Ack,
    Ask,
    Hello,
    Tell,
    decode_from_receiver,
    decode_from_sender,
    encode_frame,
)
from holdfast.errors import FrameError


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=20),
    cuts=st.lists(st.integers(min_value=1, max_value=50), min_size=1),
)
def test_frames_come_out_whole_whatever_pieces_they_came_in(
    payloads: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(len(payload).to_bytes(4, "little") + payload for payload in payloads)
    reader = FrameReader()
    found = []
    turn = 0
    while stream:
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[:size])
        stream = stream[size:]
        turn += 1
    assert found == payloads


@given(st.binary(max_size=2_000))
@settings(max_examples=300)
def test_no_bytes_raise_anything_but_a_frame_error(data: bytes) -> None:
    reader = FrameReader(max_frame=1_000)
    try:
        payloads = reader.feed(data)
    except FrameError:
        return
    for payload in payloads:
        for decode in (decode_from_sender, decode_from_receiver):
            with suppress(FrameError):
                decode(payload)


def test_a_length_over_the_bound_is_refused_before_anything_is_read() -> None:
    reader = FrameReader(max_frame=1_000)
    with pytest.raises(FrameError, match="4294967295 bytes is over the bound 1000"):
        reader.feed(b"\xff\xff\xff\xff")


def test_an_unfinished_frame_takes_no_more_memory_than_its_bytes() -> None:
    size = 1_000_000
    frame = size.to_bytes(4, "little") + bytes(size - 1)
    reader = FrameReader()
    tracemalloc.start()
    try:
        for at in range(0, len(frame), 100):
            assert reader.feed(frame[at : at + 100]) == []
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3 * size


def test_a_message_over_the_bound_is_refused_where_it_is_sent() -> None:
    with pytest.raises(FrameError, match="send less at a time"):
        encode_frame(Ask(1, msgspec.Raw(b"\xc0" * 2_000)), max_frame=1_000)


def test_a_hello_of_any_version_is_readable() -> None:
    """Its version comes first, so that a newer peer can be told what is wrong."""
    frame = encode_frame([0, 99, "log", "me", "1", 1, False, "a field of version 99"])
    hello = decode_from_sender(frame[4:])
    assert isinstance(hello, Hello)
    assert hello.version == 99


def test_a_body_passes_through_without_being_read() -> None:
    body = msgspec.msgpack.encode({"a": [1, 2]})
    tell = decode_from_sender(encode_frame(Tell(1, 1, False, msgspec.Raw(body)))[4:])
    assert isinstance(tell, Tell)
    assert bytes(tell.body) == body
    ack = decode_from_receiver(encode_frame(Ack(7, 0))[4:])
    assert ack == Ack(7, 0)
