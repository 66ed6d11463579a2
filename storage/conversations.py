"""A recorded conversation as Markdown or JSON, for people and for other programs.

Markdown shows ``content`` under the name of its ``role`` where a record has both, everything else
as JSON in a fence.  Nothing is owned here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["Format", "Record", "exported"]

Format = Literal["markdown", "json"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FENCES: Final = re.compile(r"`{3,}")


class Record(msgspec.Struct, frozen=True):
    """One record of a session; ``seq`` counts from 1, ``time_us`` is when it was appended."""

    seq: int
    time_us: int
    record: dict[str, object]


def exported(session: str, records: Iterable[Record], format: Format) -> Iterator[str]:
    """The conversation in pieces.  Raises InvalidInputError for another format."""
    match format:
        case "markdown":
            return _as_markdown(session, records)
        case "json":
            return _as_json(session, records)
        case _:
            raise InvalidInputError(f"format = {format!r}: expected markdown or json")


def _as_json(session: str, records: Iterable[Record]) -> Iterator[str]:
    yield f'{{"session": {jsontext.encode(session)}, "records": ['
    before = "\n"
    for one in records:
        record = jsontext.encode(one.record)
        yield f'{before}{{"seq": {one.seq}, "time_us": {one.time_us}, "record": {record}}}'
        before = ",\n"
    yield "\n]}\n"


def _as_markdown(session: str, records: Iterable[Record]) -> Iterator[str]:
    yield f"# {_one_line(session)}\n"
    for one in records:
        role, content = one.record.get("role"), one.record.get("content")
        when = f"{_moment(one.time_us)}"
        if isinstance(role, str) and isinstance(content, str):
            rest = {key: one.record[key] for key in one.record if key not in ("role", "content")}
            yield f"\n## {_one_line(role)} ({when})\n\n{content.rstrip()}\n"
            if rest:
                yield f"\n{_fenced(rest)}"
        else:
            yield f"\n## {one.seq} ({when})\n\n{_fenced(one.record)}"


def _fenced(value: object) -> str:
    text = msgspec.json.format(jsontext.encode(value), indent=2)
    # Longer than any in the text, which would end it.
    longest = max((len(found) for found in _FENCES.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}json\n{text}\n{fence}\n"


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"


def _moment(time_us: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%d %H:%M:%S UTC")
    except OverflowError:  # beyond the year 9999
        return f"{time_us} us"
