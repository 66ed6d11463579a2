"""Where a reader stands, as text that it can store: ``epoch.seq``.

The epoch counts the openings of a database by a writer.  A cursor of a later epoch than the
database has, or behind its newest event, is of another database; one behind what a copy had, and
older than its restore (storage/timelines.py), is of events that are gone.
"""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from holdfast.errors import CursorError, InvalidInputError
from holdfast.storage.records import Position
from holdfast.storage.timelines import is_lost

__all__ = ["MAX_SEQ", "Cursor"]

MAX_SEQ: Final = 2**63 - 1
_TEXT: Final = re.compile(r"(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})", re.ASCII)


class Cursor(msgspec.Struct, frozen=True):
    """Behind event ``seq``, read in ``epoch``; 0.0 is before the first one."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that ``str`` wrote.  Raises InvalidInputError."""
        match = _TEXT.fullmatch(text)
        if match is not None:
            epoch, seq = map(int, match.groups())
            if epoch <= MAX_SEQ and seq <= MAX_SEQ:
                return cls(epoch, seq)
        shown = repr(text if len(text) <= 40 else text[:40] + "...")
        raise InvalidInputError(f"cursor {shown}: expected EPOCH.SEQ, such as 3.1042")

    def check(self, position: Position) -> None:
        """Raise CursorError when it is not of the database that stands at ``position``."""
        forks = position.forks
        is_gone = is_lost(forks, self.epoch, self.seq, current=position.epoch)
        if is_gone or self.epoch > position.epoch or self.seq > position.last_seq:
            raise CursorError(str(self), current=f"{position.epoch}.{position.last_seq}")
