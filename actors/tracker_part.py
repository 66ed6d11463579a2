"""What a daemon checkpoint keeps of the tracker: its requests, and limiters that are not full.

Plain functions; nothing is kept here.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.actors.in_flight import HeldRequest, InFlight
from holdfast.actors.messages.barrier import Collected
from holdfast.actors.rate_limits import HeldLimiter, RateLimits
from holdfast.errors import InvalidInputError

__all__ = ["Held", "collected", "opened"]


class Held(msgspec.Struct, frozen=True):
    """The part, as JSON."""

    requests: list[HeldRequest]
    limiters: list[HeldLimiter]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Held).decode


def collected(in_flight: InFlight, rates: RateLimits[Any], now: int) -> Collected:
    """The part as it is at ``now``, in microseconds."""
    held = Held(in_flight.held(), rates.held(now * 1000))
    return Collected(_encode(held).decode(), len(held.requests))


def opened(state: str) -> Held:
    """The part that ``collected`` made.  Raises InvalidInputError."""
    try:
        held = _decode(state)
        for one in held.requests:
            one.opened()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"state: no state of a tracker: {error}") from error
    return held
