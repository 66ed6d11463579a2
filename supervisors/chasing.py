"""A copier that follows a writer: when it is near enough, and what to do when it never will be.

The gap is looked at once in a while.  Where it does not shrink, everybody is held all the same if
the rest takes but a small part of the time that they may be; else the writer is slowed down, more
and more; and if that does not help either, it is given up.  Pure decisions; nothing is kept.
"""

from __future__ import annotations

from typing import Final, Literal

from holdfast.storage.migrating.ports import Progress

__all__ = ["Chase"]

Verdict = Literal["", "hold", "slow", "late"]

NEAR: Final = 1_000  # rows behind; the copier moves some 20,000 a second
WINDOW: Final = 1.0  # seconds from one look to the next
SOON: Final = 20.0  # seconds until it is near, at this rate, are no reason to slow anybody down
PART: Final = 0.1  # of hold_timeout, for what is left to be moved in the hold
LEAST: Final = 0.02  # share of its time that a writer has at least
PATIENCE: Final = 60.0  # seconds in which the gap has to become smaller than it ever was


class Chase:
    """One; ``share`` is what the writer is to have of its time."""

    def __init__(self, *, hold_timeout: float, now: float) -> None:
        self._budget = hold_timeout * PART
        self._since = now
        self._first: Progress | None = None  # of this window
        self._least = -1  # rows behind, ever
        self._least_at = now
        self._made = self._moved = 0.0  # rows a second, in the last window
        self.share = 1.0

    def sees(self, progress: Progress, now: float) -> Verdict:
        """What to do now; "" most of the time."""
        if progress.behind <= NEAR:
            return "hold"
        if self._first is None:
            self._first, self._since = progress, now
        if self._least < 0 or progress.behind < self._least:
            self._least, self._least_at = progress.behind, now
        if now - self._since < WINDOW:
            return ""
        self._measure(self._first, progress, now)
        self._first, self._since = progress, now
        return self._judge(progress.behind, now)

    def words(self, behind: int) -> str:
        """Why it is given up."""
        slowed = f", which may work for {self.share:.0%} of its time," if self.share < 1 else ""
        return (
            f"the copier cannot catch up: the writer{slowed} changes {self._made:,.0f} rows/s, "
            f"the copier moves {self._moved:,.0f} rows/s, and {behind:,} are missing: reload when "
            "less is written, or to a faster place"
        )

    def _measure(self, first: Progress, last: Progress, now: float) -> None:
        seconds = now - self._since
        self._moved = (last.followed - first.followed) / seconds
        self._made = self._moved + (last.behind - first.behind) / seconds

    def _judge(self, behind: int, now: float) -> Verdict:
        if now - self._least_at > PATIENCE:
            return "late"
        gain = self._moved - self._made
        if self._moved <= 0 or (gain > 0 and (behind - NEAR) / gain <= SOON):
            return "slow" if self.share < 1 else ""  # said again, or it lapses
        if behind / self._moved <= self._budget:
            return "hold"
        wanted = self._moved / 2 / self._made  # so that the other half is what it catches up by
        self.share = max(LEAST, self.share * min(1.0, wanted))
        return "slow"
