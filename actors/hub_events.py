"""Events as a program uses them: emit, query, follow.

Emitted events wait in this process until the writer has committed them; they are lost when it dies
before that.  ``Hub.flush`` says when they are safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from holdfast.actors.messages import log, query
from holdfast.actors.threaded import ThreadedDriver
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.records import EventFilter, StoredEvent

__all__ = ["Event", "HubEvents"]

MAX_NAME: Final = 1024  # characters of a type, source, session, key ...
MAX_DATA: Final = 1024 * 1024  # bytes of one event's JSON text
PAGE: Final = 1000  # events asked for at a time
FOLLOW_PERIOD: Final = 0.1  # seconds between looks for new events
CAUSES: Final = 10_000  # own events remembered by key, so that effects know root and depth

_encode = msgspec.msgpack.Encoder().encode


class Event(msgspec.Struct, frozen=True):
    """A committed event; ``data`` is decoded.  ``seq`` is 0 while it is in memory only."""

    seq: int
    daemon: str
    time_us: int
    type: str
    source: str
    subject: str | None
    session: str | None
    correlation: str | None
    cause: str | None
    root: str | None
    depth: int
    key: str | None
    data: Any


class HubEvents:
    """``hub.events``."""

    def __init__(self, driver: ThreadedDriver, *, source: str, clock: Clock) -> None:
        self._driver = driver
        self._source = source
        self._clock = clock
        self._link = driver.open("log", pack=_pack)
        self._causes: LRUCache[str, tuple[str, int]] = LRUCache(maxsize=CAUSES)

    @property
    def accepted(self) -> int:
        """Events emitted so far."""
        return self._link.accepted

    @property
    def pending(self) -> int:
        """Events emitted and not known to be committed."""
        return self._link.queued

    @property
    def dropped(self) -> int:
        """Events of this hub, acknowledged so far, that were not stored: rows of ``dropped``."""
        return self._link.dropped

    @property
    def duplicates(self) -> int:
        """Events of this hub, acknowledged so far, whose key was stored before."""
        return self._link.duplicates

    def emit(
        self,
        type: str,
        data: object = None,
        *,
        session: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        correlation: str | None = None,
        cause: str | None = None,
        key: str | None = None,
        time_us: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Hand an event over; it is committed exactly once as long as this process lives.

        ``key`` is unique per source: a second event with it is not stored.  ``cause`` is the key
        of the event that led to this one.  Waits only when the outbox is full, at most ``timeout``
        seconds.  Raises InvalidInputError, OutboxFullError; then nothing is queued.
        """
        text = jsontext.encode(data)
        if source is None:
            source = self._source
        if time_us is None:
            time_us = self._clock.time_us()
        _check_names(type, source, subject, session, correlation, cause, key)
        root, depth = (None, 0) if cause is None else self._place_below(cause)
        raw = _encoded(
            time_us, type, source, subject, session, correlation, cause, root, depth, key, text
        )
        self._driver.offer(self._link, msgspec.Raw(raw), len(raw), timeout)
        if key is not None:
            self._causes[key] = (root or key, depth)

    def query(
        self,
        *,
        types: tuple[str, ...] | list[str] | str = (),
        session: str | None = None,
        source: str | None = None,
        since: int | datetime | None = None,
        until: int | datetime | None = None,
        after: int | None = None,
        limit: int = 100,
        reverse: bool = False,
        visibility: log.Visibility = "committed",
        timeout: float = 30.0,
    ) -> list[Event]:
        """The first ``limit`` events that match, in order of their numbers; or the newest first.

        ``types`` are globs (``tool:*``); ``since`` is included, ``until`` is not; ``after`` is a
        sequence number, excluded.  Answered from the ring when it reaches back far enough.
        """
        wanted = _filter(types, session, source, since, until, after)
        if limit < 1:
            raise InvalidInputError(f"limit = {limit}: expected at least 1")
        ring = log.Query(wanted, limit, reverse, visibility)
        reply = self._driver.ask_once("log", ring, timeout)
        if reply.covered:
            return [_readable(event) for event in reply.events]
        return self._from_database(wanted, limit, reverse, timeout)

    def count(
        self,
        *,
        types: tuple[str, ...] | list[str] | str = (),
        session: str | None = None,
        source: str | None = None,
        since: int | datetime | None = None,
        until: int | datetime | None = None,
        after: int | None = None,
        timeout: float = 30.0,
    ) -> int:
        """How many committed events match."""
        wanted = _filter(types, session, source, since, until, after)
        reply = self._driver.ask_once("log", log.Count(wanted), timeout)
        if not reply.covered:
            reply = self._driver.ask_once("query", query.CountEvents(wanted), timeout)
        count: int = reply.count
        return count

    def tail(
        self,
        limit: int = 100,
        *,
        visibility: log.Visibility = "committed",
        timeout: float = 30.0,
    ) -> list[Event]:
        """The newest events, oldest first, at most as many as the ring holds."""
        reply = self._driver.ask_once("log", log.Tail(limit, visibility), timeout)
        return [_readable(event) for event in reply.events]

    def follow(
        self,
        *,
        types: tuple[str, ...] | list[str] | str = (),
        session: str | None = None,
        source: str | None = None,
        after: int | None = None,
        timeout: float = 30.0,
    ) -> Iterator[Event]:
        """Every committed event that matches, as they come, without end.

        From the event after number ``after``; without it, from now on.  ``timeout`` bounds each
        look, also across restarts of the log.
        """
        if after is None:
            newest = self.tail(1, timeout=timeout)
            after = newest[-1].seq if newest else 0
        while True:
            page = self.query(
                types=types,
                session=session,
                source=source,
                after=after,
                limit=PAGE,
                timeout=timeout,
            )
            yield from page
            if page:
                after = page[-1].seq
            else:
                self._driver.pause(FOLLOW_PERIOD)

    def _place_below(self, cause: str) -> tuple[str, int]:
        """Root and depth of an effect: one below its cause, when that was emitted here."""
        root, depth = self._causes.get(cause, (cause, 0))
        return root, depth + 1

    def _from_database(
        self, wanted: EventFilter, limit: int, reverse: bool, timeout: float
    ) -> list[Event]:
        found: list[Event] = []
        while len(found) < limit:
            ask = query.QueryEvents(wanted, min(PAGE, limit - len(found)), reverse)
            reply = self._driver.ask_once("query", ask, timeout)
            found += [_readable(event) for event in reply.events]
            if not reply.events or (len(reply.events) < ask.limit and not reply.more):
                break
            last = reply.events[-1].seq
            edge = {"before": last} if reverse else {"after": last}
            wanted = msgspec.structs.replace(wanted, **edge)
        return found


