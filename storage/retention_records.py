"""Retention of events: the rules, and what came of them.

Ages are seconds, sizes bytes of the events' texts; 0 is no bound.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Deletions", "Reason", "Retention", "Rule", "Slice"]

Reason = Literal["age", "count", "bytes"]


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of the events whose type matches ``types`` and no glob of a rule before it."""

    types: str
    max_age: float = 0.0
    max_count: int = 0
    max_bytes: int = 0


class Retention(msgspec.Struct, frozen=True, array_like=True):
    """All rules, the first that matches decides; events that match none are kept for ever.

    What a named subscriber has not acknowledged is kept, unless ``ignore_subscribers``.
    """

    rules: tuple[Rule, ...] = ()
    ignore_subscribers: bool = False


class Deletions(msgspec.Struct, frozen=True, array_like=True):
    """So many events, of so many bytes, were deleted by a rule for a reason, or would be.

    Others that lie between the first and the last may be there.
    """

    rule: str
    reason: Reason
    count: int
    bytes: int
    first_seq: int
    last_seq: int

    def plus(self, other: Deletions) -> Deletions:
        """Both together; they are of one rule and reason."""
        return Deletions(
            self.rule,
            self.reason,
            self.count + other.count,
            self.bytes + other.bytes,
            min(self.first_seq, other.first_seq),
            max(self.last_seq, other.last_seq),
        )


class Slice(msgspec.Struct, frozen=True):
    """What a slice of the work came to: the numbers that are gone, from, to; is it all done?"""

    deletions: list[Deletions]
    gone: list[tuple[int, int]]
    is_done: bool
