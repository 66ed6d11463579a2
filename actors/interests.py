"""What waiting fetches ask for, indexed, so that an event meets only who may want it.

A plain data structure; the log actor owns one.  Lost with its process: nothing, whoever waits asks
again.

A filter with a session is found by the session, one without by its source, all others by the type
of the event; verdicts on types are kept until the set of filters changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

from holdfast.actors.blocks import Block
from holdfast.storage.filters import EventFilter, Predicate, glob_matches

__all__ = ["Interest", "Interests"]

MOST_HITS: Final = 1_000  # that an interest remembers; what comes then is looked for again later
MOST_TYPES: Final = 10_000  # verdicts on types that are kept: a program may make up types
MOST_IDLE: Final = 256  # filters that nobody waits with just now; who asks once asks again

_ANY: Final = EventFilter()

W = TypeVar("W")  # who waits


class Interest(Generic[W]):
    """One filter, who waits with it, and which events have come for them."""

    __slots__ = ("filter", "hits", "rest", "upto", "waiting")

    def __init__(self, filter: EventFilter, rest: Predicate | None) -> None:
        self.filter = filter  # without the position: that is each waiting one's own
        self.rest = rest  # what the index has not looked at already
        self.waiting: dict[object, W] = {}
        self.hits: list[int] = []  # numbers of events, in order
        self.upto: int | None = None  # the hits are whole up to there only: there were too many


class Interests(Generic[W]):
    """The filters that somebody waits with."""

    def __init__(self) -> None:
        self.count = 0  # who waits
        self._all: dict[EventFilter, Interest[W]] = {}
        self._by_session: dict[str, list[Interest[W]]] = {}
        self._by_source: dict[str, list[Interest[W]]] = {}
        self._others: list[Interest[W]] = []
        self._of_type: dict[str, list[Interest[W]]] = {}  # of the others
        self._idle: dict[EventFilter, None] = {}  # since when, by their order

    def wait(self, filter: EventFilter, key: object, who: W) -> Interest[W]:
        """Have ``who`` wait for events that match, wherever it stands."""
        wanted = msgspec.structs.replace(filter, after=None)
        interest = self._all.get(wanted)
        if interest is None:
            interest = self._add(wanted)
        self._idle.pop(wanted, None)
        interest.waiting[key] = who
        self.count += 1
        return interest

    def leave(self, interest: Interest[W], key: object) -> None:
        """It waits no more."""
        del interest.waiting[key]
        self.count -= 1
        if not interest.waiting:
            interest.hits, interest.upto = [], None
            self._idle[interest.filter] = None
            if len(self._idle) > MOST_IDLE:
                longest = next(iter(self._idle))
                del self._idle[longest]
                self._remove(longest)

    def waiting(self) -> Iterator[Interest[W]]:
        """Those that somebody waits with."""
        return (interest for interest in self._all.values() if interest.waiting)

    def look(self, first: int, block: Block, after: int) -> list[Interest[W]]:
        """Note the events of a block behind number ``after``; who has a hit and had none."""
        hit: list[Interest[W]] = []
        by_session, by_source, of_type = self._by_session, self._by_source, self._of_type
        for seq, (time_us, type, source, session) in enumerate(block.mentions(), first):
            if seq <= after:
                continue
            asked = of_type.get(type)
            found = self._asked_by(type) if asked is None else asked
            if session is not None and session in by_session:
                found = found + by_session[session]
            if source in by_source:
                found = found + by_source[source]
            for interest in found:
                if interest.waiting and (
                    interest.rest is None or interest.rest(time_us, type, source, session, seq)
                ):
                    if not interest.hits:
                        hit.append(interest)
                    _note(interest, seq)
        return hit

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
        replace: Callable[..., EventFilter] = msgspec.structs.replace
        if wanted.session is not None:
            rest, home = replace(wanted, session=None), self._by_session
            shelf = home.setdefault(wanted.session, [])
        elif wanted.source is not None:
            rest = replace(wanted, source=None)
            shelf = self._by_source.setdefault(wanted.source, [])
        else:
            rest, shelf = replace(wanted, types=()), self._others
            self._of_type.clear()
        interest: Interest[W] = Interest(wanted, None if rest == _ANY else rest.compile())
        shelf.append(interest)
        self._all[wanted] = interest
        return interest

    def _remove(self, wanted: EventFilter) -> None:
        interest = self._all.pop(wanted)
        if wanted.session is not None:
            _take_from(self._by_session, wanted.session, interest)
        elif wanted.source is not None:
            _take_from(self._by_source, wanted.source, interest)
        else:
            self._others.remove(interest)
            self._of_type.clear()


def _note(interest: Interest[W], seq: int) -> None:
    if len(interest.hits) < MOST_HITS:
        interest.hits.append(seq)
    elif interest.upto is None:
        interest.upto = seq - 1


def _take_from(shelves: dict[str, list[Interest[W]]], name: str, interest: Interest[W]) -> None:
    shelves[name].remove(interest)
    if not shelves[name]:
        del shelves[name]
