"""The events of a daemon as a test waits for them: after a point, in order, each handed out once.

What did not match a call stays for the next one, as in a mailbox that is read selectively.
Lost with the test: nothing, the events are in the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container
from types import TracebackType
from typing import Final, Self

from holdfast.actors.hub import Event, Hub
from holdfast.errors import AskTimeoutError
from holdfast.storage.filters import glob_matches
from holdfast.testing.daemon_process import TIMEOUT

__all__ = ["Events", "Where", "newest_seq"]

Types = tuple[str, ...] | list[str] | str
Where = Callable[[Event], bool]

PERIOD: Final = 0.005  # seconds between looks: a commit is some hundred microseconds
LOOK: Final = 1.0  # seconds that one look may take, so that the daemon's end is noticed meanwhile
BRIEF: Final = 0.1  # seconds that the last look may take, after the timeout
PAGE: Final = 1000  # events
SHOWN: Final = 20  # events that a failure shows
WIDTH: Final = 160  # characters of an event there

_pause = threading.Event().wait


class Events:
    """``Daemon.watching`` makes one; ``Daemon.next_event`` has one of its own."""

    def __init__(
        self,
        *,
        hub: Callable[[], Hub],
        check: Callable[[], None],
        log_tail: Callable[[], str],
        started: Container[object],
        after: int,
        types: Types = (),
        session: str | None = None,
        source: str | None = None,
    ) -> None:
        self._hub = hub  # of the daemon's present life
        self._check = check  # raises when the daemon has ended
        self._log_tail = log_tail
        self._started = started  # pids whose report of readiness is part of the start
        self._after = after
        self._filter = {"types": types, "session": session, "source": source}
        self._came: list[Event] = []  # and not handed out yet
        self._is_closed = False

    def next(
        self,
        types: Types = "*",
        *,
        subject: str | None = None,
        session: str | None = None,
        source: str | None = None,
        where: Where | None = None,
        timeout: float = TIMEOUT,
    ) -> Event:
        """The earliest event that matches and was not handed out before; waits for it.

        ``types`` are globs as in ``hub.events.query``; ``where`` is asked last.  Raises
        AssertionError after ``timeout`` seconds, with what did come and the end of the log; it
        looks at least once.
        """
        is_wanted = _matcher(types, subject, session, source, where)
        deadline = time.monotonic() + timeout
        looked, is_last = 0, self._is_closed
        while True:
            for index in range(looked, len(self._came)):
                if is_wanted(self._came[index]):
                    return self._came.pop(index)
            looked = len(self._came)
            if is_last:
                wanted = _wish(types, subject=subject, session=session, source=source, where=where)
                raise AssertionError(self._missing(wanted, timeout))
            self._check()
            left = deadline - time.monotonic()
            if not self._fetch(min(max(left, BRIEF), LOOK)):
                is_last = left <= 0
                _pause(PERIOD)

    def so_far(
        self,
        types: Types = "*",
        *,
        subject: str | None = None,
        session: str | None = None,
        source: str | None = None,
        where: Where | None = None,
    ) -> list[Event]:
        """Those committed by now that match and were not handed out; they stay.

        What this daemon's ``hub`` emitted is among them.
        """
        is_wanted = _matcher(types, subject, session, source, where)
        if not self._is_closed:
            self._check()
            self._catch_up()
        return [event for event in self._came if is_wanted(event)]

    def _catch_up(self) -> None:
        self._hub().flush(timeout=TIMEOUT)
        while self._fetch(TIMEOUT):
            pass

    def _fetch(self, timeout: float) -> bool:
        """Whether there were more events; the start's own reports of readiness are left out."""
        query = self._hub().events.query
        try:
            page = query(**self._filter, after=self._after, limit=PAGE, timeout=timeout)  # type: ignore[arg-type] # of one type each
        except AskTimeoutError:
            return False
        if page:
            self._after = page[-1].seq
            self._came += [event for event in page if not self._is_of_the_start(event)]
        return bool(page)

    def _is_of_the_start(self, event: Event) -> bool:
        return (
            event.type == "supervisor:progress"
            and isinstance(event.data, dict)
            and event.data.get("restarts") == 0
            and event.data.get("pid") in self._started
        )

    def _missing(self, wanted: str, timeout: float) -> str:
        closed = "before the end of the block" if self._is_closed else f"within {timeout:g} s"
        shown = [_line(event) for event in self._came[-SHOWN:]]
        came = "\n".join(shown) if shown else "nothing"
        if len(self._came) > SHOWN:
            came = f"... {len(self._came) - SHOWN} earlier ones\n{came}"
        return f"no event {wanted} {closed}; what came instead:\n{came}\n{self._log_tail()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take what is committed by now; later events are not seen, and nothing waits any more."""
        if exc is None:
            self._catch_up()
        self._is_closed = True


def newest_seq(hub: Hub) -> int:
    """The number of the newest committed event, with all that this hub emitted; 0 for none."""
    hub.flush(timeout=TIMEOUT)
    newest = hub.events.query(limit=1, reverse=True)
    return newest[0].seq if newest else 0


def _matcher(
    types: Types,
    subject: str | None,
    session: str | None,
    source: str | None,
    where: Where | None,
) -> Where:
    globs = (types,) if isinstance(types, str) else tuple(types)

    def is_wanted(event: Event) -> bool:
        return (
            any(glob_matches(glob, event.type) for glob in globs)
            and subject in (None, event.subject)
            and session in (None, event.session)
            and source in (None, event.source)
            and (where is None or bool(where(event)))
        )

    return is_wanted


def _wish(types: Types, **conditions: object) -> str:
    named = [f"{name}={value!r}" for name, value in conditions.items() if value is not None]
    return " ".join([repr(types), *named])


def _line(event: Event) -> str:
    named = [
        f"{name}={value}"
        for name in ("subject", "session")
        if (value := getattr(event, name)) is not None
    ]
    text = " ".join([f"{event.seq:>7} {event.type}", event.source, *named, repr(event.data)])
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."
