"""What a log record says, as the type, the data and the names of an event.

Owns nothing.  A record may hold anything: what JSON cannot hold becomes text, and what has no text
is named by its class.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Collection
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from loguru import Record

__all__ = ["Draft", "draft_of_loguru", "draft_of_record", "reduced"]

MAX_TEXT: Final = 65_536  # characters of a message or a traceback; an event holds 1 MiB
MAX_EXTRA: Final = 8_192  # characters of one text among the extra fields
MAX_NAME: Final = 1_024  # characters of a session or a correlation, as events bound them
REDUCED: Final = 4_096  # characters of each text when all of them together were too much
MAX_VALUES: Final = 256  # values in the extra fields of one record, with all that is nested
MAX_NESTING: Final = 8  # levels

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "asctime",
    "message",
    "taskName",  # since Python 3.12
}


class Draft(NamedTuple):
    """What is about to be emitted."""

    type: str
    data: dict[str, object]
    session: str | None = None
    correlation: str | None = None
    time_us: int | None = None


def draft_of_record(record: logging.LogRecord, failed: Callable[[], None]) -> Draft:
    """Of the standard library; ``failed`` is told of a message that does not fit its arguments."""
    try:
        message = record.getMessage()
    except Exception:  # the template and its arguments do not match
        failed()
        message = _text(record.msg, MAX_TEXT)
    error: tuple[object, ...] = record.exc_info or ()
    data: dict[str, object] = {
        "message": _text(message, MAX_TEXT),
        "logger": _text(record.name),
        "level": _text(record.levelname),
        "module": _text(record.module),
        "function": _text(record.funcName),
        "line": record.lineno,
    }
    if len(error) == 3 and isinstance(error[1], BaseException):
        data["exception"] = _traceback(error[1], error[2])
    elif record.exc_text:  # a QueueHandler has formatted it
        data["exception"] = _text(record.exc_text, MAX_TEXT)
    if record.stack_info:
        data["stack"] = _text(record.stack_info, MAX_TEXT)
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return _drafted(data, extra, int(record.created * 1_000_000))


def draft_of_loguru(record: Record) -> Draft:
    """Of loguru, which has put the arguments into the message."""
    error = record["exception"]
    time = record["time"]
    data: dict[str, object] = {
        "message": _text(record["message"], MAX_TEXT),
        "logger": _text(record["name"]),
        "level": _text(record["level"].name),
        "module": _text(record["module"]),
        "function": _text(record["function"]),
        "line": record["line"],
    }
    if error is not None and error.value is not None:
        data["exception"] = _traceback(error.value, error.traceback)
    time_us = int(time.timestamp()) * 1_000_000 + time.microsecond
    return _drafted(data, dict(record["extra"]), time_us)


def _drafted(data: dict[str, object], extra: dict[str, object], time_us: int) -> Draft:
    session, correlation = (_name(extra.pop(field, None)) for field in ("session", "correlation"))
    if extra:
        data["extra"] = _plain(extra, [MAX_VALUES], MAX_NESTING)
    level = "-".join(str(data["level"]).lower().replace("\0", " ").split())
    return Draft(f"log:{level}"[:MAX_NAME], data, session, correlation, time_us)


def reduced(draft: Draft, error: InvalidInputError) -> Draft:
    """As much of it as an event certainly holds, and why."""
    texts = {
        field: _text(value, REDUCED) if isinstance(value, str) else value
        for field, value in draft.data.items()
        if field != "extra"
    }
    return draft._replace(data=texts | {"left_out": _text(error, REDUCED)})


def _plain(value: object, room: list[int], nesting: int) -> object:
    """As close to the value as JSON comes; text for the rest.  ``room`` is what may be added."""
    try:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and int(value).bit_length() <= 64:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        if isinstance(value, bytes) and len(value) <= MAX_EXTRA:
            return bytes(value)
        if isinstance(value, dict | list | tuple | set | frozenset):
            return _plain_items(value, room, nesting)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
    return _text(value)


def _plain_items(value: Collection[object], room: list[int], nesting: int) -> object:
    taken = min(len(value), room[0]) if nesting else 0
    room[0] -= taken
    rest = f"{len(value) - taken} left out" if taken < len(value) else None
    made: dict[str, object] | list[object]
    if isinstance(value, dict):
        items = list(islice(value.items(), taken))  # at once: another thread may change it
        made = {_text(key): _plain(item, room, nesting - 1) for key, item in items}
        if rest:
            made["..."] = rest
    else:
        made = [_plain(item, room, nesting - 1) for item in list(islice(value, taken))]
        if rest:
            made.append(f"... {rest}")
    return made


def _text(value: object, limit: int = MAX_EXTRA) -> str:
    """Text of any value, without lone surrogates; the middle of what is too long is left out."""
    try:
        text = repr(value) if isinstance(value, BaseException) else str(value)
        if len(text) > limit:
            cut = len(text) - limit
            text = f"{text[: limit // 2]}[{cut} characters left out]{text[-limit // 2 :]}"
        return str.encode(text, "utf-8", "backslashreplace").decode()
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _name(value: object) -> str | None:
    if value is None:
        return None
    return _text(value).replace("\0", "")[:MAX_NAME] or None


def _traceback(error: BaseException, trace: object) -> str:
    try:
        frames = trace if isinstance(trace, TracebackType) else None
        lines = traceback.format_exception(type(error), error, frames)
    except Exception:  # of an exception class of the program's own
        return _text(error, MAX_TEXT)
    return _text("".join(lines), MAX_TEXT)
