"""The calls about events: what they send, how the replies read, how an event is encoded.

Kept: which own events led to which root, for the newest 10,000 that have a key.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.link import Link
from holdfast.actors.messages import log, query
from holdfast.actors.wire import array_head
from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.records import EventFilter, StoredEvent

__all__ = [
    "FOLLOW_PERIOD",
    "Event",
    "EventCounters",
    "EventEncoder",
    "Following",
    "count_events",
    "omit",
    "pack",
    "query_events",
    "tail_events",
]

MAX_NAME: Final = 1024  # characters of a type, source, session, key ...
MAX_DATA: Final = 1024 * 1024  # bytes of one event's JSON text
PAGE: Final = 1000  # events asked for at a time
FOLLOW_PERIOD: Final = 0.1  # seconds between looks for new events
CAUSES: Final = 10_000  # own events remembered by key, so that effects know root and depth

_encode = msgspec.msgpack.Encoder().encode
_NO_EVENTS: Final = array_head(0)
_EMIT: Final = _encode(log.Emit(msgspec.Raw(_NO_EVENTS))).removesuffix(_NO_EVENTS)


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


class EventCounters:
    """What became of the events of a hub so far."""

    def __init__(self, link: Link) -> None:
        self._link = link

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
    def rejected(self) -> int:
        """Times that OutboxFullError was raised; those events were not emitted."""
        return self._link.rejected

    @property
    def duplicates(self) -> int:
        """Events of this hub, acknowledged so far, whose key was stored before."""
        return self._link.duplicates


class EventEncoder:
    """Turns what ``emit`` is given into the bytes that travel."""

    def __init__(self, *, source: str, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        # By key, oldest first.  A cachetools LRUCache takes five times as long to put.
        self._causes: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def encode(
        self,
        type: str,
        data: object,
        session: str | None,
        source: str | None,
        subject: str | None,
        correlation: str | None,
        cause: str | None,
        key: str | None,
        time_us: int | None,
    ) -> bytes:
        """The fields of an Event as the log and the writer pass them on.

        Raises InvalidInputError.
        """
        text = jsontext.encode(data)
        if source is None:
            source = self._source
        if time_us is None:
            time_us = self._clock.time_us()
        _check_names(type, source, subject, session, correlation, cause, key)
        root, depth = (None, 0) if cause is None else self._place_below(cause)
        return _encoded(
            time_us, type, source, subject, session, correlation, cause, root, depth, key, text
        )

    def remember(self, key: str, cause: str | None) -> None:
        """The event ``key`` is on its way: its effects will know where they stand."""
        root, depth = (key, 0) if cause is None else self._place_below(cause)
        causes = self._causes
        causes[key] = (root, depth)
        if len(causes) > CAUSES:
            causes.popitem(last=False)

    def _place_below(self, cause: str) -> tuple[str, int]:
        """Root and depth of an effect: one below its cause, when that was emitted here."""
        root, depth = self._causes.get(cause, (cause, 0))
        return root, depth + 1


def pack(items: list[bytes]) -> bytes:
    """The message that carries encoded events: a ``log.Emit``."""
    return b"".join((_EMIT, array_head(len(items)), *items))


def omit(count: int, items: list[bytes]) -> bytes:
    """The message that says that ``count`` had no room; ``items`` are the last of them."""
    events = b"".join((array_head(len(items)), *items))
    return _encode(log.Omit(count, msgspec.Raw(events)))


def query_events(
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
) -> Steps[list[Event]]:
    """The first ``limit`` events that match, in order of their numbers; or the newest first.

    ``types`` are globs (``tool:*``); ``since`` is included, ``until`` is not; ``after`` is a
    sequence number, excluded.  Answered from the ring when it reaches back far enough.
    """
    wanted = _filter(types, session, source, since, until, after)
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    reply = yield Ask(_log(visibility), log.Query(wanted, limit, reverse, visibility), timeout)
    if not reply.covered:
        return (yield from _from_database(wanted, limit, reverse, timeout))
    return [_readable(event) for event in reply.events]


def _log(visibility: log.Visibility) -> str:
    """The connection to ask on: what is not committed yet is seen in the order it was sent.

    What is committed needs no order, and must not wait behind events that have no credit.
    """
    return "log" if visibility == "memory" else "log:read"


def _from_database(
    wanted: EventFilter, limit: int, reverse: bool, timeout: float
) -> Steps[list[Event]]:
    found: list[Event] = []
    while len(found) < limit:
        page = query.QueryEvents(wanted, min(PAGE, limit - len(found)), reverse)
        reply = yield Ask("query", page, timeout)
        found += [_readable(event) for event in reply.events]
        if not reply.events or (len(reply.events) < page.limit and not reply.more):
            break
        last = reply.events[-1].seq
        edge = {"before": last} if reverse else {"after": last}
        wanted = msgspec.structs.replace(wanted, **edge)
    return found


def count_events(
    *,
    types: tuple[str, ...] | list[str] | str = (),
    session: str | None = None,
    source: str | None = None,
    since: int | datetime | None = None,
    until: int | datetime | None = None,
    after: int | None = None,
    timeout: float = 30.0,
) -> Steps[int]:
    """How many committed events match."""
    wanted = _filter(types, session, source, since, until, after)
    reply = yield Ask(_log("committed"), log.Count(wanted), timeout)
    if not reply.covered:
        reply = yield Ask("query", query.CountEvents(wanted), timeout)
    count: int = reply.count
    return count


def tail_events(
    limit: int = 100,
    *,
    visibility: log.Visibility = "committed",
    timeout: float = 30.0,
) -> Steps[list[Event]]:
    """The newest events, oldest first, at most as many as the ring holds."""
    reply = yield Ask(_log(visibility), log.Tail(limit, visibility), timeout)
    return [_readable(event) for event in reply.events]


class Following:
    """Where a follower of events stands; it moves on only when a page is there."""

    def __init__(
        self,
        *,
        types: tuple[str, ...] | list[str] | str,
        session: str | None,
        source: str | None,
        after: int | None,
        timeout: float,
    ) -> None:
        self._types = types
        self._session = session
        self._source = source
        self._after = after  # None: from the newest event on, whichever that is at the first look
        self._timeout = timeout

    def next_page(self) -> Steps[list[Event]]:
        """The events that came since; empty when there are none yet."""
        if self._after is None:
            newest = yield from tail_events(1, timeout=self._timeout)
            self._after = newest[-1].seq if newest else 0
        page = yield from query_events(
            types=self._types,
            session=self._session,
            source=self._source,
            after=self._after,
            limit=PAGE,
            timeout=self._timeout,
        )
        if page:
            self._after = page[-1].seq
        return page


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
    for value in names:  # without their fields: nearly always nothing is wrong
        if value is not None and (
            not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or "\0" in value
        ):
            field = _NAMES[next(index for index, name in enumerate(names) if name is value)]
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
