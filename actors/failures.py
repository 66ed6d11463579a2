"""Exceptions that travel: how a failure is named on the wire and raised at the other side.

Only classes of ``holdfast.errors`` come back as themselves; anything else is a RemoteError that
carries its name and text.  Nothing is ever imported or unpickled because a peer named it.
"""

from __future__ import annotations

from typing import Any, Final

import pykka

from holdfast import errors

__all__ = [
    "AskTimeout",
    "RemoteActorDied",
    "RemoteActorGone",
    "exception_from",
    "failure_of",
    "unanswered",
]

_WITH_PARTS: Final = (
    errors.ChildError,
    errors.Conflict,
    errors.CursorError,
    errors.ActorDied,
    errors.ActorGone,
    errors.GapError,
    errors.NoSessionError,
    errors.OwnedError,
    errors.ReloadError,
    errors.RemoteError,
)


class RemoteActorDied(errors.ActorDied, pykka.ActorDeadError):
    """ActorDied, also for those who catch pykka's ActorDeadError."""


class RemoteActorGone(errors.ActorGone, pykka.ActorDeadError):
    """ActorGone, also for those who catch pykka's ActorDeadError.

    No RemoteActorDied: what that one failed may be asked again, this is the end of it.
    """


class AskTimeout(errors.AskTimeoutError, pykka.Timeout):
    """AskTimeoutError, also for those who catch pykka's Timeout."""


def unanswered(to: str, timeout: float | None) -> AskTimeout:
    """Nobody but the supervisors knows whether there is such an actor at all: it may restart."""
    return AskTimeout(
        f"{to!r} did not answer within {timeout} s; if there is such an actor, it may still handle "
        "the message: raise the timeout, or look for it with `holdfast status`"
    )


def failure_of(error: BaseException) -> tuple[str, str, list[Any]]:
    """Class name, text and parts of an exception, for a Failure frame."""
    if isinstance(error, errors.Conflict):
        return "Conflict", str(error), [error.what, error.expected, error.current]
    if isinstance(error, errors.OwnedError):
        return "OwnedError", str(error), [error.what, error.owner]
    if isinstance(error, errors.NoSessionError):
        return "NoSessionError", str(error), [error.id]
    if isinstance(error, errors.CursorError):
        return "CursorError", str(error), [error.cursor, error.current]
    if isinstance(error, errors.GapError):
        return "GapError", str(error), [error.who, error.expected, error.got]
    if isinstance(error, errors.ActorGone):
        return "ActorGone", str(error), [error.actor, error.how]
    if isinstance(error, errors.ActorDied):
        return "ActorDied", str(error), [error.actor, error.started]
    if isinstance(error, pykka.ActorDeadError):  # it waited when the actor stopped
        return "ActorDied", str(error), ["", False]
    if isinstance(error, errors.ChildError):
        return "ChildError", str(error), [error.child, error.reason]
    if isinstance(error, errors.ReloadError):
        return "ReloadError", str(error), [error.reason]
    if isinstance(error, errors.RemoteError):
        return "RemoteError", str(error), [error.actor, error.type, error.text]
    return type(error).__name__, str(error), []


def exception_from(actor: str, type_: str, text: str, parts: list[Any]) -> errors.HoldfastError:
    """The exception that a Failure frame from ``actor`` stands for."""
    if type_ == "Conflict" and len(parts) == 3:
        return errors.Conflict(str(parts[0]), expected=parts[1], current=parts[2])
    if type_ == "OwnedError" and len(parts) == 2:
        return errors.OwnedError(str(parts[0]), owner=str(parts[1]))
    if type_ == "NoSessionError" and len(parts) == 1:
        return errors.NoSessionError(str(parts[0]))
    if type_ == "CursorError" and len(parts) == 2:
        return errors.CursorError(str(parts[0]), current=str(parts[1]))
    if type_ == "GapError" and [type(part) for part in parts] == [str, int, int]:
        return errors.GapError(parts[0], expected=parts[1], got=parts[2])
    if type_ == "ActorDied" and len(parts) == 2:
        return RemoteActorDied(str(parts[0]) or actor, started=bool(parts[1]))
    if type_ == "ActorGone" and len(parts) == 2:
        return RemoteActorGone(str(parts[0]), str(parts[1]))
    if type_ == "ChildError" and len(parts) == 2:
        return errors.ChildError(str(parts[0]), str(parts[1]))
    if type_ == "ReloadError" and len(parts) == 1:
        return errors.ReloadError(text, reason=str(parts[0]))
    if type_ == "RemoteError" and len(parts) == 3:
        return errors.RemoteError(str(parts[0]), str(parts[1]), str(parts[2]))
    known = getattr(errors, type_, None) if type_ in errors.__all__ else None
    if known is not None and known not in _WITH_PARTS:
        made: errors.HoldfastError = known(text)
        return made
    return errors.RemoteError(actor, type_, text)
