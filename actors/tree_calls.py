"""The calls about causes and effects of events, and about their counts.  Nothing is kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

import msgspec

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_conditions import Conditions, wanted_events
from holdfast.actors.messages import query
from holdfast.actors.opened_events import opened_events
from holdfast.actors.readable_events import Event
from holdfast.actors.trees import MAX_DEPTH, Tree, tree_of
from holdfast.errors import InvalidInputError

__all__ = ["Group", "aggregate_events", "chain_of", "tree_around"]

PAGE: Final = 500  # events asked for at a time
ROOTS: Final = 500  # roots asked about at a time
MAX_EVENTS: Final = 100_000  # in a chain or a tree


class Group(msgspec.Struct, frozen=True):
    """``count`` events; ``start_us`` is where their bucket of time begins, without one None."""

    start_us: int | None
    type: str | None = None
    source: str | None = None
    session: str | None = None
    subject: str | None = None
    count: int = 0


def chain_of(
    event: Event | str | int, *, limit: int = 1_000, timeout: float = 30.0
) -> Steps[list[Event]]:
    """What led to an event, the first cause first, the event itself last.

    The event is given as such, by its number, or by its key.  Empty when it is not there.  When
    the first one has a ``cause``, that is not there (any more), or more than ``limit`` led here.
    """
    _check_limit(limit)
    start = _start_of(event)
    chain: list[Event] = []
    seen: set[int] = set()
    while len(chain) < limit:
        again = 1 if chain else 0  # a later page begins with the last one of the page before it
        ask = query.GetChain(start, min(PAGE, limit - len(chain)) + again)
        reply = yield Ask("query", ask, timeout)
        page = yield from opened_events(reply.events[again:], reply.epoch, True, timeout)
        new = [each for each in page if each.seq not in seen]
        chain += new
        seen.update(each.seq for each in new)
        if not reply.more or not new or len(new) < len(page):
            break
        start = chain[-1].seq
    return chain[::-1]


def tree_around(
    of: Event | str,
    *,
    depth: int = 50,
    limit: int = 10_000,
    timeout: float = 30.0,
) -> Steps[Tree]:
    """The events around a root or a correlation, each below its cause.

    ``of`` is a correlation, the key of a first cause, or an event, which stands for its
    correlation or else for its root.  At most ``depth`` levels and ``limit`` events.
    """
    _check_limit(limit)
    if not 1 <= depth <= MAX_DEPTH:
        raise InvalidInputError(f"depth = {depth}: expected 1 to {MAX_DEPTH}")
    name = of if isinstance(of, str) else of.correlation or of.root or of.id
    found: dict[int, Event] = {}
    more = yield from _gather(query.FindAround(name), found, limit, timeout)
    asked = {name}
    # Who emitted an effect may have known its cause by name only: that is its root then.
    while not more:
        roots = {event.id for event in found.values()} - asked
        if not roots:
            break
        asked |= roots
        waiting = sorted(roots)
        while waiting and not more:
            more = yield from _gather(query.FindBelow(waiting[:ROOTS]), found, limit, timeout)
            waiting = waiting[ROOTS:]
    return tree_of(name, found.values(), depth=depth, is_complete=not more)


def _gather(
    ask: query.FindAround | query.FindBelow, found: dict[int, Event], limit: int, timeout: float
) -> Steps[bool]:
    """Add what is found; whether there may be more than the limit allows."""
    while True:
        reply = yield Ask("query", msgspec.structs.replace(ask, limit=PAGE), timeout)
        new = [event for event in reply.events if event.seq not in found]
        room = limit - len(found)
        for event in (yield from opened_events(new[:room], reply.epoch, True, timeout)):
            found[event.seq] = event
        if len(new) > room:
            return True
        if not reply.more:
            return False
        ask = msgspec.structs.replace(ask, after=reply.events[-1].seq)


def aggregate_events(
    by: str | Sequence[str] = "type",
    *,
    bucket: float | None = None,
    timeout: float = 30.0,
    **conditions: Unpack[Conditions],
) -> Steps[list[Group]]:
    """How many committed events match, by ``by`` and by time.

    ``by`` is one or several of type, source, session and subject, or none of them (``()``);
    ``bucket`` is in seconds, and begins at a multiple of it since 1970.  In order of time, then of
    the values.  At most 10,000 groups.  The conditions are those of ``query``.
    """
    columns = [by] if isinstance(by, str) else list(by)
    wanted = yield from wanted_events(conditions, timeout)
    bucket_us = None if bucket is None else round(bucket * 1_000_000)
    reply = yield Ask("query", query.CountGroups(wanted, columns, bucket_us), timeout)
    groups: list[Group] = []
    for group in reply.groups:
        named = dict(zip(columns, group.values, strict=True))
        groups.append(Group(group.start_us, **named, count=group.count))
    return groups


def _start_of(event: Event | str | int) -> int | str:
    if isinstance(event, Event):
        return event.seq or event.id
    if isinstance(event, bool) or not isinstance(event, int | str):
        raise InvalidInputError(f"event = {event!r}: expected an event, its number or its key")
    return event


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_EVENTS:
        raise InvalidInputError(f"limit = {limit}: expected 1 to {MAX_EVENTS}")
