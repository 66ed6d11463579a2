"""What stands in front of the database for sessions, and may outlive the actor that feeds it.

The database is the truth and is never behind for longer than the sessions actor says; a front only
saves what is not there yet, and lets others read along.  It may be gone at any moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from holdfast.storage.session_records import Session, SessionItem

__all__ = ["FrontChange", "FrontState", "Left", "SessionFront"]


class Left(msgspec.Struct, frozen=True):
    """What is in front and was not known to be in the database: the newest of each session, items
    beside them.  ``ids`` are all that are named so, whether there is something of them or not."""

    ids: list[str] = []
    sessions: list[Session] = []
    items: list[SessionItem] = []


class FrontChange(msgspec.Struct, frozen=True):
    """Carried out as a whole or not at all.

    ``put`` with their data, ``use`` without: the data of their version may be there.  ``owed`` ids
    and items are not in the database yet, ``paid`` ones are.
    """

    put: list[Session] = []
    use: list[Session] = []
    drop: list[str] = []
    owed: list[str] = []
    paid: list[str] = []
    owed_items: list[SessionItem] = []
    paid_items: list[SessionItem] = []


class FrontState(msgspec.Struct, frozen=True):
    """``kind`` "" is none at all; ``problem`` why it is not there, "" when it is.

    ``failures`` is how often it was lost, or could not be reached, since the actor started.
    """

    kind: str = ""
    problem: str = ""
    failures: int = 0


class SessionFront(Protocol):
    """Nothing here raises because the front is gone: ``is_open`` is false then, and everything that
    it had counts for nothing until it has been written again."""

    @property
    def is_open(self) -> bool:
        """What it was given since it was opened is there, and survives the actor."""

    @property
    def state(self) -> FrontState:
        """How it is."""

    def open(self) -> bool:
        """Try to, unless it is too soon after the last time; whether it has been opened now."""

    def look(self) -> None:
        """Find out whether it still is what it was."""

    def read(self, ids: Sequence[str]) -> dict[str, Session]:
        """Those of them that were written since it was opened."""

    def write(self, change: FrontChange, now_us: int) -> list[str]:
        """Carry it out; ids of ``use`` whose data is not there, and of which nothing was done."""

    def left(self) -> Left:
        """What the database may not have."""

    def tidy(self) -> bool:
        """Remove some of what was not written since it was opened; whether there may be more."""

    def filled(self) -> None:
        """Everything that lives has been written since it was opened."""

    def close(self) -> None:
        """Let go of it.  What is in it stays."""
