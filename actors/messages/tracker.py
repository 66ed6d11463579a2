"""The vocabulary of the tracker actor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from holdfast.actors.messages import barrier

__all__ = [
    "Acquire",
    "Begin",
    "End",
    "Get",
    "LimiterIs",
    "LimitersAre",
    "List",
    "ListLimiters",
    "Permit",
    "RateLimit",
    "Reply",
    "Request",
    "RequestIs",
    "Retry",
    "SlidingWindow",
    "Stats",
    "Status",
    "Take",
    "TokenBucket",
    "Tracked",
    "TrackedAre",
    "TrackerStats",
    "Update",
    "decode_reply",
    "decode_request",
]

# running, interrupted (its owner died, or a checkpoint was restored) and retrying (it failed, and
# may be taken when it is due) are in flight; the others are ends.
Status = Literal["running", "interrupted", "retrying", "finished", "failed", "cancelled", "expired"]
End_ = Literal["finished", "failed", "cancelled"]

Amount = Annotated[int, Meta(ge=1, le=1_000_000_000)]


class TokenBucket(
    msgspec.Struct, frozen=True, tag_field="kind", tag="token_bucket", forbid_unknown_fields=True
):
    """``rate`` tokens a second, of which up to ``burst`` gather."""

    rate: Annotated[float, Meta(gt=0, le=1_000_000)]
    burst: Amount

    def __post_init__(self) -> None:
        if not math.isfinite(self.rate):
            raise ValueError("rate is no number")


class SlidingWindow(
    msgspec.Struct, frozen=True, tag_field="kind", tag="sliding_window", forbid_unknown_fields=True
):
    """At most ``limit`` in any ``period`` seconds."""

    limit: Amount
    period: Annotated[float, Meta(ge=0.001, le=31_622_400)]

    def __post_init__(self) -> None:
        if not math.isfinite(self.period):
            raise ValueError("period is no number")


RateLimit = TokenBucket | SlidingWindow


class Retry(msgspec.Struct, frozen=True, array_like=True):
    """How often a request is tried, and the seconds before the second try; each further wait is
    ``factor`` times longer, up to ``backoff_max``."""

    max_attempts: int = 5
    backoff: float = 1.0
    factor: float = 2.0
    backoff_max: float = 60.0


class Tracked(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A request; ``payload``, ``progress`` and ``result`` are JSON text, "" for none.

    Times are microseconds since 1970; ``deadline_us`` and ``next_at_us`` are 0 where there is
    none.  ``attempt`` counts from 1.  ``reason`` says why it is interrupted, or how it failed.
    ``number`` counts the requests in the order in which they began.
    """

    id: str
    number: int
    kind: str
    owner: str
    status: Status
    payload: str
    progress: str
    result: str
    reason: str
    attempt: int
    retry: Retry | None
    began_us: int
    changed_us: int
    deadline_us: int
    next_at_us: int
    life: str  # of the owner, who is watched; "" where nobody is
    token: str  # of the message that made this attempt: a repeat has the same


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """A request is in flight.  Reply: RequestIs.

    ``deadline`` in seconds from now.  ``owner`` "" is who sends it.
    """

    id: str
    kind: str
    payload: str = ""
    owner: str = ""
    deadline: float | None = None
    retry: Retry | None = None
    token: str = ""


class Update(msgspec.Struct, frozen=True, array_like=True, tag="update"):
    """How far it has come.  Reply: RequestIs, with None when nobody knows it (any more).

    Conflict when another attempt than ``attempt`` is under way; 0 does not ask.
    """

    id: str
    progress: str
    attempt: int = 0


class End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """It is over.  Reply: RequestIs, as for Update; one that had ended before stays as it was.

    ``may_retry``: a failure is no end while its retry policy has attempts left.
    """

    id: str
    status: End_
    result: str = ""
    reason: str = ""
    may_retry: bool = True
    attempt: int = 0


class Take(msgspec.Struct, frozen=True, array_like=True, tag="take"):
    """Hand over what is interrupted, or due to be retried: each to one taker.  Reply: TrackedAre.

    "" matches every owner, and every kind.  Waits until ``until`` (monotonic seconds) for the
    first one.
    """

    owner: str = ""
    kind: str = ""
    limit: int = 1
    until: float = 0.0
    token: str = ""


class Get(msgspec.Struct, frozen=True, array_like=True, tag="get"):
    """One request.  Reply: RequestIs."""

    id: str


class List(msgspec.Struct, frozen=True, array_like=True, tag="list"):
    """The requests after number ``after``, in their order.  Reply: TrackedAre.

    No ``statuses`` are all of them; "" matches every owner, and every kind.
    """

    statuses: tuple[Status, ...] = ()
    kind: str = ""
    owner: str = ""
    after: int = 0
    limit: int = 100


class Acquire(msgspec.Struct, frozen=True, array_like=True, tag="acquire"):
    """May ``cost`` pass?  Reply: Permit, at the latest at ``until`` (monotonic seconds)."""

    key: str
    cost: int = 1
    limit: RateLimit | None = None
    until: float = 0.0


class ListLimiters(msgspec.Struct, frozen=True, array_like=True, tag="list_limiters"):
    """Which rate limiters are there?  Reply: LimitersAre."""


class Stats(msgspec.Struct, frozen=True, array_like=True, tag="stats"):
    """How much is in flight?  Reply: TrackerStats."""


class RequestIs(msgspec.Struct, frozen=True, array_like=True, tag="request"):
    """The request as it is now, or None."""

    request: Tracked | None


class TrackedAre(msgspec.Struct, frozen=True, array_like=True, tag="requests"):
    """Requests; ``more`` says that not all of them found room in the reply."""

    requests: list[Tracked]
    more: bool = False


class Permit(msgspec.Struct, frozen=True, array_like=True, tag="permit"):
    """Whether it may pass; if not, not within ``retry_after`` seconds either.

    ``available`` is what would pass at once after this.
    """

    granted: bool
    retry_after: float
    available: int


class LimiterIs(msgspec.Struct, frozen=True, array_like=True):
    """A rate limiter, who waits at it, and what it answered."""

    key: str
    limit: RateLimit
    configured: bool
    available: int
    waiting: int
    granted: int
    refused: int


class LimitersAre(msgspec.Struct, frozen=True, array_like=True, tag="limiters"):
    """Rate limiters; ``more`` says that there are others."""

    limiters: list[LimiterIs]
    more: bool = False


class TrackerStats(msgspec.Struct, frozen=True, array_like=True, tag="tracker_stats"):
    """What is held now, and what has happened since the process started."""

    in_flight: int
    bytes: int
    kept: int
    limiters: int
    waiting: int
    began: int
    expired: int
    interrupted: int


Request = (
    Begin
    | Update
    | End
    | Take
    | Get
    | List
    | Acquire
    | ListLimiters
    | Stats
    | barrier.Collect
    | barrier.Restore
)
Reply = (
    RequestIs
    | TrackedAre
    | Permit
    | LimitersAre
    | TrackerStats
    | barrier.Collected
    | barrier.Restored
)

decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode
decode_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode
