"""What is known of a child's deaths: the flight records of its lives, and what they suspect.

Owned by the child's supervisor and lost with it: a nested supervisor that dies forgets which
message had killed whom, and the count starts again.
"""

from __future__ import annotations

import os
from typing import Final

from holdfast.actors.recorder import (
    InHand,
    LastLife,
    Signs,
    Suspect,
    create,
    in_hand,
    read_signs,
    read_stacks,
)

__all__ = ["LAST_LIFE", "RECORDER", "Evidence"]

# Names of descriptors in a fork request; no actor can be called so.
RECORDER: Final = "/recorder"
LAST_LIFE: Final = "/last_life"

KEPT: Final = 100  # poisonous messages remembered until their senders have let go of them
POISONOUS: Final = 2  # deaths with the same message in hand that make it poison


class Evidence:
    """One child's flight record, that of its last life, and the message they point at."""

    def __init__(self, child: str, *, accuses: bool = True) -> None:
        """``accuses`` False: no message is ever suspected, and the last record is not kept."""
        self.last_incarnation = ""  # of which the record is kept; "" before the first death
        # By message; that of the last death in the end.  A message is let go once others have
        # killed since and it was no poison, or when there are too many.
        self._suspects: dict[InHand, Suspect] = {}
        self._child = child
        self._accuses = accuses
        self._incarnation = ""
        self._last_deaths = 0  # how often the last death's message has killed
        self._record = -1
        self._last_record = -1

    @property
    def is_poison(self) -> bool:
        """The last death was the message's doing, and it will not be delivered again."""
        return self._last_deaths == POISONOUS

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """What the child's deaths point at, that of the last death in the end."""
        return tuple(self._suspects.values())

    @property
    def signs(self) -> Signs:
        """How the present life is, as its record says it."""
        return Signs() if self._record < 0 else read_signs(self._record)

    @property
    def stacks(self) -> str:
        """What the present life has written of its stacks."""
        return "" if self._record < 0 else read_stacks(self._record)

    def close(self) -> LastLife | None:
        """No life follows: what the last one had come to, if there was one; nothing is kept."""
        if self._last_record < 0:
            return None
        record, self._last_record = self._last_record, -1
        last = LastLife(record, incarnation=self.last_incarnation, suspects=self.suspects)
        os.close(record)
        return last

    def begin(self, incarnation: str) -> dict[str, int]:
        """Another life: the descriptors of its record and of the last one."""
        self._incarnation = incarnation
        self._record = create(self._child)
        descriptors = {RECORDER: self._record}
        if self._last_record >= 0:
            descriptors[LAST_LIFE] = self._last_record
        return descriptors

    def ended(self, reason: str, *, crashed: bool) -> None:
        """That life is over: what did it have in hand?"""
        if self._record < 0:
            return
        if not self._accuses:
            os.close(self._record)
            self._record = -1
            return
        message = in_hand(self._record) if crashed else None
        self._last_deaths = 0
        before = self._suspects.pop(message, None) if message is not None else None
        self._suspects = {
            other: suspect
            for other, suspect in list(self._suspects.items())[-KEPT:]
            if suspect.deaths >= POISONOUS
        }
        if message is not None:
            self._last_deaths = 1 if before is None else before.deaths + 1
            self._suspects[message] = Suspect(message, self._last_deaths, reason)
        if self._last_record >= 0:
            os.close(self._last_record)
        self._last_record, self._record = self._record, -1
        self.last_incarnation = self._incarnation
