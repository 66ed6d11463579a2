"""Frames of events between their sender and the writer's COMMIT, in the order they came.

A plain data structure; the log actor owns one.  Lost when its process dies: nothing, since the
senders hold every frame in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from holdfast.actors.blocks import Block
from holdfast.actors.delivery import Delivery
from holdfast.actors.messages.writer import Relay, Skip
from holdfast.storage.records import RawEvent

__all__ = ["Frame", "Relays"]


class Frame:
    """What one tell brought, and the message that settles it: its events or a tombstone."""

    __slots__ = ("block", "count", "delivery", "is_held", "loose", "message")

    def __init__(
        self,
        message: Relay | Skip,
        count: int,
        block: Block | None,
        delivery: Delivery | None,
        *,
        loose: list[RawEvent] | None = None,
    ) -> None:
        self.message = message
        self.count = count  # of numbers it takes
        self.block = block  # its events; None in a tombstone
        self.delivery = delivery  # None for what the log itself has to tell
        self.loose = loose or []  # of what a tombstone stands for, what is kept in memory
        self.is_held = False  # nothing is sent of it before something else has happened

    @property
    def sender(self) -> tuple[str, str]:
        """Whose numbering it stands in."""
        return self.message.origin.sender, self.message.origin.incarnation

    @property
    def number(self) -> int:
        """Its first number."""
        return self.message.origin.first

    @property
    def weight(self) -> int:
        """What it costs the writer, in events."""
        return 1 if self.block is None else max(1, self.block.count)

    def events(self) -> list[RawEvent]:
        """Its events, and the loose ones; of what came twice only what is new."""
        if self.block is None:
            return self.loose
        try:
            events = self.block.events()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []  # no events: the writer is about to refuse them
        return events[self.delivery.skip :] if self.delivery else events

    def bury(self, reason: str) -> None:
        """Make it a tombstone."""
        self.message = Skip(self.message.origin, self.count, reason)
        self.block = None


class Relays:
    """Every frame that is not settled yet.

    The writer is given frames of ``hand_limit`` events at a time (0: whatever there is); what
    waits behind them has never left this process, so it can still be buried.
    """

    def __init__(self, *, hand_limit: int) -> None:
        self.hand_limit = hand_limit
        self._frames: dict[int, Frame] = {}  # all of them, by identity, in order
        self._waiting: deque[Frame] = deque()  # those not handed to the writer yet
        self._refused: dict[int, Frame] = {}  # those the disk refused, to be tried again
        self._handed = 0  # weight of the others
        self.load = 0  # numbers of senders that wait to be settled
        self.settled = 0  # frames so far

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def events(self) -> int:
        """Events that are on their way to be committed."""
        return sum(frame.block.count for frame in self._frames.values() if frame.block)

    def uncommitted(self) -> Iterator[RawEvent]:
        """Those events, and the loose ones between them."""
        for frame in self._frames.values():
            yield from frame.events()

    def add(self, frame: Frame) -> None:
        """Put a frame at the end."""
        self._frames[id(frame)] = frame
        self._waiting.append(frame)
        if frame.delivery is not None:
            self.load += frame.count

    def take(self) -> Frame | None:
        """The next frame to hand to the writer, if it is to have one more."""
        while self._waiting:
            if 0 < self.hand_limit <= self._handed:
                return None
            frame = self._waiting.popleft()
            self._handed += frame.weight
            if not frame.is_held:
                return frame
        return None

    def release(self, frame: Frame) -> bool:
        """It is held no longer; whether its turn has been, so that it is to be handed over now."""
        frame.is_held = False
        return not any(other is frame for other in self._waiting)

    def settle(self, frame: Frame) -> None:
        """It is committed, recorded as lost, or refused for good."""
        del self._frames[id(frame)]
        self.settled += 1
        self._handed -= frame.weight
        if frame.delivery is not None:
            self.load -= frame.count

    def put_off(self, frame: Frame) -> bool:
        """The disk refused it; whether it is the first that waits for the disk."""
        self._refused[id(frame)] = frame
        return len(self._refused) == 1

    def take_refused(self) -> list[Frame]:
        """What is to be tried again, in order."""
        refused, self._refused = self._refused, {}
        return [frame for key, frame in self._frames.items() if key in refused]

    def is_behind_another(self, frame: Frame) -> bool:
        """Whether something that its sender sent before it is not settled."""
        return any(
            other.sender == frame.sender and other.number < frame.number
            for other in self._frames.values()
        )

    def bury(self, frame: Frame, reason: str) -> None:
        """Make a tombstone of what the writer was given and will not store."""
        self._handed -= frame.weight - 1
        frame.bury(reason)

    def bury_all(self, reason: str) -> int:
        """Make tombstones of all that the writer does not have; how many events that costs.

        What the writer has may be committed already; what the disk refused is not.
        """
        lost = 0
        for frame in (*self._waiting, *self._refused.values()):
            if frame.delivery is None or frame.block is None:
                continue
            lost += frame.block.count
            if id(frame) in self._refused:
                self.bury(frame, reason)
            else:
                frame.bury(reason)
        return lost
