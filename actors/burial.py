"""What becomes of a message that is not handled: a dead letter.

The letter is kept by the writer; only then is the sender told, and the message never handled
again.  Lost when the actor dies in between: nothing, the message comes again and is known.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.actors.mailbox import Mailbox, Poisoned
from holdfast.actors.messages.writer import KeepDeadLetter, Kept
from holdfast.errors import FrameError, PoisonError
from holdfast.storage.records import DeadLetter

__all__ = ["AGAIN", "Burial", "Held", "bury", "is_buried", "keep", "letter_of", "poison_error"]

AGAIN: Final = 1.0  # seconds until a letter that could not be kept is sent again


class Held:
    """Tells from one that waits for its letter on: an acknowledgement covers all before it.

    Lost with the process: nothing, they come again.
    """

    def __init__(self) -> None:
        self._tells: deque[Delivery] = deque()
        self._unkept: set[int] = set()  # of those, by identity: wait for a letter

    def bury(self, poison: Delivery) -> None:
        """Hold it until ``kept``."""
        self._tells.append(poison)
        self._unkept.add(id(poison))

    def stay_behind(self, tell: Delivery) -> None:
        """Hold what is about to be handled, if anything is held."""
        if self._tells and tell.kind == "tell" and not tell.deferred:
            tell.deferred = True
            self._tells.append(tell)

    def kept(self, poison: Delivery) -> None:
        """Acknowledge it, and those behind it that were handled meanwhile."""
        self._unkept.remove(id(poison))
        while self._tells and id(self._tells[0]) not in self._unkept:
            self._tells.popleft().done()


class Burial(msgspec.Struct, frozen=True):
    """The context of a letter on its way."""

    poisoned: Poisoned


def letter_of(mailbox: Mailbox, poisoned: Poisoned) -> DeadLetter:
    """The letter: what it was, who sent it, how often it killed and how."""
    delivery, evidence = poisoned.delivery, poisoned.evidence
    return DeadLetter(
        id=0,
        actor=mailbox.name,
        sender=delivery.sender,
        incarnation=delivery.incarnation,
        stream=mailbox.name,
        number=delivery.number,
        kind=delivery.kind,
        reason=f"poison: {evidence.reason}",
        deaths=evidence.deaths,
        time_us=mailbox.time_us(),
        body=delivery.raw,
    )


def bury(mailbox: Mailbox, poisoned: Poisoned) -> None:
    """Have the letter kept; Answered with a Burial comes as a message."""
    delivery = poisoned.delivery
    logger.error(
        "message {} of {} killed {} {} times: it becomes a dead letter",
        delivery.number,
        delivery.sender,
        mailbox.name,
        poisoned.evidence.deaths,
    )
    keep(mailbox, letter_of(mailbox, poisoned), context=Burial(poisoned))


def keep(mailbox: Mailbox, letter: DeadLetter, *, context: object) -> None:
    """Ask the writer to keep it; Answered with ``context`` comes as a message.

    A message that fits a frame only by itself is kept without its body, and says so.
    """
    writer = mailbox.link("writer")
    try:
        writer.ask(KeepDeadLetter(letter), context=context)
    except FrameError:
        reason = f"{letter.reason}; its {len(letter.body)} bytes were too many to keep"
        bare = msgspec.structs.replace(letter, reason=reason, body=b"")
        writer.ask(KeepDeadLetter(bare), context=context)


def is_buried(mailbox: Mailbox, burial: Burial, outcome: Any) -> bool:
    """Whether the letter is kept; if not, it is sent again in a while."""
    if isinstance(outcome, Kept):
        return True
    logger.warning("a dead letter cannot be kept, trying again: {}", outcome)
    mailbox.later(AGAIN, lambda: bury(mailbox, burial.poisoned))
    return False


def poison_error(mailbox: Mailbox, delivery: Delivery) -> PoisonError:
    """What whoever waits for an answer gets."""
    return PoisonError(
        f"message {delivery.number} of {delivery.sender!r} has killed actor {mailbox.name!r} more "
        "than once and is a dead letter now: see `holdfast deadletters list`"
    )
