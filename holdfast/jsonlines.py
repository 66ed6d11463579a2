"""JSON lines as events: what ``events import`` reads.

Keeps nothing but the line in hand, whatever the size of the file.  A line that is no event is
reported with its number and the reason, and never costs the line after it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final, NoReturn

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = [
    "MAX_LINE",
    "Record",
    "epoch_microseconds",
    "iso_microseconds",
    "plain_object",
    "read",
    "record_of",
    "records",
]

# Bytes.  The client refuses events over 1 MiB; escapes make the line of one longer.
MAX_LINE: Final = 4 * 2**20
_CHUNK: Final = 64 * 1024  # bytes read at once while the rest of an overlong line is skipped
_BOM: Final = b"\xef\xbb\xbf"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_INTEGER: Final = 2**63 - 1  # what the database's integer column holds

# The column of table `events` -> the names a line may use for it.
_TEXTS: Final = {
    "source": ("source",),
    "subject": ("subject",),
    "session": ("session",),
    "correlation": ("correlation",),
    "cause": ("parent", "cause"),
    "root": ("root",),
    "key": ("id", "key"),
}
# Columns of an exported line that the daemon assigns anew.
_ASSIGNED: Final = frozenset({"seq", "daemon"})
_KNOWN: Final = frozenset({"type", "data", "time", "time_us", "depth", *_ASSIGNED}).union(
    *_TEXTS.values()
)


@dataclass(frozen=True, slots=True)
class Record:
    """One line as an event; ``time_us`` in microseconds since 1970, None for now."""

    type: str
    source: str | None = None
    subject: str | None = None
    session: str | None = None
    correlation: str | None = None
    cause: str | None = None
    root: str | None = None
    depth: int = 0
    key: str | None = None
    time_us: int | None = None
    data: object = None


class _Refused(Exception):
    """Why a line is no event."""


def records(stream: BinaryIO, *, max_line: int = MAX_LINE) -> Iterator[tuple[int, Record | str]]:
    """Every line that is not blank: its number from 1, and its record or why it has none."""
    for number, line in read(stream, max_line=max_line):
        yield number, f"longer than {max_line} bytes" if line is None else record_of(line)


def record_of(line: bytes) -> Record | str:
    """The record of one line, or why it has none."""
    try:
        return _record(line)
    except _Refused as refused:
        return str(refused)


def plain_object(text: bytes) -> dict[str, object]:
    """A JSON object as it stands: what is marked as bytes is not read as such.

    Raises InvalidInputError.
    """
    try:
        return _object(text, msgspec.json.decode)
    except _Refused as refused:
        raise InvalidInputError(str(refused)) from None


def read(stream: BinaryIO, *, max_line: int = MAX_LINE) -> Iterator[tuple[int, bytes | None]]:
    """Every line that is not blank, with its number; None for one over ``max_line`` bytes."""
    number = 0
    while line := stream.readline(max_line + 2):  # room for CRLF
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line.rstrip(b"\r\n")) > max_line:
            _skip_rest(stream, line)
            yield number, None
        elif line.strip():
            yield number, line


def _skip_rest(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(_CHUNK)


def _record(line: bytes) -> Record:
    fields = _object(line)
    unknown = sorted(fields.keys() - _KNOWN)
    if unknown:
        raise _Refused(f"unknown field {unknown[0]!r}: accepted are {', '.join(sorted(_KNOWN))}")
    type_ = fields.get("type")
    if not isinstance(type_, str) or not type_:
        raise _Refused(f"type: expected a text that is not empty, not {_describe(type_)}")
    texts = {column: _text(fields, names) for column, names in _TEXTS.items()}
    return Record(
        type=type_,
        time_us=_time(fields),
        data=fields.get("data"),
        depth=_depth(fields),
        **texts,
    )


def _depth(fields: dict[str, object]) -> int:
    depth = fields.get("depth")
    if depth is None:
        return 0
    if type(depth) is not int or not 0 <= depth <= _MAX_INTEGER:
        raise _Refused(f"depth: expected a whole number >= 0, not {_describe(depth)}")
    return depth


def _object(line: bytes, decode: Callable[[str], object] = jsontext.decode) -> dict[str, object]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise _Refused(f"not UTF-8 at byte {error.start}{_if_torn(line)}") from None
    try:
        value = decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise _Refused(_fault(text) or str(error)) from None
    if not isinstance(value, dict):
        raise _Refused(f"expected a JSON object, not {_describe(value)}")
    return value


def _fault(text: str) -> str | None:
    """Why it is no JSON, by Python's own parser: that one is slow but tells the column."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_float)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair is no text"
    except _Refused as refused:
        return str(refused)
    except json.JSONDecodeError as error:
        place = f"{error.msg.removesuffix(' at')}, column {error.colno}"
        return f"not JSON: {place}{_if_torn(text.encode())}"
    except RecursionError:
        return "nested too deeply"
    except ValueError:
        return "an integer of more digits than Python converts"
    return None


def _if_torn(line: bytes) -> str:
    return "" if line.endswith(b"\n") else "; the file ends inside this line"


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON: expected a finite number")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Refused(f"{digits} is larger than any finite number")
    return value


def _text(fields: dict[str, object], names: tuple[str, ...]) -> str | None:
    given = [name for name in names if fields.get(name) is not None]
    if len(given) > 1:
        raise _Refused(f"{given[0]} and {given[1]} are two names of one field: give one")
    if not given:
        return None
    value = fields[given[0]]
    if not isinstance(value, str):
        raise _Refused(f"{given[0]}: expected a text, not {_describe(value)}")
    return value


def _time(fields: dict[str, object]) -> int | None:
    time, time_us = fields.get("time"), fields.get("time_us")
    if time is not None and time_us is not None:
        raise _Refused("time and time_us are two names of one field: give one")
    if time_us is not None:
        if type(time_us) is not int:
            raise _Refused(f"time_us: expected whole microseconds, not {_describe(time_us)}")
        return _in_range(time_us, "time_us")
    if isinstance(time, str):
        try:
            return iso_microseconds(time)
        except ValueError:
            raise _Refused(f"time: expected ISO 8601 or seconds, not {_describe(time)}") from None
    if isinstance(time, int | float) and not isinstance(time, bool):
        return _in_range(epoch_microseconds(time), "time")
    if time is not None:
        raise _Refused(f"time: expected ISO 8601 or seconds, not {_describe(time)}")
    return None


def _in_range(value: int, name: str) -> int:
    if abs(value) > _MAX_INTEGER:
        raise _Refused(f"{name}: out of range")
    return value


def epoch_microseconds(seconds: float) -> int:
    """Seconds since 1970 as whole microseconds."""
    return round(seconds * 1_000_000)


def iso_microseconds(text: str) -> int:
    """An ISO 8601 time as microseconds since 1970; without an offset it is UTC.

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (time - _EPOCH) // timedelta(microseconds=1)


def _describe(value: object) -> str:
    """A value as it may stand in a message: its kind, and its start when it is a text."""
    if value is None:
        return "null or nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "...")
    kinds = {bool: "a truth value", int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), "an object")
