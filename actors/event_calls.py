"""The calls about events: what they send, how the replies read.

Nothing is kept here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from holdfast.actors.calls import Ask, Now, Steps
from holdfast.actors.link import Link
from holdfast.actors.messages import log, query
from holdfast.actors.wire import array_head
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext
from holdfast.storage.records import EventFilter, RawEvent, StoredEvent

__all__ = [
    "LANE",
    "Event",
    "EventCounters",
    "count_events",
    "fetched",
    "filter_of",
    "omit",
    "pack",
    "query_events",
    "readable",
    "tail_events",
]

PAGE: Final = 1000  # events asked for at a time
LANE: Final = "log:follow"  # for what waits, so that queries do not wait behind long answers
_decode: Callable[[msgspec.Raw], list[RawEvent]] = msgspec.msgpack.Decoder(list[RawEvent]).decode
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
    wait: float = 0.0,
    timeout: float = 30.0,
) -> Steps[list[Event]]:
    """The first ``limit`` events that match, in order of their numbers; or the newest first.

    ``types`` are globs (``tool:*``); ``since`` is included, ``until`` is not; ``after`` is a
    sequence number, excluded.  Answered from the ring when it reaches back far enough.  When
    nothing matches, waits up to ``wait`` seconds until something is committed that does.
    """
    wanted = filter_of(types, session, source, since, until, after)
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    reply = yield Ask(_log(visibility), log.Query(wanted, limit, reverse, visibility), timeout)
    if not reply.covered:
        found = yield from _from_database(wanted, limit, reverse, timeout)
    else:
        found = [readable(event) for event in reply.events]
    if not found and wait > 0:
        found = yield from _wait_for_events(wanted, limit, wait=wait, timeout=timeout)
        return found[::-1] if reverse else found
    return found


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
        found += [readable(event) for event in reply.events]
        if not reply.events or (len(reply.events) < page.limit and not reply.more):
            break
        last = reply.events[-1].seq
        edge = {"before": last} if reverse else {"after": last}
        wanted = msgspec.structs.replace(wanted, **edge)
    return found


def _wait_for_events(
    wanted: EventFilter, limit: int, *, wait: float, timeout: float
) -> Steps[list[Event]]:
    """The first events that match, however they got there; empty after ``wait`` seconds."""
    ident, position = random.getrandbits(48), wanted.after or 0
    rest, now = wait, (yield Now())
    deadline = now + wait
    while rest > 0:
        at = msgspec.structs.replace(wanted, after=position)
        reply = yield Ask(LANE, log.Fetch(ident, at, limit, rest), rest + timeout)
        if reply.seqs:
            return fetched(reply)
        if not reply.covered:
            before = reply.upto + 1 if at.before is None else min(at.before, reply.upto + 1)
            past = msgspec.structs.replace(at, before=before)
            found = yield Ask("query", query.QueryEvents(past, limit), timeout)
            if found.events:
                return [readable(event) for event in found.events]
        position = max(position, reply.upto)
        rest = deadline - (yield Now())
    return []


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
    wanted = filter_of(types, session, source, since, until, after)
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
    return [readable(event) for event in reply.events]


def readable(event: StoredEvent) -> Event:
    """As a program sees it."""
    fields: list[Any] = [*msgspec.structs.astuple(event)]
    fields[-1] = jsontext.decode(event.data)
    return Event(*fields)


def fetched(reply: log.Fetched) -> list[Event]:
    """The events of an answer."""
    return [
        Event(seq, reply.daemon, *raw[:-1], jsontext.decode(raw[-1]))
        for seq, raw in zip(reply.seqs, _decode(reply.events), strict=True)
    ]


def filter_of(
    types: tuple[str, ...] | list[str] | str,
    session: str | None,
    source: str | None,
    since: int | datetime | None = None,
    until: int | datetime | None = None,
    after: int | None = None,
) -> EventFilter:
    """What a caller's arguments ask for."""
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
