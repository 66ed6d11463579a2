"""When the event log protects itself: modes by how many events wait, after OTP's log handlers.

A plain data structure; the log actor owns one and does what the mode says (docs/OVERLOAD.md).
The modes and their order are those of ``logger_olp`` in Erlang/OTP; what leads back is not: a
mode that loses events is left at half of its threshold, so that it does not come and go with
every frame.
"""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.actors.messages.log import Mode

__all__ = ["CALM", "Overload", "Switch", "Thresholds"]

CALM: Final = 0.1  # seconds below ``sync_at`` after which senders are let go; OTP's IDLE_DETECT

_RANK: Final[dict[Mode, int]] = {"async": 0, "sync": 1, "drop": 2, "flush": 3}


class Thresholds(msgspec.Struct, frozen=True):
    """Events that wait for the writer from which each mode begins; 0 for never."""

    sync_at: int = 0
    drop_at: int = 0
    flush_at: int = 0

    @property
    def hand_limit(self) -> int:
        """Events that the writer may have in hand; 0 any number.

        Only what was not handed over can be flushed; without flushing nothing is held back.
        """
        return (self.sync_at or self.drop_at // 2) if self.flush_at else 0

    def mode(self, load: int) -> Mode:
        """The highest mode whose threshold is reached."""
        if 0 < self.flush_at <= load:
            return "flush"
        if 0 < self.drop_at <= load:
            return "drop"
        if 0 < self.sync_at <= load:
            return "sync"
        return "async"


class Switch(msgspec.Struct, frozen=True):
    """The mode has changed; ``load`` events wait."""

    before: Mode
    now: Mode
    load: int


class Overload:
    """The mode, from the load that it is told of."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.mode: Mode = "async"
        self.thresholds = thresholds
        self._was_high = False  # since the last look whether it is calm

    @property
    def is_dropping(self) -> bool:
        """What comes now is not kept."""
        return self.mode in ("drop", "flush")

    def look(self, load: int) -> Switch | None:
        """Up at once; down from dropping when half of what led there is worked off."""
        reached = self.thresholds.mode(load)
        self._was_high = self._was_high or reached != "async"
        if _RANK[reached] > _RANK[self.mode]:
            return self._switch(reached, load)
        if self.is_dropping and load <= self.thresholds.drop_at // 2:
            return self._switch("sync" if self.thresholds.sync_at else "async", load)
        return None

    def look_for_calm(self, load: int) -> Switch | None:
        """To be called every CALM seconds while the mode is "sync": back when all was low."""
        was_high, self._was_high = self._was_high, self.thresholds.mode(load) != "async"
        if self.mode == "sync" and not (was_high or self._was_high):
            return self._switch("async", load)
        return None

    def _switch(self, mode: Mode, load: int) -> Switch:
        before, self.mode = self.mode, mode
        return Switch(before, mode, load)
