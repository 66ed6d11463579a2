"""Sessions in memory: a bounded cache whose entries each have their own end.

A plain data structure; the sessions actor owns one.  Time is a steady clock: the wall clock as it
was when the process started, plus what the monotonic clock has counted since, so that a stepped
wall clock ends no session and revives none.
"""

from __future__ import annotations

from typing import Any

from cachetools import TLRUCache

from holdfast.clock import Clock
from holdfast.storage.session_records import Session

__all__ = ["SessionCache", "SteadyClock"]


class SteadyClock:
    """Microseconds since 1970 that only ever advance."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.time_us() - round(clock.monotonic() * 1_000_000)

    def __call__(self) -> int:
        """Now."""
        return self._offset + round(self._clock.monotonic() * 1_000_000)


class SessionCache(TLRUCache[str, Session]):
    """The most recently used ``maxsize`` sessions; an expired one is never returned.

    cachetools sweeps at every change and drops what it swept: here it is kept for ``take_expired``.
    """

    def __init__(self, *, maxsize: int, now_us: SteadyClock) -> None:
        self._expired: list[Session] = []
        super().__init__(maxsize, ttu=_end, timer=now_us)

    def expire(self, time: Any = None) -> list[tuple[str, Session]]:
        """Remove what has ended; it stays with ``take_expired`` until somebody asks."""
        expired = super().expire(time)
        self._expired += [session for _, session in expired]
        return expired

    def take_expired(self) -> list[Session]:
        """What has ended since the last call, each once."""
        self.expire()
        taken, self._expired = self._expired, []
        return taken


def _end(_id: str, session: Session, _now: float) -> float:
    return session.expires_us
