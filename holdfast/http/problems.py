"""Errors as HTTP has them: a status, and a problem document (RFC 9457) that says what to do.

No token, and nothing of an exception that is not meant for callers, is in one.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from holdfast import errors
from holdfast.actors.gateway_catalogue import UnknownEventError

__all__ = ["Answered", "HttpError", "problem_of"]

JSON_PROBLEM: Final = "application/problem+json"
AGAIN: Final = "1"  # seconds until it is worth trying again: a restart takes milliseconds

# The first that it is an instance of.
_STATUS: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (errors.InvalidInputError, 400),
    (errors.NotFoundError, 404),
    (errors.Conflict, 409),
    (errors.OwnedError, 409),
    (errors.PoisonError, 500),
    (errors.DeliveryError, 503),
    (errors.DaemonNotFoundError, 503),
    (errors.CapacityError, 503),
    (errors.UnreachableError, 503),
    (errors.DiskFullError, 507),
    (errors.HoldfastError, 500),
)


class Answered(Exception):
    """An answer that is none of the ordinary: 304 and the like."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers


class HttpError(errors.HoldfastError):
    """What only HTTP can have wrong: ``status``, and ``headers`` that go with it."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def problem_of(
    error: BaseException, *, is_change: bool, is_conditional: bool = False
) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and document; of a conditional request a conflict is 412."""
    headers: dict[str, str] = {}
    if isinstance(error, HttpError):
        status, headers = error.status, error.headers
    else:
        status = next((code for type_, code in _STATUS if isinstance(error, type_)), 500)
    if status == 409 and is_conditional:
        status = 412
    if status in (503, 507):
        headers = {"retry-after": AGAIN, **headers}
    is_ours = isinstance(error, errors.HoldfastError | TimeoutError)
    name = _name_of(error)
    outcome = "unknown" if is_change and _is_doubtful(error, status) else "unchanged"
    detail = str(error) if is_ours else "the daemon's log says what"
    if outcome == "unknown" and "may still" not in detail:
        detail += "; whether the change was made is not known"
    document: dict[str, Any] = {
        "type": f"urn:holdfast:{name}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error_type": name,
        "outcome": outcome,
    }
    if isinstance(error, UnknownEventError):
        document["did_you_mean"] = error.near
    return status, headers, document


def _name_of(error: BaseException) -> str:
    """The class that programs know; those of the door itself are nobody's."""
    known = (each for each in type(error).__mro__ if each.__module__ == "holdfast.errors")
    return next((each.__name__ for each in known), "HoldfastError")


def _is_doubtful(error: BaseException, status: int) -> bool:
    match error:
        case HttpError():
            return status == 504
        case errors.ActorDied(started=started):
            return started
        case errors.UnknownActorError() | errors.OutboxFullError():
            return False
        case errors.AskTimeoutError() | errors.UnknownError() | errors.ExpiredError():
            return True
        case errors.RemoteError():
            return True
        case errors.HoldfastError():
            return False
        case _:
            return True
