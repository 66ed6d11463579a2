"""One place of the code that is broken on purpose."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Mutation"]


class Mutation(NamedTuple):
    """``old``, which ``file`` has once, becomes ``new``; each of ``tests`` fails then."""

    name: str
    says: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
