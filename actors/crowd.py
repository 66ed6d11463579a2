"""Connections that have still to show what they are for: not greeted, or inside a frame.

What is said here bounds the memory and the descriptors that peers take who mean no good, or are
broken.  Lost with the process, as the connections are.
"""

from __future__ import annotations

import resource
from typing import Final, Protocol

__all__ = ["Crowd", "Member", "descriptor_limit"]

NEWCOMERS: Final = 128  # that have not greeted; a sender greets in the moment in which it connects
HELD: Final = 64 * 1024 * 1024  # bytes of unfinished frames; eight of the largest
RESERVE: Final = 64  # descriptors that connections leave to the actor itself


class Member(Protocol):
    """A connection."""

    @property
    def has_greeted(self) -> bool:
        """It is known whose it is."""

    def read_rest(self) -> None:
        """Take in what has arrived."""

    def close(self, reason: str) -> None:
        """Close; its sender connects again."""


class Crowd:
    """The connections of one actor that have still to show what they are for."""

    def __init__(self) -> None:
        self._newcomers: dict[Member, None] = {}  # oldest first, some of which have greeted since
        self._unfinished: dict[Member, int] = {}  # bytes; the oldest frame first
        self._held = 0  # the sum of those

    def enter(self, member: Member) -> None:
        """It has connected; the oldest of too many that have not greeted is sent away."""
        newcomers = self._newcomers
        if len(newcomers) >= NEWCOMERS:
            for each in [each for each in newcomers if each.has_greeted]:
                del newcomers[each]
        while len(newcomers) >= NEWCOMERS:
            oldest = next(iter(newcomers))
            oldest.read_rest()  # its greeting may be there
            if newcomers.pop(oldest, 0) is None and not oldest.has_greeted:
                oldest.close(f"one of over {NEWCOMERS} that have not greeted")
        newcomers[member] = None

    def holds(self, member: Member, size: int) -> None:
        """So many bytes of an unfinished frame are kept for it; the oldest gives way."""
        before = self._unfinished.get(member, 0)
        if not size:
            self._unfinished.pop(member, None)
        else:
            self._unfinished[member] = size
        self._held += size - before
        while self._held > HELD:
            next(iter(self._unfinished)).close("unfinished for longest, and too much waits")

    def leave(self, member: Member) -> None:
        """It is closed."""
        self._newcomers.pop(member, None)
        self._held -= self._unfinished.pop(member, 0)


def descriptor_limit() -> int:
    """Numbers of descriptors below it are for connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - min(RESERVE, soft // 4)
