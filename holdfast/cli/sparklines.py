"""Counts over time as one line of marks, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["sparkline"]

_MARKS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN: Final = " .:-=+*#@"  # for screens without those


def sparkline(counts: Sequence[int], *, plain: bool = False) -> str:
    """A mark each, in proportion to the largest; a blank is 0, and nothing else is."""
    marks = _PLAIN if plain else _MARKS
    top = max(counts, default=0)
    steps = len(marks) - 1
    # Rounded up: one event among a thousand is a mark, too.
    return "".join(marks[-(-count * steps // top)] if count else " " for count in counts)
