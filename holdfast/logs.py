"""Log records as events: a handler for ``logging`` and a sink for loguru.

A record becomes an event ``log:<level>``.  Logging never waits for the daemon: what finds no room
in the outbox is dropped and counted, and the count follows as an event ``log:dropped``.  Kept in
this process only: the count that is not reported yet.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple

from holdfast.actors.hub import Hub
from holdfast.actors.threaded import THREAD
from holdfast.errors import HoldfastError, InvalidInputError, OutboxFullError

if TYPE_CHECKING:
    from loguru import Message, Record

__all__ = ["Handler", "Sink", "sink"]

MAX_TEXT: Final = 65_536  # characters of a message or a traceback; an event holds 1 MiB
MAX_EXTRA: Final = 8_192  # characters of one text among the extra fields
MAX_NAME: Final = 1_024  # characters of a session or a correlation, as events bound them
REDUCED: Final = 4_096  # characters of each text when all of them together were too much
MAX_VALUES: Final = 256  # values in the extra fields of one record, with all that is nested
MAX_NESTING: Final = 8  # levels
REPORT_PERIOD: Final = 0.1  # seconds between looks for room to report what was dropped
WATCHER: Final = "holdfast-logs"

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "asctime",
    "message",
    "taskName",  # since Python 3.12
}


class _Draft(NamedTuple):
    """What is about to be emitted."""

    type: str
    data: dict[str, object]
    session: str | None = None
    correlation: str | None = None
    time_us: int | None = None


class _Inside(threading.local):
    """Whether this thread is in the outlet now, so that what it logs meanwhile goes nowhere."""

    is_busy = False


class _Outlet:
    """Offers events, never waits; counts what finds no room and reports it when there is some."""

    def __init__(self, hub: Hub) -> None:
        self.dropped = 0
        self._events = hub.events
        self._pid = os.getpid()
        self._inside = _Inside()
        # Nothing is called while it is held.  Reentrant, since a signal handler may log.
        self._lock = threading.RLock()
        self._unreported = 0
        self._is_over = False  # the hub is closed, refused or a fork's copy; that never changes
        # A SimpleQueue, since it takes what a signal handler or ``__del__`` puts.
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._is_wanted = False  # there is something in the queue
        # Started now and not when it is needed: that may be where no thread can be started.
        threading.Thread(target=self._watch, name=WATCHER, daemon=True).start()

    def send(
        self,
        logger: str | None,
        thread: str | None,
        draft: Callable[[], _Draft],
        failed: Callable[[], None],
    ) -> None:
        """Emit what ``draft`` makes, or count it; ``failed`` is called inside an ``except``."""
        if thread in (THREAD, WATCHER) or _is_below("holdfast", logger):
            return  # to send them would make more of them
        if os.getpid() != self._pid:
            self._disown()
        if self._inside.is_busy and _is_below("pykka", logger):
            return
        if self._inside.is_busy or self._is_over:
            self._drop()
            return
        self._inside.is_busy = True
        try:
            # What was dropped comes first: nothing is even formatted before there is room again.
            if not (self._report() and self._offer(draft())):
                self._drop()
        except Exception:
            self._drop()
            failed()
        finally:
            self._inside.is_busy = False

    def flush(self) -> None:
        """Report now what was dropped, if there is room."""
        if os.getpid() != self._pid or self._inside.is_busy or self._is_over:
            return
        self._inside.is_busy = True
        try:
            with suppress(Exception):
                self._report()
        finally:
            self._inside.is_busy = False

    def close(self) -> None:
        """Report for the last time."""
        self.flush()
        self._wanted.put(False)

    def _offer(self, draft: _Draft) -> bool:
        """Whether it was taken.  Raises InvalidInputError for what cannot be an event."""
        try:
            try:
                self._emit(draft)
            except InvalidInputError as error:
                self._emit(_reduced(draft, error))
        except OutboxFullError:
            return False
        except InvalidInputError:  # not the record's fault: the source of the hub
            raise
        except HoldfastError:
            self._is_over = True
            return False
        return True

    def _emit(self, draft: _Draft) -> None:
        self._events.emit(
            draft.type,
            draft.data,
            session=draft.session,
            correlation=draft.correlation,
            time_us=draft.time_us,
            timeout=0,
        )

    def _drop(self) -> None:
        with self._lock:
            self.dropped += 1
            self._unreported += 1
            if not (self._is_wanted or self._is_over):
                self._is_wanted = True
                self._wanted.put(True)

    def _report(self) -> bool:
        """Whether nothing is left to report."""
        if not self._unreported:
            return True
        with self._lock:  # taken, so that no other thread reports the same
            count, self._unreported = self._unreported, 0
            total = self.dropped
        is_done = False
        try:
            is_done = not count or self._offer(
                _Draft("log:dropped", {"dropped": count, "total": total})
            )
        finally:
            if not is_done:
                with self._lock:
                    self._unreported += count
        return is_done

    def _watch(self) -> None:
        """The thread that reports when the program logs nothing more."""
        while not self._is_over:
            try:
                if not self._wanted.get(timeout=REPORT_PERIOD if self._unreported else None):
                    return
            except queue.Empty:
                pass
            self._is_wanted = False
            with suppress(Exception):  # the count is kept, and a record meets the same failure
                self._report()

    def _disown(self) -> None:
        """This process is a fork: the hub and whoever holds the lock are its parent's."""
        self._lock = threading.RLock()
        self._is_over = True
        self._pid = os.getpid()


