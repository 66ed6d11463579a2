"""Values of properties as texts, and as what SQLite compares and orders them by.

A value compares as (kind, key, rest), within its kind only; across kinds it orders null, booleans,
numbers, texts, all others:

* Numbers compare by what they are worth, 1 and 1.0 alike, at any size: an integer beyond 64 bits
  has the greatest float at or below it as its key, and how far above that it is as its rest.
* Texts compare by code points.  Of a text over 256 characters the key is the beginning, and the
  rest a hash of what follows: equal or not is exact, but two that begin alike have no order.
* Lists, objects and bytes are equal or not, whatever the order of their keys.

Within a text of JSON a value is as ``jsontext`` writes it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage.state_records import MAX_PROPERTIES, MAX_PROPERTIES_BYTES, check_name

__all__ = [
    "NUMBER",
    "OTHER",
    "TEXT",
    "Comparable",
    "Properties",
    "comparable",
    "comparable_text",
    "parsed",
    "parsed_object",
    "text_of",
    "text_of_object",
]

Properties = dict[str, Any]
Comparable = tuple[int, int | float | str, int | str]

NULL: Final = 0
BOOLEAN: Final = 1
NUMBER: Final = 2
TEXT: Final = 3
OTHER: Final = 4

KEY_LENGTH: Final = 256  # characters: what SQLite keeps within a page of the index
MAX_INT: Final = 2**63 - 1
# Below every integer that JSON can hold here, which has 4,300 digits (storage/jsontext).
LEAST_INT: Final = -(1 << 14_400)
# Property names that jsontext would read as bytes when they stand alone in an object.
_MARK: Final = "$bytes"

_decode: Final[Callable[[str | bytes], Any]] = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode


def parsed(text: str, field: str) -> Any:
    """The value as JSON has it: bytes stay ``{"$bytes": ...}``.  Raises InvalidInputError."""
    try:
        return _decode(text)
    except RecursionError:
        raise InvalidInputError(f"{field}: nested too deep") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInputError(f"{field}: no JSON value that can be kept: {error}") from None


def parsed_object(text: str, field: str) -> Properties:
    """The properties in an object, their names checked.  Raises InvalidInputError."""
    found = parsed(text, field)
    if type(found) is not dict:
        raise InvalidInputError(f"{field}: expected an object of names and values")
    if len(found) > MAX_PROPERTIES:
        text = f"{field}: {len(found):,} properties; at most {MAX_PROPERTIES:,}"
        raise InvalidInputError(text)
    for name in found:
        check_name(name, field)
        if name[-6:] == _MARK and not name[:-6].strip("$"):
            raise InvalidInputError(f"{field}: {name!r} is the mark of bytes and no name")
    return found


def text_of(value: Any) -> str:
    """A value that ``parsed`` read, as JSON text."""
    return _encode(value).decode()


def text_of_object(properties: Properties) -> str:
    """The text to keep.  Raises InvalidInputError when there is too much of it."""
    if len(properties) > MAX_PROPERTIES:
        raise InvalidInputError(
            f"properties: {len(properties):,} would be too many; at most {MAX_PROPERTIES:,}"
        )
    text = _encode(properties)
    if len(text) > MAX_PROPERTIES_BYTES:
        raise InvalidInputError(
            f"properties: {len(text):,} bytes as JSON; at most {MAX_PROPERTIES_BYTES:,}: "
            "keep large things in files, and their names here"
        )
    return text.decode()


def comparable(value: Any) -> Comparable:
    """What a value that ``parsed`` read is compared by."""
    kind = type(value)
    if kind is str:
        return (TEXT, value, 0) if len(value) <= KEY_LENGTH else _long(TEXT, value)
    if kind is int:
        return (NUMBER, value, 0) if -MAX_INT <= value <= MAX_INT else _large(value)
    if kind is float:
        return NUMBER, value, 0
    if kind is bool:
        return BOOLEAN, int(value), 0
    if value is None:
        return NULL, 0, 0
    return _long(OTHER, _encode_sorted(_canonical(value)).decode())


def comparable_text(text: str, field: str) -> Comparable:
    """As ``comparable``, for a value as JSON text.  Raises InvalidInputError."""
    return comparable(parsed(text, field))


def _long(kind: int, text: str) -> Comparable:
    if len(text) <= KEY_LENGTH:
        return kind, text, 0
    return kind, text[:KEY_LENGTH], sha256(text[KEY_LENGTH:].encode()).hexdigest()[:32]


def _large(value: int) -> Comparable:
    """The greatest float at or below, and the distance: a text that orders as its number does."""
    try:
        key = float(value)
    except OverflowError:
        key = sys.float_info.max if value > 0 else -math.inf
    if key != -math.inf and int(key) > value:
        key = math.nextafter(key, -math.inf)
    beyond = value - (LEAST_INT if key == -math.inf else int(key))
    if not beyond:
        return NUMBER, key, 0
    digits = f"{beyond:x}"
    return NUMBER, key, f"{len(digits):04x}{digits}"


def _canonical(value: Any) -> Any:
    """The same for values that are equal: whole floats as integers."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is list:
        return [_canonical(item) for item in value]
    if type(value) is dict:
        return {name: _canonical(item) for name, item in value.items()}
    return value
