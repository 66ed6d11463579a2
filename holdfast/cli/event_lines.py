"""One event as a line: for people, and as JSON whose keys are the columns of table ``events``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from holdfast.cli.colours import columns, painted
from holdfast.cli.output import moment, printable, write_line
from holdfast.severities import severity_of
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.hub import Event

__all__ = [
    "FORMATS",
    "as_json",
    "as_text",
    "formatted_as",
    "print_event",
    "shortened",
    "without_line_ends",
]

FORMATS: Final = ("short", "verbose", "json")
# Columns of a terminal; below them a line leaves out what can best be missed.
WIDE: Final = 130
NARROW: Final = 80
SHOWN: Final = 120  # characters of `data` in a line for people
# JSON may hold these, but many a reader takes them for the end of the line.
_LINE_ENDS: Final = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}
_COLUMNS: Final = (
    "seq",
    "daemon",
    "time_us",
    "type",
    "source",
    "subject",
    "session",
    "correlation",
    "cause",
    "root",
    "depth",
    "key",
)


def print_event(event: Event, as_json_: bool) -> None:
    """Print it."""
    write_line(as_json(event) if as_json_ else as_text(event))


def formatted_as(format_: str) -> Callable[[Event], str]:
    """What makes a line, or several, of an event."""
    return {"short": as_text, "verbose": _as_record, "json": _with_cursor}[format_]


def _with_cursor(event: Event) -> str:
    return f'{as_json(event)[:-1]}, "cursor": "{event.cursor}"}}'


def _as_record(event: Event) -> str:
    """All that there is, a field a line, below its time and its cursor."""
    fields = [(column, getattr(event, column)) for column in _COLUMNS if column != "time_us"]
    fields.append(("data", jsontext.encode(event.data)))
    head = painted(f"{moment(event.time_us)} [cursor {event.cursor}]", "dim")
    lines = [
        f"    {painted(name, 'dim')}: "
        + (_type_of(event, printable(each)) if name == "type" else printable(str(each)))
        for name, each in fields
        if each is not None
    ]
    return "\n".join([head, *lines])


def as_json(event: Event) -> str:
    """A JSON object in one line."""
    fields = {column: getattr(event, column) for column in _COLUMNS}
    head = json.dumps(fields, ensure_ascii=False)
    # The data goes in as the text that is stored, so that nothing of it changes on the way.
    return without_line_ends(f'{head[:-1]}, "data": {jsontext.encode(event.data)}}}')


def without_line_ends(line: str) -> str:
    """JSON text without what some take for the end of a line."""
    return line if line.isascii() else line.translate(_LINE_ENDS)


def as_text(event: Event) -> str:
    """For people; on a terminal a line of it, as far as its names leave room, or less of both."""
    width = columns()
    number, type_ = f"{event.seq:>7}", f"{printable(event.type):<20}"
    time = _time_of(event, width or WIDE)
    if (width or WIDE) < NARROW:
        number, type_ = number.strip(), type_.rstrip()
    where = printable(f"{event.source} {event.session or '-'}")
    room = SHOWN
    if width is not None and width >= NARROW:
        room = min(room, width - sum(map(len, (number, time, type_, where))) - 4)
    data = f" {printable(shortened(event, room))}" if room > len("...") else ""
    head = f"{painted(number, 'dim')} {painted(time, 'dim')} {_type_of(event, type_)}"
    return f"{head} {where}{data}"


def _time_of(event: Event, width: int) -> str:
    """All of it; where there is less room without the day, then without fractions."""
    whole = moment(event.time_us)
    of_day = whole.partition("T")[2]
    if width >= WIDE or not of_day:
        return whole
    return of_day[:12] if width >= NARROW else of_day[:8]


def _type_of(event: Event, text: str) -> str:
    severity = severity_of(event.type)
    return painted(text, "name" if severity == "info" else severity)


def shortened(event: Event, room: int = SHOWN) -> str:
    """The beginning of its data, in so many characters."""
    data = jsontext.encode(event.data)
    return data if len(data) <= room else data[: room - 3] + "..."
