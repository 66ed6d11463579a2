"""Values survive as JSON text, or are refused by name."""

from __future__ import annotations

import datetime
import enum
import math
import random
import sys

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage.jsontext import MAX_DEPTH, decode, encode


def random_value(pick: random.Random, depth: int) -> object:
    kind = pick.randrange(10 if depth else 8)
    match kind:
        case 0:
            return None
        case 1:
            return pick.random() < 0.5
        case 2:
            return pick.getrandbits(pick.randrange(1, 2000)) * pick.choice((1, -1))
        case 3:
            return pick.uniform(-1, 1) * 10.0 ** pick.randrange(-320, 308)
        case 4:
            return pick.randbytes(pick.randrange(20))
        case 5 | 6 | 7:
            return random_text(pick)
        case 8:
            return [random_value(pick, depth - 1) for _ in range(pick.randrange(4))]
    keys = [pick.choice(("$bytes", "$$bytes", random_text(pick))) for _ in range(pick.randrange(3))]
    return {key: random_value(pick, depth - 1) for key in keys}


def random_text(pick: random.Random) -> str:
    points = (pick.randrange(sys.maxunicode + 1) for _ in range(pick.randrange(12)))
    return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)


@pytest.mark.parametrize("seed", range(20))
def test_any_value_comes_back_exactly(seed: int) -> None:
    pick = random.Random(seed)
    for _ in range(100):
        value = random_value(pick, 4)
        again = decode(encode(value))
        assert again == value
        assert repr(again) == repr(value)  # 1, 1.0 and True are equal


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        10**4000,
        1e20,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        "\0",
        "\U0001f9ed\u2028",
        b"",
        bytes(range(256)),
        {"$bytes": "aGk="},
        {"$bytes": b"hi"},
        {"$$bytes": {"$bytes": 1}},
        {"$bytes": 1, "other": 2},
        {"": None},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_usually_gets_lost_comes_back_exactly(value: object) -> None:
    for wrapped in (value, [value], {"a": [value, {"b": value}]}):
        again = decode(encode(wrapped))
        assert again == wrapped
        assert repr(again) == repr(wrapped)


def test_a_tuple_comes_back_as_a_list() -> None:
    assert decode(encode({"a": (1, (2, "x"))})) == {"a": [1, [2, "x"]]}


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [0, 1, 2, math.nan]}, r"data\.a\[3\]: NaN"),
        (math.inf, "data: Infinity"),
        ([-math.inf], r"data\[0\]: -Infinity"),
        ({"a": "x\ud800"}, r"data\.a: lone surrogate '\\ud800' at 1"),
        ({"\udfff": 1}, "lone surrogate"),
        ({"a": {1: 2}}, r"data\.a: the key 1 is no text"),
        ({"a": {b"k": 2}}, "the key b'k' is no text"),
        ({"at": datetime.datetime(2024, 1, 1)}, r"data\.at: datetime .*isoformat"),
        ([{1, 2}], r"data\[0\]: set .*sorted"),
        (Colour.RED, "data: Colour .*value"),
        ([object()], r"data\[0\]: object is no JSON type"),
        ([10**5000], r"data\[0\]: an integer over 4,300 digits"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        encode(value)


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_nesting_is_bounded_and_never_exhausts_the_stack() -> None:
    assert decode(encode(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    circle: dict[str, object] = {}
    circle["again"] = circle
    for value in (nested(MAX_DEPTH + 1), nested(100_000), circle):
        with pytest.raises(InvalidInputError, match="nested over 200 levels"):
            encode(value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", "nul", "1e400", "[" * 100_000, '{"$bytes":"*"}', b"\xff", "9" * 5000, "NaN"],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_json_text_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode(text)
