"""What the tracker takes: names, JSON texts and retry policies; the rest is refused by name."""

from __future__ import annotations

import math
from typing import Final

from holdfast.actors.messages.tracker import Retry
from holdfast.errors import InvalidInputError
from holdfast.storage import jsontext

__all__ = ["MAX_NAME", "check_name", "check_retry", "check_text", "check_until"]

MAX_NAME: Final = 1_024  # characters of an id, a kind, an owner, a key
MAX_TEXT: Final = 256 * 1024  # bytes of a payload, a progress, a result
LONGEST: Final = 366 * 86_400.0  # seconds that anybody waits; "for ever" is shorter, too


def check_name(field: str, text: str) -> None:
    """Raises InvalidInputError."""
    if not text or len(text) > MAX_NAME or "\0" in text:
        raise InvalidInputError(
            f"{field} = {text[:80]!r}: expected 1 to {MAX_NAME} characters without NUL"
        )


def check_text(field: str, text: str) -> None:
    """JSON text, or "" for none."""
    size = len(text.encode())
    if size > MAX_TEXT:
        raise InvalidInputError(f"{field} of {size} bytes: expected at most {MAX_TEXT}")
    if text:
        jsontext.decode(text)


def check_retry(retry: Retry | None) -> None:
    """Raises InvalidInputError."""
    if retry is None:
        return
    bounds = (
        ("max_attempts", retry.max_attempts, 1, 1_000),
        ("backoff", retry.backoff, 0, 86_400),
        ("factor", retry.factor, 1, 100),
        ("backoff_max", retry.backoff_max, 0, 86_400),
    )
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise InvalidInputError(f"retry.{name} = {value}: expected {least} to {most}")


def check_until(until: float, now: float) -> float:
    """The end of a wait in monotonic seconds, or an earlier one; NaN is refused."""
    if math.isnan(until):
        raise InvalidInputError("until = nan: expected monotonic seconds")
    return min(until, now + LONGEST)
