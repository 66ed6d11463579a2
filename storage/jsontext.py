"""Values as JSON text, and back without a difference; what JSON cannot hold is refused by name.

* Integers of any size Python prints (4,300 digits), every finite float and any Unicode text come
  back exactly.  A tuple comes back as a list.
* Bytes travel as ``{"$bytes": "<base64>"}``.  So that a dict of that very shape stays what it is,
  a dict whose only key is ``$bytes``, ``$$bytes``, ... travels with one more ``$``.
* NaN, infinities, lone surrogates, keys that are not text, other types (also subclasses) and
  nesting over 200 levels are refused.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import enum
import math
import pathlib
import re
import uuid
from collections.abc import Sequence
from itertools import chain
from math import isfinite
from typing import Final, cast

import msgspec

from holdfast.errors import InvalidInputError

__all__ = ["MAX_DEPTH", "decode", "encode", "encode_utf8"]

# SQLite's JSON functions take 1,000 levels.  A level costs two of Python's 1,000 stack frames.
MAX_DEPTH: Final = 200
# Integers of up to 4,300 digits are printed and read by Python (sys.int_info).
MAX_INT_BITS: Final = 14_284

MANY: Final = 32  # values from which on it pays to look at all of them at once
_PLAIN: Final = frozenset((str, int, bool, type(None)))

_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder().decode

# A dict with only such a key means something else in the text than in Python.
_MARKED: Final = re.compile(r"\$+bytes")

_HINTS: Final[tuple[tuple[type, str], ...]] = (
    (datetime.datetime, "pass .isoformat() or microseconds"),
    (datetime.date, "pass .isoformat()"),
    (datetime.time, "pass .isoformat()"),
    (datetime.timedelta, "pass .total_seconds()"),
    (decimal.Decimal, "pass str() of it"),
    (uuid.UUID, "pass str() of it"),
    (pathlib.PurePath, "pass str() of it"),
    (enum.Enum, "pass its .value"),
    (set, "pass sorted() of it"),
    (frozenset, "pass sorted() of it"),
    (bytearray, "pass bytes() of it"),
    (memoryview, "pass bytes() of it"),
    (msgspec.Struct, "pass msgspec.to_builtins() of it"),
)


def encode(value: object, field: str = "data") -> str:
    """The value as JSON text.

    Raises InvalidInputError that names the place: ``data.a[3]: NaN ...``.
    """
    return encode_utf8(value, field).decode()


def encode_utf8(value: object, field: str = "data", *, depth: int = MAX_DEPTH) -> bytes:
    """As ``encode``, the text as UTF-8; of what holds decoded values, at a greater ``depth``."""
    try:
        if _is_plain(value, depth):
            return _to_json(value)
    except (ValueError, RecursionError):
        pass  # a lone surrogate, a giant integer, no stack left: found again below, with its place
    try:
        return _to_json(_portable(value, field, depth))
    except RecursionError:
        raise InvalidInputError(f"{field}: nested deeper than the caller's stack allows") from None


def decode(text: str | bytes) -> object:
    """The value that ``encode`` was given.  Raises InvalidInputError for what is no JSON."""
    try:
        value = _from_json(text)
        # Every text with bytes or a marked key in it has this; hardly any other has.
        # A single character is found twenty times as fast.
        dollar, marked = (b"$", b"$bytes") if isinstance(text, bytes) else ("$", "$bytes")
        if dollar in text and marked in text:  # type: ignore[operator]  # same kind on both sides
            return _restored(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError) as error:
        raise InvalidInputError(f"not a JSON text that can be read: {error}") from None
    return value


def _is_plain(value: object, depth: int) -> bool:
    """Whether msgspec writes exactly this value; what has to be looked at closer is not plain."""
    if type(value) is dict:
        key: object = ""
        for key, item in value.items():
            if type(key) is not str:
                return False
            kind = type(item)
            if kind is str or kind is int or kind is bool or item is None:
                continue
            if kind is float and isfinite(item):
                continue
            if depth <= 1 or not _is_plain(item, depth - 1):
                return False
        return len(value) != 1 or not key.endswith("$bytes")  # type: ignore[attr-defined]  # it is text
    if type(value) is list or type(value) is tuple:
        if len(value) >= MANY:
            return _are_plain(value, depth)
        for item in value:
            kind = type(item)
            if kind is str or kind is int or kind is bool or item is None:
                continue
            if kind is float and isfinite(item):
                continue
            if depth <= 1 or not _is_plain(item, depth - 1):
                return False
        return True
    if type(value) is float:
        return isfinite(value)
    return value is None or type(value) in (str, int, bool)


def _are_plain(values: Sequence[object], depth: int) -> bool:
    """As ``_is_plain`` of a list of them; several times as fast where they are alike."""
    kinds = set(map(type, values))
    if kinds == {dict} and depth > 1:
        dicts = cast("Sequence[dict[object, object]]", values)
        if min(map(len, dicts)) > 1:  # none has only a marked key
            if set(map(type, chain.from_iterable(dicts))) != {str}:
                return False
            return _are_plain(list(chain.from_iterable(map(dict.values, dicts))), depth - 1)
    for item in values if not kinds <= _PLAIN else ():
        kind = type(item)
        if kind in _PLAIN or (kind is float and isfinite(item)):  # type: ignore[arg-type]  # it is one
            continue
        if depth <= 1 or not _is_plain(item, depth - 1):
            return False
    return True


def _portable(value: object, path: str, depth: int) -> object:
    """The value as plain JSON types, or an InvalidInputError that names the place."""
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        if value.bit_length() > MAX_INT_BITS:
            raise InvalidInputError(f"{path}: an integer over 4,300 digits; pass hex() of it")
        return value
    if type(value) is str:
        return _text(value, path)
    if type(value) is float:
        if isfinite(value):
            return value
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        raise InvalidInputError(f"{path}: {name} is no JSON number; pass null or a text")
    if type(value) is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if type(value) in (list, tuple, dict):
        if not depth:
            raise InvalidInputError(f"{path[:80]}...: nested over {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            return _portable_dict(value, path, depth)
        return _portable_list(value, path, depth)  # type: ignore[arg-type]  # a list or a tuple
    hint = next((text for base, text in _HINTS if isinstance(value, base)), "pass plain JSON types")
    raise InvalidInputError(f"{path}: {type(value).__name__} is no JSON type; {hint}")


def _portable_list(value: Sequence[object], path: str, depth: int) -> object:
    made: list[object] = []
    for index, item in enumerate(value):
        made.append(_portable(item, f"{path}[{index}]", depth - 1))
    return made


def _portable_dict(value: dict[object, object], path: str, depth: int) -> object:
    made: dict[str, object] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise InvalidInputError(f"{path}: the key {key!r} is no text; pass str() of it")
        _text(key, f"{path}: the key {key!r}")
        made[key] = _portable(item, f"{path}.{key}", depth - 1)
    if len(made) == 1:
        (key, item), *_ = made.items()
        if _MARKED.fullmatch(key):
            return {"$" + key: item}
    return made


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{path}: lone surrogate {value[error.start]!r} at {error.start} is no Unicode text; "
            f"pass bytes, or replace it"
        ) from None
    return value


def _restored(value: object) -> object:
    """Undo what ``_portable`` did to bytes and marked keys, in place where it can."""
    if isinstance(value, list):
        value[:] = map(_restored, value)
    elif isinstance(value, dict):
        if len(value) == 1:
            (key, item), *_ = value.items()
            if key == "$bytes" and isinstance(item, str):
                return _bytes(item)
            if _MARKED.fullmatch(key) and key != "$bytes":
                return {key[1:]: _restored(item)}
        for key, item in value.items():
            value[key] = _restored(item)
    return value


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(f"$bytes is not followed by base64: {error}") from None
