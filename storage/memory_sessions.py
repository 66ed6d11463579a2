"""Sessions without anything in front of the database but the memory of their actor.

Lost with the process: what that memory has and the database has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from holdfast.storage.session_ports import FrontChange, FrontState, Left
from holdfast.storage.session_records import Session

__all__ = ["MemorySessions"]


class MemorySessions:
    """Implements ``holdfast.storage.session_ports.SessionFront``: never open, keeps nothing."""

    is_open: Final = False
    state: Final = FrontState()

    def open(self) -> bool:
        """There is nothing to open."""
        return False

    def look(self) -> None:
        """Nothing can be lost."""

    def read(self, ids: Sequence[str]) -> dict[str, Session]:
        """None."""
        return {}

    def write(self, change: FrontChange, now_us: int) -> list[str]:
        """Keeps nothing."""
        return []

    def left(self) -> Left:
        """Nothing."""
        return Left()

    def tidy(self) -> bool:
        """Nothing to remove."""
        return False

    def filled(self) -> None:
        """Nothing to note."""

    def close(self) -> None:
        """Nothing to let go of."""
