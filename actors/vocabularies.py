"""Which vocabulary an actor's replies are read with; agents speak plain values."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, get_args

from holdfast.actors.messages import (
    barrier,
    checkpoints,
    files,
    log,
    query,
    sessions,
    supervisor,
    tracker,
    writer,
)

__all__ = ["decode_reply_of", "takes_part"]

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


def takes_part(actor: str) -> bool:
    """Whether a state actor is asked for its part of a checkpoint of the daemon.

    It is, when its vocabulary has the question; agents say so themselves.
    """
    if not actor.isidentifier():  # an agent's name; nothing but our own modules is meant
        return False
    try:
        module = import_module(f"holdfast.actors.messages.{actor}")
    except ModuleNotFoundError:
        return False
    return barrier.Collect in get_args(getattr(module, "Request", None))