def _pack(items: list[Any]) -> log.Emit:
    return log.Emit(msgspec.Raw(_encode(items)))


def _encoded(time_us: int, type: str, *rest: str | int | None) -> bytes:
    """The fields of an Event as the log and the writer pass them on."""
    try:
        raw = _encode((time_us, type, *rest))
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise InvalidInputError(
            f"event {type!r}: {error}: names are Unicode text and time_us is an integer"
        ) from error
    if len(raw) > MAX_DATA:
        raise InvalidInputError(
            f"event {type!r}: data is {len(raw)} bytes of JSON, at most {MAX_DATA} are "
            "accepted: store it elsewhere and refer to it"
        )
    return raw


def _readable(event: StoredEvent) -> Event:
    fields: list[Any] = [*msgspec.structs.astuple(event)]
    fields[-1] = jsontext.decode(event.data)
    return Event(*fields)


def _check_names(*names: str | None) -> None:
    """Type and source, then the optional ones, in the order of the fields of an event."""
    for field, value in zip(_NAMES, names, strict=True):
        if value is None:
            continue
        if not isinstance(value, str) or not value or len(value) > MAX_NAME or "\0" in value:
            shown = repr(value) if len(repr(value)) < 80 else repr(value)[:80] + "..."
            raise InvalidInputError(
                f"{field} = {shown}: expected text of 1 to {MAX_NAME} characters without NUL"
            )
    if names[0] is None or names[1] is None:
        raise InvalidInputError("type = None: expected text like 'tool:call'")


_NAMES: Final = ("type", "source", "subject", "session", "correlation", "cause", "key")


def _filter(
    types: tuple[str, ...] | list[str] | str,
    session: str | None,
    source: str | None,
    since: int | datetime | None,
    until: int | datetime | None,
    after: int | None,
) -> EventFilter:
    return EventFilter(
        types=(types,) if isinstance(types, str) else tuple(types),
        session=session,
        source=source,
        since_us=_microseconds(since),
        until_us=_microseconds(until),
        after=after,
    )


def _microseconds(moment: int | datetime | None) -> int | None:
    if isinstance(moment, datetime):
        return int(moment.timestamp()) * 1_000_000 + moment.microsecond
    return moment
