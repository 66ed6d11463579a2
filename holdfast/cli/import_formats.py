"""What ``events import`` reads: our JSON lines, or CloudEvents, one a line or as an array."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from typing import Final, Literal

import msgspec

from holdfast import jsonlines
from holdfast.cloudevents import from_cloudevent, placed_below
from holdfast.errors import InvalidInputError
from holdfast.jsonarrays import elements

__all__ = ["FORMATS", "Format", "Line", "lines"]

Format = Literal["auto", "jsonl", "cloudevents"]
FORMATS: Final[tuple[Format, ...]] = ("auto", "jsonl", "cloudevents")

_BOM: Final = b"\xef\xbb\xbf"
_LOOK: Final = 4096  # bytes at the beginning in which an array shows itself


class Line(msgspec.Struct, frozen=True):
    """One event of a file: what ``emit`` is given, or why it is none."""

    number: int
    arguments: dict[str, object] | None = None
    reason: str = ""
    ignored: tuple[str, ...] = ()


def lines(stream: BufferedReader, format: Format, *, source: str) -> Iterator[Line]:
    """Every event of a file; ``source`` is that of the lines that do not name theirs."""
    beginning = stream.peek(_LOOK)[:_LOOK].removeprefix(_BOM).lstrip()
    if format != "jsonl" and beginning.startswith(b"["):
        for number, element in elements(stream, max_bytes=jsonlines.MAX_LINE):
            yield _cloudevent(number, element)
    elif format == "jsonl":
        for number, record in jsonlines.records(stream):
            yield _own(number, record, source)
    else:
        for number, text in jsonlines.read(stream):
            if text is None:
                yield Line(number, reason=f"longer than {jsonlines.MAX_LINE} bytes")
            elif format == "cloudevents" or b'"specversion"' in text:
                yield _either(number, text, format, source)
            else:
                yield _own(number, jsonlines.record_of(text), source)


def _either(number: int, text: bytes, format: Format, source: str) -> Line:
    """A line that is a CloudEvent, unless only its data has that word in it."""
    if format == "auto":
        try:
            value = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeError):
            value = {}
        if "specversion" not in value:
            return _own(number, jsonlines.record_of(text), source)
    return _cloudevent(number, text)


def _cloudevent(number: int, text: bytes | str) -> Line:
    if isinstance(text, str):
        return Line(number, reason=text)
    try:
        told = from_cloudevent(jsonlines.plain_object(text))
    except InvalidInputError as error:
        return Line(number, reason=str(error))
    return Line(number, told.arguments(), ignored=told.ignored)


def _own(number: int, record: jsonlines.Record | str, source: str) -> Line:
    if isinstance(record, str):
        return Line(number, reason=record)
    arguments: dict[str, object] = {
        "type": record.type,
        "data": record.data,
        "session": record.session,
        "source": source if record.source is None else record.source,
        "subject": record.subject,
        "correlation": record.correlation,
        "cause": placed_below(record.cause, record.root, record.depth),
        "key": record.key,
        "time_us": record.time_us,
    }
    return Line(number, arguments)
