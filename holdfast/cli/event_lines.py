"""One event as a line: for people, and as JSON whose keys are the columns of table ``events``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from holdfast.cli.output import moment, printable, write_line
from holdfast.storage import jsontext

if TYPE_CHECKING:
    from holdfast.actors.hub import Event

__all__ = ["as_json", "as_text", "print_event", "shortened", "without_line_ends"]

_SHOWN: Final = 120  # characters of `data` in a line for people
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
    """For people."""
    session = event.session or "-"
    return printable(
        f"{event.seq:>7} {moment(event.time_us)} {event.type:<20} {event.source} {session}"
        f" {shortened(event)}"
    )


def shortened(event: Event) -> str:
    """The beginning of its data."""
    data = jsontext.encode(event.data)
    return data if len(data) <= _SHOWN else data[: _SHOWN - 3] + "..."
