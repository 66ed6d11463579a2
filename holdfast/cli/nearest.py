"""The name that somebody may have meant, among those that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["hint", "nearest"]

MOST: Final = 8  # that are looked at


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The closest of ``names``; None when none is close.

    Of the same letters in another order it is the likelier one: ``start`` of ``strat``.
    """
    close = get_close_matches(name, sorted(set(names)), n=MOST)
    swapped = (each for each in close if sorted(each) == sorted(name))
    return next(swapped, next(iter(close), None))


def hint(name: str, names: Iterable[str], *, none: str = "there are none") -> str:
    """What to say of an unknown ``name``: the one that was meant, else all there are."""
    there = sorted(set(names))
    close = nearest(name, there)
    if close is not None:
        return f"did you mean {close}?"
    return f"there are {', '.join(there)}" if there else none
