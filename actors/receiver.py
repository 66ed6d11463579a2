"""What all connections to one actor share: how far each sender has come, and the room for messages.

Lost when the process dies: the marks, so that what was handled but not acknowledged comes again,
marked ``redelivered``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.actors.recorder import FlightRecorder, LastLife
from holdfast.actors.wire import MAX_FRAME, decode_bodies

if TYPE_CHECKING:
    from holdfast.actors.intake import Intake

__all__ = ["MAX_SENDERS", "Marks", "Receiver"]

MAX_SENDERS: Final = 10_000  # marks kept in memory; ~200 bytes each
SHARES: Final = 64  # every sender has one of so many, whoever holds the rest: 156 of 10,000


class Marks:
    """How far a sender's numbers have come: taken in, and handled."""

    __slots__ = ("handled", "received")

    def __init__(self, *, received: int, handled: int) -> None:
        self.received = received
        self.handled = handled


class Receiver:
    """What the intakes of one actor share: how to decode, the marks, and the room for messages.

    The windows of all senders add up to ``mailbox_limit`` messages, but each sender may always
    have a 64th of that under way (at least one), and a frame of offers may overdraw it once.
    """

    def __init__(
        self,
        *,
        actor: str,
        incarnation: str,
        decode: Callable[[bytes | msgspec.Raw], Any],
        mailbox_limit: int,
        keeps_marks: bool,
        count_of: Callable[[Any], int] = lambda _message: 1,
        max_frame: int = MAX_FRAME,
        recorder: FlightRecorder | None = None,
        last_life: LastLife | None = None,
    ) -> None:
        self.actor = actor
        self.incarnation = incarnation
        self.decode = decode
        # What reads many messages at once; None: ``decode`` reads them one by one.
        self.decode_all: Callable[[msgspec.Raw], list[Any]] | None = None
        self.count_of = count_of  # how many numbers the message of a tell takes
        self.max_frame = max_frame
        self.recorder = recorder
        self.last_life = last_life
        # False: the actor itself answers Joined, from marks that the writer keeps.
        self.keeps_marks = keeps_marks
        # Gets sender and incarnation; takes in what the sender's earlier connection still holds.
        self.before_greeting: Callable[[str, str], None] = lambda sender, incarnation: None
        self.marks: OrderedDict[tuple[str, str], Marks] = OrderedDict()  # least recent first
        self.intakes: dict[tuple[str, str], Intake] = {}  # the newest connection of each sender
        self.granted = 0  # messages that may still arrive or are not handled yet
        self.late_answers = 0  # to senders that had gone
        self.copies = 0  # connections that brought what had come on another one
        self.is_narrow = False  # each sender may have one frame under way, no more
        self.limit = mailbox_limit

    def decode_many(self, bodies: msgspec.Raw) -> list[Any]:
        """The messages of a Tells.  Raises msgspec's errors."""
        if self.decode_all is not None:
            return self.decode_all(bodies)
        messages = [self.decode(body) for body in decode_bodies(bodies)]
        if any(self.count_of(message) != 1 for message in messages):
            raise msgspec.ValidationError("its frame promises one message each")
        return messages

    @property
    def window(self) -> int:
        """One sender's fair share of the mailbox; a frame may overdraw it."""
        senders = len(self.intakes)
        if self.is_narrow:
            return 1
        return self.limit // (senders if senders > 4 else 4) or 1

    def top_up(self, outstanding: int) -> int:
        """How many more messages a sender with ``outstanding`` ones may be granted now."""
        window = self.window
        room = min(window - outstanding, self.limit - self.granted)
        # Also when all room is granted, perhaps to senders that are idle, and to who has overdrawn.
        least = min(window, self.limit // SHARES or 1)
        return max(room, least - outstanding, 0)

    def marks_of(self, key: tuple[str, str], first: int) -> Marks:
        """What is known of a sender; one that is new here begins at ``first``."""
        marks = self.marks.get(key)
        if marks is None:
            marks = self.marks[key] = Marks(received=first - 1, handled=first - 1)
            while len(self.marks) > MAX_SENDERS:
                self.marks.popitem(last=False)
        self.marks.move_to_end(key)
        return marks
