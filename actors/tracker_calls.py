"""The calls about requests in flight and rate limits: what they send, how the replies read.

Nothing is kept here.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from holdfast.actors.calls import Ask, Now, Steps
from holdfast.actors.messages import tracker
from holdfast.actors.messages.tracker import (
    End_,
    LimiterIs,
    Permit,
    RateLimit,
    Retry,
    SlidingWindow,
    Status,
    TokenBucket,
    Tracked,
    TrackerStats,
)
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = [
    "LimiterIs",
    "Permit",
    "RateLimit",
    "Request",
    "Retry",
    "SlidingWindow",
    "Status",
    "TokenBucket",
    "acquire",
    "begin",
    "cancel",
    "fail",
    "finish",
    "get",
    "interrupted",
    "limits",
    "list_requests",
    "take",
    "tracker_stats",
    "update",
]

PAGE = 500  # requests asked for at a time
OPEN: tuple[Status, ...] = ("interrupted", "retrying")


class Request(msgspec.Struct, frozen=True):
    """A request; ``payload``, ``progress`` and ``result`` are decoded, None where there is none.

    ``status`` is running, interrupted or retrying as long as it is in flight; its end is finished,
    failed, cancelled or expired.  ``reason`` says why it is interrupted, or how it failed.
    ``attempt`` counts from 1; the next one is due at ``next_at_us``.  Times are microseconds since
    1970, None where there is none.
    """

    id: str
    kind: str
    owner: str
    status: Status
    payload: Any
    progress: Any
    result: Any
    reason: str
    attempt: int
    began_us: int
    changed_us: int
    deadline_us: int | None
    next_at_us: int | None


def begin(
    id: str,
    kind: str,
    payload: object = None,
    *,
    owner: str = "",
    deadline: float | None = None,
    retry: Retry | None = None,
    timeout: float = 30.0,
) -> Steps[Request]:
    """Say that a request is in flight, of ``owner`` ("": whoever calls).

    ``deadline`` seconds from now it expires.  With ``retry`` it may be taken again when it is
    interrupted, or fails.  Raises InvalidInputError when the id is in flight, CapacityError when
    too many are; then it is not begun.
    """
    message = tracker.Begin(id, kind, _encoded(payload), owner, deadline, retry, uuid.uuid4().hex)
    request = _opened((yield Ask("tracker", message, timeout)).request)
    assert request is not None
    return request


def update(
    id: str, progress: object, *, attempt: int = 0, timeout: float = 30.0
) -> Steps[Request | None]:
    """Note how far it has come; the request as it is now.

    None: the tracker does not know it (any more).  Raises Conflict when another attempt than
    ``attempt`` is under way.
    """
    message = tracker.Update(id, jsontext.encode(progress), attempt)
    return _opened((yield Ask("tracker", message, timeout)).request)


def finish(
    id: str, result: object = None, *, attempt: int = 0, timeout: float = 30.0
) -> Steps[Request | None]:
    """It is done; the request as it is now: one that had ended before stays as it was.

    None: the tracker does not know it (any more).  Raises Conflict, as ``update``.
    """
    return (yield from _end(id, "finished", _encoded(result), "", False, attempt, timeout))


def fail(
    id: str, reason: str, *, retry: bool = True, attempt: int = 0, timeout: float = 30.0
) -> Steps[Request | None]:
    """It failed: it is "retrying" while its policy has attempts left, unless ``retry`` is False.

    None, Conflict: as ``finish``.
    """
    return (yield from _end(id, "failed", "", reason, retry, attempt, timeout))


def cancel(
    id: str, reason: str = "", *, attempt: int = 0, timeout: float = 30.0
) -> Steps[Request | None]:
    """Nobody wants it any more.  None, Conflict: as ``finish``."""
    return (yield from _end(id, "cancelled", "", reason, False, attempt, timeout))


def get(id: str, *, timeout: float = 30.0) -> Steps[Request | None]:
    """The request, for a while also after its end."""
    return _opened((yield Ask("tracker", tracker.Get(id), timeout)).request)


def list_requests(
    *,
    status: Status | tuple[Status, ...] = (),
    kind: str = "",
    owner: str = "",
    limit: int = 1_000,
    timeout: float = 30.0,
) -> Steps[list[Request]]:
    """The requests that match, in the order in which they began; those that ended lately too."""
    statuses = (status,) if isinstance(status, str) else tuple(status)
    for one in statuses:
        if one not in Status.__args__:  # type: ignore[attr-defined]  # a Literal has them
            raise InvalidInputError(f"status = {one!r}: expected one of {Status.__args__}")  # type: ignore[attr-defined]  # as above
    until = (yield Now()) + timeout
    found: list[Request] = []
    after = 0
    while len(found) < limit:
        message = tracker.List(statuses, kind, owner, after, min(PAGE, limit - len(found)))
        reply = yield Ask("tracker", message, max(0.0, until - (yield Now())))
        found += [_readable(request) for request in reply.requests]
        if not reply.more:
            break
        after = reply.requests[-1].number
    return found


def interrupted(
    *, owner: str = "", kind: str = "", limit: int = 1_000, timeout: float = 30.0
) -> Steps[list[Request]]:
    """What may be taken, now or when it is due."""
    return (
        yield from list_requests(status=OPEN, kind=kind, owner=owner, limit=limit, timeout=timeout)
    )


def take(
    *,
    owner: str = "",
    kind: str = "",
    limit: int = 1,
    wait: float = 0.0,
    timeout: float = 30.0,
) -> Steps[list[Request]]:
    """Take over what is interrupted or due to be retried: it runs again, as the caller's.

    Each is handed to one taker.  Waits up to ``wait`` seconds for the first.
    """
    until = (yield Now()) + wait
    message = tracker.Take(owner, kind, limit, until, uuid.uuid4().hex)
    reply = yield Ask("tracker", message, wait + timeout)
    return [_readable(request) for request in reply.requests]


def acquire(
    key: str,
    cost: int = 1,
    *,
    limit: RateLimit | None = None,
    wait: float = 0.0,
    timeout: float = 30.0,
) -> Steps[Permit]:
    """May ``cost`` pass the rate limit ``key``?  Waits up to ``wait`` seconds for its turn.

    ``limit`` makes the limiter where the configuration has none of that name.  A permit that is
    not granted says after how many seconds to ask again at the earliest, and has cost nothing.
    Raises InvalidInputError, CapacityError.
    """
    until = (yield Now()) + wait
    permit: Permit = yield Ask("tracker", tracker.Acquire(key, cost, limit, until), wait + timeout)
    return permit


def limits(*, timeout: float = 30.0) -> Steps[list[LimiterIs]]:
    """Every rate limiter, those of the configuration first."""
    reply = yield Ask("tracker", tracker.ListLimiters(), timeout)
    found: list[LimiterIs] = reply.limiters
    return found


def tracker_stats(*, timeout: float = 30.0) -> Steps[TrackerStats]:
    """How much is in flight, and what has happened."""
    stats: TrackerStats = yield Ask("tracker", tracker.Stats(), timeout)
    return stats


def _end(
    id: str,
    status: End_,
    result: str,
    reason: str,
    may_retry: bool,
    attempt: int,
    timeout: float,
) -> Steps[Request | None]:
    message = tracker.End(id, status, result, reason, may_retry, attempt)
    return _opened((yield Ask("tracker", message, timeout)).request)


def _encoded(value: object) -> str:
    return "" if value is None else jsontext.encode(value)


def _opened(request: Tracked | None) -> Request | None:
    return None if request is None else _readable(request)


def _readable(request: Tracked) -> Request:
    def decoded(text: str) -> Any:
        return jsontext.decode(text) if text else None

    return Request(
        id=request.id,
        kind=request.kind,
        owner=request.owner,
        status=request.status,
        payload=decoded(request.payload),
        progress=decoded(request.progress),
        result=decoded(request.result),
        reason=request.reason,
        attempt=request.attempt,
        began_us=request.began_us,
        changed_us=request.changed_us,
        deadline_us=request.deadline_us or None,
        next_at_us=request.next_at_us or None,
    )
