"""Which vocabulary an actor's replies are read with; agents speak plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from holdfast.actors.messages import (
    checkpoints,
    files,
    log,
    query,
    sessions,
    supervisor,
    tracker,
    writer,
)

__all__ = ["decode_reply_of"]

_TYPED: Final[dict[str, Callable[[bytes], Any]]] = {
    "checkpoints": checkpoints.decode_reply,
    "files": files.decode_reply,
    "log": log.decode_reply,
    "query": query.decode_reply,
    "root": supervisor.decode_reply,
    "sessions": sessions.decode_reply,
    "tracker": tracker.decode_reply,
    "writer": writer.decode_reply,
}


def decode_reply_of(actor: str) -> Callable[[bytes], Any] | None:
    """The decoder for what a state actor or the root answers; None for plain values."""
    return _TYPED.get(actor)
