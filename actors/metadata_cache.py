"""Cheap metadata in memory: values that can be made again, each with its own end.

A plain data structure; the sessions actor owns one, and all of it is lost with its process.
"""

from __future__ import annotations

import math
import sys
from typing import Final

import msgspec
from cachetools import TLRUCache

from holdfast.actors.session_cache import SteadyClock, bound
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["MAX_KEY", "Cached", "MetadataCache"]

MAX_KEY: Final = 1_024  # characters
OVERHEAD: Final = 700  # bytes that an entry takes beside its value


class Cached(msgspec.Struct, frozen=True):
    """A value as JSON text; from ``ahead_us`` on it is worth making anew."""

    data: str
    expires_us: int
    ahead_us: int


class MetadataCache:
    """The most recently used values, at most ``maxsize`` of ``max_bytes`` together.

    ``refresh_ahead`` is the part of a value's time, at its end, in which one of those who ask is
    sent to make it anew while the others still get it.
    """

    def __init__(
        self,
        *,
        ttl: float,
        maxsize: int,
        max_bytes: int,
        refresh_ahead: float,
        now_us: SteadyClock,
    ) -> None:
        self._ttl = ttl
        self._maxsize = maxsize
        self._refresh_ahead = refresh_ahead
        self._now_us = now_us
        self._values: TLRUCache[str, Cached] = TLRUCache(
            max_bytes, ttu=_end, timer=now_us, getsizeof=_size_of
        )
        self.hits = self.misses = 0  # of what was asked for

    def __len__(self) -> int:
        return len(self._values)

    def reconfigure(
        self, *, ttl: float, maxsize: int, max_bytes: int, refresh_ahead: float
    ) -> None:
        """Other bounds from now on; the times are those of what is put from now on."""
        self._ttl, self._maxsize, self._refresh_ahead = ttl, maxsize, refresh_ahead
        bound(self._values, max_bytes)
        while len(self._values) > maxsize:
            self._values.popitem()

    @property
    def bytes(self) -> int:
        """What the entries take, nearly."""
        return round(self._values.currsize)

    def put(self, key: str, data: str, ttl: float | None) -> Cached:
        """Keep it.  Raises InvalidInputError; then nothing is changed."""
        self.check(key)
        if ttl is not None and not (ttl > 0 and math.isfinite(ttl)):
            raise InvalidInputError(f"ttl = {ttl}: expected seconds > 0")
        jsontext.decode(data)
        now = self._now_us()
        life = round((self._ttl if ttl is None else ttl) * 1_000_000)
        cached = Cached(data, now + life, now + round(life * (1 - self._refresh_ahead)))
        if _size_of(cached) > self._values.maxsize:
            most = self._values.maxsize
            raise InvalidInputError(f"key = {key!r}: its value is larger than the cache, {most}")
        self._values[key] = cached
        while len(self._values) > self._maxsize:
            self._values.popitem()
        return cached

    @staticmethod
    def check(key: str) -> str:
        """The same.  Raises InvalidInputError."""
        if not key or len(key) > MAX_KEY or "\0" in key:
            raise InvalidInputError(
                f"key = {key[:80]!r}: expected 1 to {MAX_KEY} characters without NUL"
            )
        return key

    def get(self, key: str) -> Cached | None:
        """The value, if it is there and its time is not over."""
        cached = self._values.get(key)
        self.hits += cached is not None
        self.misses += cached is None
        return cached

    def delete(self, key: str) -> bool:
        """Forget it; whether it was there."""
        return self._values.pop(key, None) is not None

    def is_due(self, cached: Cached) -> bool:
        """Whether it is worth making anew already."""
        return cached.ahead_us <= self._now_us() and self._refresh_ahead > 0


def _size_of(cached: Cached) -> int:
    return sys.getsizeof(cached.data) + OVERHEAD


def _end(_key: str, cached: Cached, _now: float) -> float:
    return cached.expires_us
