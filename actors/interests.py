"""What fetches ask for, indexed, so that an event meets only who may want it.

A plain data structure; the log actor owns one.  Lost with its process: nothing, whoever waits asks
again.

A filter with a session is found by that, one without by its correlation, its subject or its
source, all others by the type of the event; verdicts on types are kept until the set of filters
changes.  Each filter remembers the numbers of the newest events that match, so that who comes
back in time need not look again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from holdfast.actors.blocks import Block
from holdfast.storage.filters import EventFilter, Predicate, glob_matches

__all__ = ["Interest", "Interests"]

KEPT: Final = 256  # hits of a filter at least; twice as many at most
# What a filter is found by, whichever of them it has first, and where that is in an event.
SHELVES: Final = ((4, "session"), (5, "correlation"), (3, "subject"), (2, "source"))
MOST_TYPES: Final = 10_000  # verdicts on types that are kept: a program may make up types
MOST_IDLE: Final = 256  # filters that nobody waits with just now; who asks once asks again

_ANY: Final = EventFilter()
_replace: Final[Callable[..., EventFilter]] = msgspec.structs.replace

W = TypeVar("W")  # who waits


class Interest(Generic[W]):
    """One filter, who waits with it, and which events came lately."""

    __slots__ = ("filter", "hits", "is_called", "is_new", "rest", "since", "waiting")

    def __init__(self, filter: EventFilter, rest: Predicate | None, since: int) -> None:
        self.filter = filter  # without the position: that is each waiting one's own
        self.rest = rest  # what the index has not looked at already
        self.since = since  # the hits are all there are behind that number
        self.waiting: dict[object, W] = {}
        self.is_called = False  # somebody is about to answer those who wait
        self.is_new = False  # it has a hit in the block that is looked at
        self.hits: array[int] = array("q")  # numbers, in order

    def trim(self) -> None:
        """Forget the oldest hits, when there are many."""
        if len(self.hits) > 2 * KEPT:
            self.since = self.hits[-KEPT - 1]
            del self.hits[:-KEPT]

    def behind(self, seq: int, limit: int) -> list[int]:
        """The first numbers behind one that is not before ``since``."""
        at = bisect_right(self.hits, seq)
        return self.hits[at : at + limit].tolist()


class Interests(Generic[W]):
    """The filters that somebody waits with, or did a moment ago."""

    def __init__(self) -> None:
        self.looked = 0  # events up to there were looked at
        self._all: dict[EventFilter, Interest[W]] = {}
        # Where in an event it is that the filters of a shelf name, and they by what they name.
        self._shelves: dict[int, dict[str, list[Interest[W]]]] = {at: {} for at, _ in SHELVES}
        self._others: list[Interest[W]] = []
        self._of_type: dict[str, list[Interest[W]]] = {}  # of the others
        self._idle: dict[EventFilter, None] = {}  # nobody waits with them; longest first

    def __len__(self) -> int:
        return len(self._all)

    def find(self, filter: EventFilter) -> Interest[W] | None:
        """The filter's, wherever it stands."""
        return self._all.get(_replace(filter, after=None))

    def wait(self, filter: EventFilter, key: object, who: W) -> Interest[W]:
        """``who`` waits with a filter from now on."""
        wanted = _replace(filter, after=None)
        interest = self._all.get(wanted) or self._add(wanted)
        self._idle.pop(wanted, None)
        interest.waiting[key] = who
        return interest

    def remember(self, filter: EventFilter) -> None:
        """Somebody may wait with it soon."""
        wanted = _replace(filter, after=None)
        if wanted not in self._all:
            self._rest(self._add(wanted))

    def leave(self, interest: Interest[W], key: object) -> None:
        """It waits no more."""
        del interest.waiting[key]
        if not interest.waiting:
            self._rest(interest)

    def waiting(self) -> Iterator[Interest[W]]:
        """Those that somebody waits with."""
        return (interest for interest in self._all.values() if interest.waiting)

    def restart(self, seq: int) -> None:
        """Nobody looks at what came up to there."""
        self.looked = seq
        for interest in self._all.values():
            interest.since = seq
            del interest.hits[:]

    def look(self, seqs: Sequence[int], block: Block) -> list[Interest[W]]:
        """Note the events of a block that are new; those that are to be called."""
        hit: list[Interest[W]] = []
        of_type = self._of_type
        shelves = [(at, shelf) for at, shelf in self._shelves.items() if shelf]
        for seq, mentioned in zip(seqs, block.mentions(), strict=True):
            if seq <= self.looked:
                continue
            type = mentioned[1]
            asked = of_type.get(type)
            found = self._asked_by(type) if asked is None else asked
            for at, shelf in shelves:
                if mentioned[at] in shelf:
                    found = found + shelf[mentioned[at]]  # type: ignore[index]  # None is in none
            for interest in found:
                if interest.rest is None or interest.rest(mentioned, seq):
                    interest.hits.append(seq)
                    if not interest.is_new:
                        interest.is_new = True
                        hit.append(interest)
        self.looked = seqs[-1]
        return [interest for interest in hit if self._is_to_be_called(interest)]

    @staticmethod
    def _is_to_be_called(interest: Interest[W]) -> bool:
        interest.is_new = False
        interest.trim()
        if interest.is_called or not interest.waiting:
            return False
        interest.is_called = True
        return True

    def _asked_by(self, type: str) -> list[Interest[W]]:
        if len(self._of_type) >= MOST_TYPES:
            self._of_type.clear()
        self._of_type[type] = asked = [
            interest
            for interest in self._others
            if not interest.filter.types
            or any(glob_matches(pattern, type) for pattern in interest.filter.types)
        ]
        return asked

    def _add(self, wanted: EventFilter) -> Interest[W]:
        at, field = _shelf_of(wanted)
        rest = _replace(wanted, **{field: getattr(_ANY, field)})
        predicate = None if rest == _ANY else rest.compile()
        interest: Interest[W] = Interest(wanted, predicate, self.looked)
        if at is None:
            self._others.append(interest)
            self._of_type.clear()
        else:
            self._shelves[at].setdefault(getattr(wanted, field), []).append(interest)
        self._all[wanted] = interest
        return interest

    def _rest(self, interest: Interest[W]) -> None:
        """Nobody waits with it: keep it for a while, if that costs next to nothing."""
        self._idle[interest.filter] = None
        if interest.rest is not None and _shelf_of(interest.filter)[0] is None:
            self._remove(interest.filter)
        elif len(self._idle) > MOST_IDLE:
            self._remove(next(iter(self._idle)))

    def _remove(self, wanted: EventFilter) -> None:
        del self._idle[wanted]
        interest = self._all.pop(wanted)
        at, field = _shelf_of(wanted)
        if at is None:
            self._others.remove(interest)
            self._of_type.clear()
            return
        shelf, name = self._shelves[at], getattr(wanted, field)
        shelf[name].remove(interest)
        if not shelf[name]:
            del shelf[name]


def _shelf_of(wanted: EventFilter) -> tuple[int | None, str]:
    """Where in an event it is that the filter is found by, None for its type; the field."""
    for at, field in SHELVES:
        if getattr(wanted, field) is not None:
            return at, field
    return None, "types"
