"""Which trace an event is in, and which span of it: computed from its names, remembered nowhere.

Whoever computes them again, a second process or one after a crash, comes to the same.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from holdfast.actors.readable_events import Event

__all__ = ["span_id", "trace_id"]

_HEX: Final = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NONE: Final = "0" * 32  # means no trace


def trace_id(event: Event) -> bytes:
    """16 bytes: of its correlation, else of its first cause.

    A correlation that is a trace id, a UUID or a W3C traceparent stands for itself, so that events
    are in the trace of the program that emitted them.
    """
    if event.correlation is None:
        return _hash(16, "root", event.daemon, event.root or event.id)
    given = event.correlation.lower()
    parent = _TRACEPARENT.fullmatch(given)
    plain = parent[1] if parent else given.replace("-", "")
    if _HEX.fullmatch(plain) and plain != _NONE:
        return bytes.fromhex(plain)
    return _hash(16, "correlation", event.correlation)


def span_id(trace: bytes, name: str) -> bytes:
    """8 bytes: of an event's id, which is what its effects call their cause."""
    return _hash(8, "span", trace.hex(), name)


def _hash(size: int, *parts: str) -> bytes:
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=size).digest()
