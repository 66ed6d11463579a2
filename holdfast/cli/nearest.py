"""The name that somebody may have meant, among those that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["hint", "nearest"]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The closest of ``names``; None when none is close."""
    return next(iter(get_close_matches(name, sorted(set(names)), n=1)), None)


def hint(name: str, names: Iterable[str], *, none: str = "there are none") -> str:
    """What to say of an unknown ``name``: the one that was meant, else all there are."""
    there = sorted(set(names))
    close = nearest(name, there)
    if close is not None:
        return f"did you mean {close}?"
    return f"there are {', '.join(there)}" if there else none
