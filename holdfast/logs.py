"""Log records as events: a handler for ``logging`` and a sink for loguru.

A record becomes an event ``log:<level>``.  Logging never waits for the daemon: what finds no room
in the outbox is dropped and counted, and the count follows as an event ``log:dropped``.  Kept in
this process only: the count that is not reported yet.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from holdfast.actors.background import THREAD
from holdfast.actors.hub import Hub
from holdfast.errors import HoldfastError, InvalidInputError, OutboxFullError
from holdfast.log_records import Draft, draft_of_loguru, draft_of_record, reduced

if TYPE_CHECKING:
    from loguru import Message

__all__ = ["Handler", "Sink", "sink"]

REPORT_PERIOD: Final = 0.1  # seconds between looks for room to report what was dropped
WATCHER: Final = "holdfast-logs"


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
        draft: Callable[[], Draft],
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

    def _offer(self, draft: Draft) -> bool:
        """Whether it was taken.  Raises InvalidInputError for what cannot be an event."""
        try:
            try:
                self._emit(draft)
            except InvalidInputError as error:
                self._emit(reduced(draft, error))
        except OutboxFullError:
            return False
        except InvalidInputError:  # not the record's fault: the source of the hub
            raise
        except HoldfastError:
            self._is_over = True
            return False
        return True

    def _emit(self, draft: Draft) -> None:
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
                Draft("log:dropped", {"dropped": count, "total": total})
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
        draft = partial(draft_of_record, record, failed)
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
        draft = partial(draft_of_loguru, record)
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
