"""The calls about events: what they send, how the replies read.

Nothing is kept here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Unpack

import msgspec

from holdfast.actors.calls import Ask, Now, Steps
from holdfast.actors.event_conditions import Conditions, filter_of, wanted_events
from holdfast.actors.link import Link
from holdfast.actors.messages import log, query
from holdfast.actors.opened_events import fetched_events, opened_events
from holdfast.actors.readable_events import Event
from holdfast.actors.wire import array_head
from holdfast.errors import CapacityError, InvalidInputError
from holdfast.storage.cursors import Cursor
from holdfast.storage.payloads import Payload
from holdfast.storage.records import EventFilter, StoredEvent

__all__ = [
    "LANE",
    "Event",
    "EventCounters",
    "count_events",
    "cursor_of_newest",
    "filter_of",
    "get_event",
    "omit",
    "pack",
    "query_events",
    "tail_events",
]

PAGE: Final = 1000  # events asked for at a time
LANE: Final = "log:follow"  # for what waits, so that queries do not wait behind long answers
_encode = msgspec.msgpack.Encoder().encode
_NO_EVENTS: Final = array_head(0)
_EMIT: Final = _encode(log.Emit(msgspec.Raw(_NO_EVENTS))).removesuffix(_NO_EVENTS)


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
    limit: int = 100,
    reverse: bool = False,
    visibility: log.Visibility = "committed",
    wait: float = 0.0,
    payloads: bool = True,
    max_bytes: int | None = None,
    timeout: float = 30.0,
    **conditions: Unpack[Conditions],
) -> Steps[list[Event]]:
    """The first ``limit`` events that match, in order of their numbers; or the newest first.

    The conditions are ``types`` (globs: ``tool:*``), ``session``, ``source``, ``subject``,
    ``correlation``, ``since`` (included), ``until`` (not) and ``after`` (a sequence number or a
    cursor, excluded).  Answered from the ring when it reaches back far enough.  When nothing
    matches, waits up to ``wait`` seconds until something is committed that does.
    Without ``payloads`` the data of large events is left out; ``event.payload`` is there.
    Of more than ``max_bytes`` of data nothing is kept: raises CapacityError.
    """
    room = _Room(max_bytes, payloads)
    if limit < 1:
        raise InvalidInputError(f"limit = {limit}: expected at least 1")
    wanted = yield from wanted_events(conditions, timeout)
    reply = yield Ask(_log(visibility), log.Query(wanted, limit, reverse, visibility), timeout)
    if not reply.covered:
        found = yield from _from_database(wanted, limit, reverse, room, timeout)
    else:
        room.take(reply.events)
        found = yield from opened_events(reply.events, reply.epoch, payloads, timeout)
    if not found and wait > 0:
        found = yield from _wait_for_events(wanted, limit, payloads, wait=wait, timeout=timeout)
        return found[::-1] if reverse else found
    return found


class _Room:
    """Bytes of data that may still come, with ``payloads`` those that are stored apart, too."""

    def __init__(self, max_bytes: int | None, payloads: bool) -> None:
        self.payloads = payloads
        self._max_bytes = max_bytes
        self._left = max_bytes or 0

    def take(self, events: Sequence[StoredEvent]) -> None:
        """Raises CapacityError."""
        if self._max_bytes is None:
            return
        for event in events:
            self._left -= len(event.data)
            if self.payloads and event.payload is not None:
                self._left -= Payload.of(event.payload).bytes
        if self._left < 0:
            raise CapacityError(f"the events have over {self._max_bytes} bytes: ask for fewer")


def _log(visibility: log.Visibility) -> str:
    """The connection to ask on: what is not committed yet is seen in the order it was sent.

    What is committed needs no order, and must not wait behind events that have no credit.
    """
    return "log" if visibility == "memory" else "log:read"


def _from_database(
    wanted: EventFilter, limit: int, reverse: bool, room: _Room, timeout: float
) -> Steps[list[Event]]:
    found: list[Event] = []
    while len(found) < limit:
        page = query.QueryEvents(wanted, min(PAGE, limit - len(found)), reverse)
        reply = yield Ask("query", page, timeout)
        room.take(reply.events)
        found += yield from opened_events(reply.events, reply.epoch, room.payloads, timeout)
        if not reply.events or (len(reply.events) < page.limit and not reply.more):
            break
        last = reply.events[-1].seq
        edge = {"before": last} if reverse else {"after": last}
        wanted = msgspec.structs.replace(wanted, **edge)
    return found


def _wait_for_events(
    wanted: EventFilter, limit: int, payloads: bool, *, wait: float, timeout: float
) -> Steps[list[Event]]:
    """The first events that match, however they got there; empty after ``wait`` seconds."""
    ident, position = random.getrandbits(48), wanted.after or 0
    rest, now = wait, (yield Now())
    deadline = now + wait
    while rest > 0:
        at = msgspec.structs.replace(wanted, after=position)
        reply = yield Ask(LANE, log.Fetch(ident, at, limit, rest), rest + timeout)
        if reply.seqs:
            return (yield from fetched_events(reply, payloads, timeout))
        if not reply.covered:
            before = reply.upto + 1 if at.before is None else min(at.before, reply.upto + 1)
            past = msgspec.structs.replace(at, before=before)
            found = yield Ask("query", query.QueryEvents(past, limit), timeout)
            if found.events:
                return (yield from opened_events(found.events, found.epoch, payloads, timeout))
        position = max(position, reply.upto)
        rest = deadline - (yield Now())
    return []


def count_events(*, timeout: float = 30.0, **conditions: Unpack[Conditions]) -> Steps[int]:
    """How many committed events match; the conditions are those of ``query``."""
    wanted = yield from wanted_events(conditions, timeout)
    reply = yield Ask(_log("committed"), log.Count(wanted), timeout)
    if not reply.covered:
        reply = yield Ask("query", query.CountEvents(wanted), timeout)
    count: int = reply.count
    return count


def tail_events(
    limit: int = 100,
    *,
    visibility: log.Visibility = "committed",
    payloads: bool = True,
    timeout: float = 30.0,
) -> Steps[list[Event]]:
    """The newest events, oldest first, at most as many as the ring holds."""
    reply = yield Ask(_log(visibility), log.Tail(limit, visibility), timeout)
    return (yield from opened_events(reply.events, reply.epoch, payloads, timeout))


def get_event(seq: int, *, timeout: float = 30.0) -> Steps[Event | None]:
    """The committed event of that number; None where there is none (any more)."""
    if type(seq) is not int or seq < 1:
        raise InvalidInputError(f"seq = {seq!r}: expected the number of an event, from 1")
    wanted = EventFilter(after=seq - 1, before=seq + 1)
    reply = yield Ask(_log("committed"), log.Query(wanted, 1), timeout)
    if not reply.covered:
        reply = yield Ask("query", query.QueryEvents(wanted, 1), timeout)
    found = yield from opened_events(reply.events, reply.epoch, True, timeout)
    return found[0] if found else None


def cursor_of_newest(*, timeout: float = 30.0) -> Steps[str]:
    """The position behind the newest committed event, as text: what comes later is after it."""
    reply = yield Ask("query", query.GetPosition(), timeout)
    return str(Cursor(reply.position.epoch, reply.position.last_seq))
