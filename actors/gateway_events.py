"""KSI's events about events, said in the calls of a hub.

Nothing is kept here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from holdfast.actors.calls import Ask, Steps
from holdfast.actors.event_calls import Event, count_events, query_events
from holdfast.actors.event_conditions import Conditions
from holdfast.actors.messages import gateway as said
from holdfast.actors.messages import log
from holdfast.errors import InvalidInputError

__all__ = [
    "EventRequest",
    "answer_events",
    "as_event",
    "as_push",
    "log_stats",
    "moment_of",
    "patterns_of",
]

MOST: Final = 1_000  # events in one answer
LATEST: Final = 1e11  # seconds since 1970

Answer = dict[str, Any]

EventRequest = (
    said.QueryLog
    | said.LogStats
    | said.GetEvents
    | said.GetSessionEvents
    | said.GetCorrelationChain
)


def answer_events(request: EventRequest, timeout: float) -> Steps[Answer]:
    """What KSI's handler of the event answers.  Raises what the calls raise."""
    match request:
        case said.QueryLog():
            return _query_log(request, timeout)
        case said.LogStats():
            return log_stats(timeout)
        case said.GetEvents():
            return _get_events(request, timeout)
        case said.GetSessionEvents():
            return _of_session(request, timeout)
        case said.GetCorrelationChain():
            return _of_correlation(request, timeout)


def _query_log(request: said.QueryLog, timeout: float) -> Steps[Answer]:
    conditions = _conditions(request.event_patterns, request.start_time, request.end_time)
    conditions["source"] = request.source_agent
    last = request.offset + request.limit
    found = yield from query_events(limit=last + 1, reverse=True, timeout=timeout, **conditions)
    total = yield from count_events(timeout=timeout, **conditions)
    return {
        "events": list(map(as_event, found[request.offset : last])),
        "total": total,
        "has_more": len(found) > last,
        "offset": request.offset,
    }


def _get_events(request: said.GetEvents, timeout: float) -> Steps[Answer]:
    conditions = _conditions(request.event_patterns, request.since, request.until)
    found = yield from query_events(
        limit=request.limit, reverse=request.reverse, timeout=timeout, **conditions
    )
    total = yield from count_events(timeout=timeout, **conditions)
    return {
        "events": list(map(as_event, found)),
        "count": len(found),
        "total_events": total,
        "query": {
            "event_patterns": list(request.event_patterns),
            "since": request.since,
            "until": request.until,
            "limit": request.limit,
            "reverse": request.reverse,
        },
    }


def _of_session(request: said.GetSessionEvents, timeout: float) -> Steps[Answer]:
    found = yield from query_events(
        limit=MOST + 1,
        reverse=request.reverse,
        visibility="memory" if request.include_memory else "committed",
        timeout=timeout,
        session=request.session_id,
    )
    events = list(map(as_event, found[:MOST]))
    sources = ["memory", "database"] if request.include_memory else ["database"]
    answer = {
        "session_id": request.session_id,
        "events": events,
        "count": len(events),
        "sources": sources,
    }
    return answer if len(found) <= MOST else {**answer, "has_more": True}


def _of_correlation(request: said.GetCorrelationChain, timeout: float) -> Steps[Answer]:
    found = yield from query_events(
        limit=MOST + 1,
        visibility="memory" if request.include_memory else "committed",
        timeout=timeout,
        correlation=request.correlation_id,
    )
    kept = found[:MOST]
    took_us = kept[-1].time_us - kept[0].time_us if len(kept) > 1 else None
    answer = {
        "correlation_id": request.correlation_id,
        "events": list(map(as_event, kept)),
        "count": len(kept),
        "duration_ms": None if took_us is None else took_us // 1_000,
        "event_types": list(dict.fromkeys(event.type for event in kept)),
    }
    return answer if len(found) <= MOST else {**answer, "has_more": True}


def log_stats(timeout: float) -> Steps[Answer]:
    """Figures of the log, and how many events there are in the database."""
    stats: log.LogStats = yield Ask("log:read", log.Stats(), timeout)
    total = yield from count_events(timeout=timeout)
    return {
        "total_events": total,
        "ring_size": stats.ring,
        "ring_capacity": stats.capacity,
        "pending": stats.pending,
        "last_seq": stats.last_seq,
        "mode": stats.mode,
        "dropped": stats.dropped,
        "subscribers": stats.fetches,
    }


def patterns_of(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """As a filter has them, where none means all."""
    return () if "*" in patterns else patterns


def as_event(event: Event) -> Answer:
    """An event in an answer; ``seq`` is 0, and it has no id without a key, in memory only."""
    return {
        "event_id": _id(event),
        "event_name": event.type,
        "timestamp": event.time_us / 1e6,
        "data": event.data,
        "source_agent": event.source,
        "subject": event.subject,
        "session_id": event.session,
        "correlation_id": event.correlation,
        "parent_event_id": event.cause,
        "root_event_id": event.root,
        "event_depth": event.depth,
        "seq": event.seq,
    }


def as_push(event: Event) -> Answer:
    """An event as subscribers get it; what it has nothing of is left out."""
    context = {
        "_event_id": _id(event),
        "_agent_id": event.source,
        "_session_id": event.session,
        "_subject": event.subject,
        "_correlation_id": event.correlation,
        "_parent_event_id": event.cause,
        "_root_event_id": event.root,
        "_event_depth": event.depth,
        "_cursor": event.cursor,
    }
    return {
        "event_name": event.type,
        "timestamp": event.time_us / 1e6,
        "data": event.data,
        **{name: value for name, value in context.items() if value is not None},
    }


def _id(event: Event) -> str | None:
    return event.id if event.seq or event.key is not None else None


def _conditions(
    patterns: tuple[str, ...], since: float | str | None, until: float | str | None
) -> Conditions:
    return Conditions(
        types=patterns_of(patterns),
        since=moment_of("since", since),
        until=moment_of("until", until),
    )


def moment_of(what: str, moment: float | str | None) -> int | None:
    """Since 1970; a text without a zone is UTC."""
    if moment is None:
        return None
    if isinstance(moment, str):
        try:
            read = datetime.fromisoformat(moment)
        except ValueError:
            raise InvalidInputError(
                f"{what} = {moment[:80]!r}: expected seconds since 1970, or a date and time as "
                "2026-11-28T12:00:00Z"
            ) from None
        moment = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not -LATEST < moment < LATEST:
        raise InvalidInputError(f"{what} = {moment!r}: expected seconds since 1970")
    return round(moment * 1_000_000)
