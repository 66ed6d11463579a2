"""What ``doctor`` has looked at, and what that is like."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

Level = Literal["ok", "warning", "error"]


class Finding(NamedTuple):
    """One thing that was looked at.  Of what is not ok, ``text`` says what to do."""

    what: str
    level: Level
    text: str
