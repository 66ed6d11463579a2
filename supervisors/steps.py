"""Work in several steps with waits between them, for a process that never blocks.

A generator yields what begins a wait, and is sent its outcome.  Nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

__all__ = ["Begin", "Steps", "take", "together", "within"]

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


def together(begins: Sequence[Begin]) -> Begin:
    """All of the waits at once; the outcome is what went wrong first, once all have ended."""

    def begin(done: Callable[[str], None]) -> None:
        left, first = len(begins), ""

        def ended(outcome: str) -> None:
            nonlocal left, first
            left, first = left - 1, first or outcome
            if not left:
                done(first)

        for each in begins:
            each(ended)

    return begin if begins else lambda done: done("")


def within(
    seconds: float, begin: Begin, *, later: Callable[[float, Callable[[], None]], Any], late: str
) -> Begin:
    """The wait, or ``late`` when it has not ended by then; ``later`` calls back."""

    def begin_both(done: Callable[[str], None]) -> None:
        is_over = False

        def end(outcome: str) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                done(outcome)

        later(seconds, lambda: end(late))
        begin(end)

    return begin_both
