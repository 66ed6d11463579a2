"""What the sessions actor answers about its cache of metadata.  No state of its own."""

from __future__ import annotations

from typing import assert_never

from holdfast.actors.delivery import Delivery, Later
from holdfast.actors.messages import cache, sessions
from holdfast.actors.metadata_cache import Cached, MetadataCache
from holdfast.actors.session_waiting import Key, SessionWaiting

__all__ = ["answer_about_cache"]

Request = cache.CachePut | cache.CacheGet | cache.CacheDelete | cache.CacheLoad
Reply = cache.CachedIs | cache.CacheDeleted | sessions.LoadIsYours | Later


def answer_about_cache(
    values: MetadataCache, waiting: SessionWaiting, delivery: Delivery, message: Request
) -> Reply:
    """At once, or LATER: when the value is made."""
    match message:
        case cache.CachePut(key=key, data=data, ttl=ttl):
            answer = _shown(values.put(key, data, ttl))
            waiting.finish(("cache", key), answer)
            return answer
        case cache.CacheGet(key=key):
            return _shown(values.get(key))
        case cache.CacheDelete(key=key):
            return cache.CacheDeleted(values.delete(key))
        case cache.CacheLoad(key=key, timeout=timeout, refresh=refresh):
            found = None if refresh else values.get(key)
            flight: Key = ("cache", values.check(key))
            if found is None or (values.is_due(found) and not waiting.is_under_way(flight)):
                return waiting.join(flight, delivery, timeout)
            return _shown(found)
        case _:
            assert_never(message)


def _shown(cached: Cached | None) -> cache.CachedIs:
    return (
        cache.CachedIs(None) if cached is None else cache.CachedIs(cached.data, cached.expires_us)
    )
