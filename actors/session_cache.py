"""Sessions in memory: a bounded cache whose entries each have their own end.

A plain data structure; the sessions actor owns one.  Time is a steady clock: the wall clock as it
was when the process started, plus what the monotonic clock has counted since, so that a stepped
wall clock ends no session and revives none.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from cachetools import Cache, TLRUCache

from holdfast.clock import Clock
from holdfast.storage.session_records import Session

__all__ = ["OVERHEAD", "SessionCache", "SteadyClock", "bound", "size_of"]

OVERHEAD: Final = 900  # bytes that a session takes beside its data: record, key, place in the heap


class SteadyClock:
    """Microseconds since 1970 that only ever advance."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.time_us() - round(clock.monotonic() * 1_000_000)

    def __call__(self) -> int:
        """Now."""
        return self._offset + round(self._clock.monotonic() * 1_000_000)


class SessionCache(TLRUCache[str, Session]):
    """The most recently used sessions, at most ``maxsize`` of ``max_bytes`` together.

    An expired one is never returned.  cachetools sweeps at every change and drops what it swept:
    here it is kept for ``take_expired``.  (That sweep looks at one entry when none has expired.)
    """

    def __init__(self, *, maxsize: int, max_bytes: int, now_us: SteadyClock) -> None:
        self._expired: list[Session] = []
        self._most = maxsize
        super().__init__(max_bytes, ttu=_end, timer=now_us, getsizeof=size_of)

    def keep(self, session: Session) -> None:
        """Hold it, if it fits in at all; the least recently used make room."""
        id = session.id
        if size_of(session) > self.maxsize:
            self.pop(id, None)
            return
        self[id] = session
        while Cache.__len__(self) > self._most:  # it has just swept; its own would once more
            self.popitem()

    def resize(self, maxsize: int, max_bytes: int) -> None:
        """Other bounds from now on; the least recently used make room."""
        self._most = maxsize
        bound(self, max_bytes)
        while len(self) > self._most:
            self.popitem()

    def expire(self, time: Any = None) -> list[tuple[str, Session]]:
        """Remove what has ended; it stays with ``take_expired`` until somebody asks."""
        expired = super().expire(time)
        self._expired += [session for _, session in expired]
        return expired

    def take_expired(self, limit: int) -> list[Session]:
        """What has ended since the last call, each once, as much as ``limit`` allows."""
        self.expire()
        taken, self._expired = self._expired[:limit], self._expired[limit:]
        return taken


def bound(cache: Cache[Any, Any], most: float) -> None:
    """Let the entries be ``most`` together from now on."""
    # cachetools has no name for it that others may use.  A new cache would take half a second to
    # fill with 100,000 sessions, in which nobody is answered.
    cache._Cache__maxsize = most  # type: ignore[attr-defined]
    while cache.currsize > most:
        cache.popitem()


def size_of(session: Session) -> int:
    """The bytes that it takes in memory, nearly."""
    return sys.getsizeof(session.data) + OVERHEAD


def _end(_id: str, session: Session, _now: float) -> float:
    return session.expires_us
