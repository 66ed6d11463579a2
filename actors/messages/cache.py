"""The vocabulary of the cache that the sessions actor keeps beside the sessions: memory only."""

from __future__ import annotations

import msgspec

__all__ = ["CacheDelete", "CacheDeleted", "CacheGet", "CacheLoad", "CachePut", "CachedIs"]


class CachePut(msgspec.Struct, frozen=True, array_like=True, tag="cache_put"):
    """Keep a value, JSON text, for ``ttl`` seconds (None: those of the config).  Reply: CachedIs.

    ``ticket`` is that of the load it comes from, if it does.
    """

    key: str
    data: str
    ttl: float | None = None
    ticket: str = ""


class CacheGet(msgspec.Struct, frozen=True, array_like=True, tag="cache_get"):
    """Read a value.  Reply: CachedIs."""

    key: str


class CacheDelete(msgspec.Struct, frozen=True, array_like=True, tag="cache_delete"):
    """Forget a value.  Reply: CacheDeleted."""

    key: str


class CacheLoad(msgspec.Struct, frozen=True, array_like=True, tag="cache_load"):
    """The value, or the task to make it, or the one that somebody else is making now.

    Reply: CachedIs, or LoadIsYours: also when the value is there and near its end, to the first
    who asks then.  ``refresh`` does not take what is there.
    """

    key: str
    timeout: float
    refresh: bool = False


class CachedIs(msgspec.Struct, frozen=True, array_like=True, tag="cached"):
    """The value as JSON text, and when its time is over (microseconds); None where none is."""

    data: str | None
    expires_us: int = 0


class CacheDeleted(msgspec.Struct, frozen=True, array_like=True, tag="cache_deleted"):
    """It is gone; ``existed`` says whether it was there."""

    existed: bool
