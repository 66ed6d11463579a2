"""What an event names as its cause: a key, or ``daemon/seq`` where that event has none.

A key is unique per source only.  Among several events of one key the cause is the one that
stands nearest to the effect.  Nothing is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, Protocol, TypeVar

__all__ = ["Caused", "chain_from", "nearest", "number_in"]

_NUMBERED: Final = re.compile(r"(.+)/([1-9][0-9]{0,18})", re.ASCII | re.DOTALL)
_MAX_SEQ: Final = 2**63 - 1


class Caused(Protocol):
    """What tells how near two events are."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def cause(self) -> str | None:
        """The name of what led to it."""

    @property
    def source(self) -> str:
        """Who told of it."""

    @property
    def correlation(self) -> str | None:
        """What it belongs to."""

    @property
    def root(self) -> str | None:
        """The first cause."""


E = TypeVar("E", bound=Caused)


def number_in(name: str) -> tuple[str, int] | None:
    """Daemon and number, if the name may be one of an event without a key."""
    match = _NUMBERED.fullmatch(name)
    if match is None or int(match[2]) > _MAX_SEQ:
        return None
    return match[1], int(match[2])


def nearest(effect: Caused, name: str, candidates: Iterable[E]) -> E | None:
    """The one of the events called ``name`` that led to ``effect``.

    Of its own tree rather than of another; then of its correlation, of its source; then by number.
    """

    def nearness(event: E) -> tuple[bool, bool, bool, int]:
        root = name if event.root is None else event.root
        return (
            root == effect.root,
            event.correlation == effect.correlation,
            event.source == effect.source,
            -abs(effect.seq - event.seq),
        )

    return max(candidates, key=nearness, default=None)


def chain_from(start: E | None, named: Callable[[str], Iterable[E]], limit: int) -> list[E]:
    """An event and what led to it, the first cause last; ``named`` are those of a name.

    It ends where a cause is not there (any more), and before an event that is in it already.
    """
    chain: list[E] = []
    seen: set[int] = set()
    event = start
    while event is not None and event.seq not in seen and len(chain) < limit:
        chain.append(event)
        seen.add(event.seq)
        name = event.cause
        event = None if name is None else nearest(event, name, named(name))
    return chain
