"""Get or load: of all processes that want the same thing made, one makes it.

The steps of the calls; who makes what is known to the sessions actor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from holdfast.actors.calls import Ask, Command, Now, Steps, Work
from holdfast.actors.failures import AskTimeout
from holdfast.actors.messages import cache, sessions
from holdfast.actors.session_calls import Session, readable
from holdfast.storage import jsontext

__all__ = ["delete_cached", "get_cached", "load_cached", "load_session", "put_cached", "refresh"]

Loader = Callable[[], Any] | Callable[[], Awaitable[Any]]

RENEWALS: Final = 4  # signs of life within a lease
PUTTING: Final = 1.0  # seconds at the least to put what is made: it is of use, also if it is late


def load_session(
    id: str,
    loader: Loader,
    *,
    ttl: float | None = None,
    max_age: float | None = None,
    owner: str | None = None,
    timeout: float = 30.0,
) -> Steps[Session]:
    """The session; where there is none, what ``loader()`` returns becomes its data, committed.

    One loader runs for an id, over all processes; the others wait for its result.  When it
    raises, its caller gets that and the next one's loader runs; so it does within a second of the
    death of its process, and when it keeps the interpreter for itself for five seconds.  In an
    asyncio program the loader may be a coroutine function.  Raises AskTimeout.
    """
    deadline = (yield Now()) + timeout
    while True:
        rest = yield from _rest(deadline, f"session {id!r}")
        reply = yield Ask("sessions", sessions.Load(id, rest), rest)
        if isinstance(reply, sessions.LoadIsYours):
            data = yield _work(loader, reply)
            rest = max(PUTTING, deadline - (yield Now()))
            put = sessions.Put(id, data, ttl, max_age, None, "committed", owner, reply.ticket)
            yield Command("sessions", put, rest)
            reply = yield Ask("sessions", sessions.Get(id), rest)
        session = readable(reply.session)
        if session is not None:
            return session


def load_cached(
    key: str, loader: Loader, *, ttl: float | None = None, timeout: float = 30.0
) -> Steps[Any]:
    """The value; where there is none, what ``loader()`` returns is kept for ``ttl`` seconds.

    One loader runs for a key, as with sessions.  Near the end of a value's time
    (``cache_refresh_ahead``) the first who asks makes it anew, while the others still get it.
    """
    return (yield from _load_cached(key, loader, ttl, timeout, refresh=False))


def refresh(
    key: str, loader: Loader, *, ttl: float | None = None, timeout: float = 30.0
) -> Steps[Any]:
    """Make the value anew, or wait for who is at it; the value."""
    return (yield from _load_cached(key, loader, ttl, timeout, refresh=True))


def put_cached(
    key: str, value: object, *, ttl: float | None = None, timeout: float = 30.0
) -> Steps[None]:
    """Keep a value in memory for ``ttl`` seconds (None: ``cache_ttl``), or until it is crowded out.

    It is lost when the process of the sessions actor dies.
    """
    yield Ask("sessions", cache.CachePut(key, jsontext.encode(value), ttl), timeout)


def get_cached(key: str, default: Any = None, *, timeout: float = 30.0) -> Steps[Any]:
    """The value, or ``default`` where there is none or its time is over."""
    reply = yield Ask("sessions", cache.CacheGet(key), timeout)
    return default if reply.data is None else jsontext.decode(reply.data)


def delete_cached(key: str, *, timeout: float = 30.0) -> Steps[bool]:
    """Forget the value; whether it was there."""
    reply = yield Ask("sessions", cache.CacheDelete(key), timeout)
    existed: bool = reply.existed
    return existed


def _load_cached(
    key: str, loader: Loader, ttl: float | None, timeout: float, *, refresh: bool
) -> Steps[Any]:
    wanted = cache.CacheLoad(key, timeout, refresh)
    reply = yield Ask("sessions", wanted, timeout)
    if isinstance(reply, sessions.LoadIsYours):
        data = yield _work(loader, reply)
        reply = yield Ask("sessions", cache.CachePut(key, data, ttl), timeout)
    return jsontext.decode(reply.data)


def _work(loader: Loader, task: sessions.LoadIsYours) -> Work:
    """Gets what the loader returns, as JSON text; whoever waits goes on when it raises."""
    return Work(
        loader,
        jsontext.encode,
        to="sessions",
        renew=sessions.Renew(task.ticket),
        every=task.lease / RENEWALS,
        give_up=sessions.GiveUp(task.ticket),
    )


def _rest(deadline: float, what: str) -> Steps[float]:
    rest: float = deadline - (yield Now())
    if rest <= 0:
        raise AskTimeout(f"{what} was not made in time")
    return rest
