"""What a supervisor asks of a child's process besides its work: at most one thing at a time.

Lost with the supervisor; a child that dies meanwhile has answered with that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["DIED", "Change"]

DIED: Final = "it died meanwhile"


class Change:
    """The question to one child that is not answered yet, if there is one."""

    def __init__(self) -> None:
        self._id = 0
        self._answer: Callable[[str], None] | None = None

    def begin(self, answer: Callable[[str], None] | None) -> int:
        """Another question; its id.  ``answer`` gets the error, "" if there is none."""
        self.answered(self._id, DIED)
        self._id += 1
        self._answer = answer
        return self._id

    def answered(self, ident: int, error: str) -> None:
        """Of this question or of an earlier one, which nobody waits for any more."""
        if ident == self._id and self._answer is not None:
            answer, self._answer = self._answer, None
            answer(error)

    def died(self) -> None:
        """The process is no more."""
        self.answered(self._id, DIED)
