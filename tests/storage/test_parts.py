"""States cut into parts: exactly the same when they are put together, and few new parts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError, StorageError
from holdfast.storage import jsontext, parts
from holdfast.storage.checkpoint_records import Part

LONG = "ä" * 3_000  # two bytes a character: pieces end inside of them unless it is looked after

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(max_size=20)
    | st.integers(1, 4).map(lambda n: LONG * n)
)
keys = st.text() | st.sampled_from(["$bytes", "$$bytes", "messages"])
states = st.recursive(
    leaves,
    lambda each: st.lists(each, max_size=6) | st.dictionaries(keys, each, max_size=6),
    max_leaves=12,
)


def restored(state: object) -> object:
    layout = parts.lay_out(state)
    packed = {part.name: parts.unpack(part) for part in parts.pack(layout.parts)}
    return parts.assemble(layout.state, layout.pieces, packed)


@settings(max_examples=80, deadline=None)
@given(states)
def test_a_state_comes_back_exactly(state: object) -> None:
    """Scenario D9."""
    back = restored(state)
    assert repr(back) == repr(state)  # tells True from 1, -0.0 from 0.0


def test_a_short_rest_begins_with_a_character() -> None:
    for shift in ("", "x"):
        state = {"text": shift + "ä" * 8_200}  # two pieces and 18 bytes
        assert parts.lay_out(state).pieces[0].tail.strip('"')
        assert restored(state) == state


@pytest.mark.parametrize("characters", [8_191, 8_192, 70_000, 600_000])
def test_a_piece_never_ends_inside_a_character(characters: int) -> None:
    for shift in range(4):
        state = {"text": "x" * shift + "😀ä" * (characters // 3)}
        assert restored(state) == state


def test_a_small_state_is_kept_as_it_is() -> None:
    layout = parts.lay_out({"step": 7})
    assert (layout.state, layout.pieces, layout.parts) == ('{"step":7}', [], {})


def test_the_size_is_that_of_the_whole_text() -> None:
    state = {"a": "x" * 10_000, "b": {"c": ["y" * 5_000] * 9, "d": 1}, "e": LONG}
    whole = jsontext.encode(state)
    assert parts.lay_out(state).size == len(whole.encode())


def test_values_that_did_not_change_have_the_same_parts() -> None:
    first = parts.lay_out({"step": 1, "prompt": LONG, "nested": {"big": LONG * 9, "n": 1}})
    second = parts.lay_out({"step": 2, "prompt": LONG, "nested": {"big": LONG * 9, "n": 2}})
    assert first.parts == second.parts
    assert len(first.pieces) == 2


def test_a_conversation_that_grows_by_a_turn_has_few_new_parts_however_long_it_is() -> None:
    turns = [{"role": "user", "content": "x" * 900 + str(n)} for n in range(4_000)]
    for length in (20, 100, 1_000, 3_999):
        before = parts.lay_out({"messages": turns[:length]})
        after = parts.lay_out({"messages": turns[: length + 1]})
        new = [data for name, data in after.parts.items() if name not in before.parts]
        # A rest, or at a boundary the piece of 64 or 512 KiB that small ones make up.
        assert len(new) <= 2
        assert sum(map(len, new)) < 10_000
        assert len(after.pieces[0].parts) < 40


def test_many_small_values_are_cut_together() -> None:
    state = {f"key{n}": n for n in range(100_000)}
    layout = parts.lay_out(state)
    assert len(layout.state) < 100
    assert restored(state) == state


def test_compressing_is_left_where_it_does_not_pay() -> None:
    noise = random.Random(1).randbytes(9_000)
    for part in parts.pack({parts.name_of(noise): noise}):
        assert (part.codec, part.data) == (0, noise)
    text = b"x" * 9_000
    (small,) = parts.pack({parts.name_of(text): text})
    assert small.codec == 1
    assert len(small.data) < 100
    assert parts.unpack(small) == text


@pytest.mark.parametrize("codec", [0, 1, 2])
def test_a_damaged_part_is_found_when_it_is_read(codec: int) -> None:
    text = b"x" * 9_000
    (part,) = parts.pack({parts.name_of(text): text})
    damaged = Part(part.name, part.size, codec, part.data[:-1] + b"\0")
    with pytest.raises(StorageError, match="damaged"):
        parts.unpack(damaged)


def test_what_json_cannot_hold_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"data\.a\.b\[1\]: NaN"):
        parts.lay_out({"x": LONG, "a": {"b": [1, float("nan")]}})
    with pytest.raises(InvalidInputError, match="the key 1 is no text"):
        parts.lay_out({1: LONG})
