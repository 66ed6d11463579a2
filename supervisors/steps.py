"""Work in several steps with waits between them, for a process that never blocks.

A generator yields what begins a wait, and is sent its outcome.  Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["Begin", "Steps", "take"]

R = TypeVar("R")

# Begins a wait, and has its argument called with the outcome: later, never within the call itself.
Begin = Callable[[Callable[[str], None]], None]
# An outcome is what went wrong, or "".
Steps = Generator[Begin, str, R]


def take(steps: Steps[R], done: Callable[[R], None]) -> None:
    """Take them one after the other; ``done`` gets what the generator returns."""

    def go_on(outcome: str | None) -> None:
        try:
            begin = next(steps) if outcome is None else steps.send(outcome)
        except StopIteration as end:
            result: Any = end.value
            done(result)
            return
        begin(go_on)

    go_on(None)
