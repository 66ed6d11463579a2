"""Supervised actors, one process and one state concern each, that own an agent daemon's state.

Importing this package loads nothing else: every child process and every agent pays for what
stands here, so the names below are looked up when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast import aio, changes
    from holdfast.actors.agent import Agent
    from holdfast.actors.hub import Event, Hub
    from holdfast.actors.messages.tracker import Retry, SlidingWindow, TokenBucket
    from holdfast.actors.monitors import Down
    from holdfast.client import connect
    from holdfast.errors import (
        ActorDied,
        ActorGone,
        AlreadyRunningError,
        AskTimeoutError,
        CapacityError,
        ChildError,
        ConfigError,
        Conflict,
        CursorError,
        DaemonNotFoundError,
        DeliveryError,
        DiskFullError,
        ExpiredError,
        FencedError,
        FrameError,
        HoldfastError,
        InvalidInputError,
        NoSessionError,
        NotFoundError,
        OutboxFullError,
        OwnedError,
        ProtocolError,
        RemoteError,
        SchemaError,
        StartError,
        StorageError,
        UnacknowledgedError,
        UnknownActorError,
        VersionError,
    )

    __version__: str

__all__ = [
    "ActorDied",
    "ActorGone",
    "Agent",
    "AlreadyRunningError",
    "AskTimeoutError",
    "CapacityError",
    "ChildError",
    "ConfigError",
    "Conflict",
    "CursorError",
    "DaemonNotFoundError",
    "DeliveryError",
    "DiskFullError",
    "Down",
    "Event",
    "ExpiredError",
    "FencedError",
    "FrameError",
    "Gap",
    "HoldfastError",
    "Hub",
    "InvalidInputError",
    "NoSessionError",
    "NotFoundError",
    "OutboxFullError",
    "OwnedError",
    "ProtocolError",
    "RemoteError",
    "Retry",
    "SchemaError",
    "SlidingWindow",
    "StartError",
    "StorageError",
    "TokenBucket",
    "UnacknowledgedError",
    "UnknownActorError",
    "VersionError",
    "__version__",
    "aio",
    "changes",
    "connect",
]

# The names that do not live in holdfast.errors.
_HOMES = {
    "Agent": "holdfast.actors.agent",
    "Down": "holdfast.actors.monitors",
    "Event": "holdfast.actors.hub",
    "Gap": "holdfast.actors.following",
    "Hub": "holdfast.actors.hub",
    "Retry": "holdfast.actors.messages.tracker",
    "SlidingWindow": "holdfast.actors.messages.tracker",
    "TokenBucket": "holdfast.actors.messages.tracker",
    "connect": "holdfast.client",
}


def _installed_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("holdfast")
    except metadata.PackageNotFoundError:  # a checkout on sys.path that nobody installed
        return "0+unknown"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "__version__":
        value: object = _installed_version()
    elif name in ("aio", "changes"):
        value = import_module(f"holdfast.{name}")
    else:
        value = getattr(import_module(_HOMES.get(name, "holdfast.errors")), name)
    globals()[name] = value  # the next look-up is an ordinary one
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