class Handler(logging.Handler):
    """``logging.getLogger().addHandler(Handler(hub))``; formatters have no effect.

    ``extra={"session": ..., "correlation": ...}`` become those of the event.
    """

    def __init__(self, hub: Hub, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._outlet = _Outlet(hub)

    @property
    def dropped(self) -> int:
        """Records that did not become events."""
        return self._outlet.dropped

    def handle(self, record: logging.LogRecord) -> bool:
        """As the base class, but without its lock.

        A thread inside the hub that logs from ``__del__`` would wait for a thread that holds the
        lock and waits for the hub.
        """
        passed: object = self.filter(record)
        if isinstance(passed, logging.LogRecord):  # since Python 3.12
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Offer the record, or count it as dropped."""
        failed = partial(self._failed, record)
        draft = partial(_draft_of_record, record, failed)
        self._outlet.send(record.name, record.threadName, draft, failed)

    def flush(self) -> None:
        """Report what was dropped if there is room; ``hub.flush`` is what makes events safe."""
        self._outlet.flush()

    def close(self) -> None:
        """Report what was dropped if there is room; the hub stays open."""
        self._outlet.close()
        super().close()

    def _failed(self, record: logging.LogRecord) -> None:
        with suppress(RecursionError):  # handleError lets it pass
            self.handleError(record)


class Sink:
    """What ``sink`` returns: loguru calls ``write``, and ``stop`` when it is removed."""

    def __init__(self, hub: Hub) -> None:
        self._outlet = _Outlet(hub)

    @property
    def dropped(self) -> int:
        """Records that did not become events."""
        return self._outlet.dropped

    def __call__(self, message: Message) -> None:
        """Offer the record of the message, or count it as dropped."""
        record = message.record
        draft = partial(_draft_of_loguru, record)
        self._outlet.send(record["name"], record["thread"].name, draft, _ignore)

    def write(self, message: Message) -> None:
        """The same; an object that can be written to is also told when it is removed."""
        self(message)

    def stop(self) -> None:
        """Report what was dropped if there is room; the hub stays open."""
        self._outlet.close()


def sink(hub: Hub) -> Sink:
    """``loguru.logger.add(sink(hub))``; loguru's formats have no effect.

    ``session`` and ``correlation``, bound with ``logger.bind``, become those of the event.
    """
    return Sink(hub)


def _ignore() -> None:
    """A loguru sink has nobody to tell, and must not raise into the program."""


def _is_below(package: str, name: object) -> bool:
    return isinstance(name, str) and (name == package or name.startswith(package + "."))


def _draft_of_record(record: logging.LogRecord, failed: Callable[[], None]) -> _Draft:
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


def _draft_of_loguru(record: Record) -> _Draft:
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


def _drafted(data: dict[str, object], extra: dict[str, object], time_us: int) -> _Draft:
    session, correlation = (_name(extra.pop(field, None)) for field in ("session", "correlation"))
    if extra:
        data["extra"] = _plain(extra, [MAX_VALUES], MAX_NESTING)
    level = "-".join(str(data["level"]).lower().replace("\0", " ").split())
    return _Draft(f"log:{level}"[:MAX_NAME], data, session, correlation, time_us)


def _reduced(draft: _Draft, error: InvalidInputError) -> _Draft:
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
