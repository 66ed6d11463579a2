"""What the query actor answers about dead letters and losses.  No state of its own."""

from __future__ import annotations

from holdfast.actors.messages.query import (
    DeadLetterIs,
    DeadLettersAre,
    DroppedAre,
    GetDeadLetter,
    ListDeadLetters,
    ListDropped,
)
from holdfast.actors.replies import REPLY_BYTES, bounded
from holdfast.storage.ports import Reader

__all__ = ["answer_about_losses"]


def answer_about_losses(
    reader: Reader | None, message: ListDeadLetters | GetDeadLetter | ListDropped
) -> DeadLettersAre | DeadLetterIs | DroppedAre:
    """``reader`` is None as long as there is no database; then there is nothing."""
    match message:
        case ListDeadLetters(limit=limit):
            return _letters(reader, bounded(limit))
        case GetDeadLetter(id=id):
            return DeadLetterIs(None if reader is None else reader.dead_letter(id))
        case ListDropped(limit=limit):
            if reader is None:
                return DroppedAre([], 0)
            return DroppedAre(reader.dropped(bounded(limit)), reader.count_dropped())


def _letters(reader: Reader | None, limit: int) -> DeadLettersAre:
    if reader is None:
        return DeadLettersAre([])
    letters = reader.dead_letters(limit, REPLY_BYTES // 2)  # the last may be as long again
    return DeadLettersAre(letters, more=len(letters) < reader.count_dead_letters())
