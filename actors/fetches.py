"""Fetches: subscribers' questions for the next events, answered when there are some.

A plain data structure but for the deliveries that it answers; the log actor owns one.  Lost with
its process: nothing.  Where a subscriber stands is the subscriber's to know, it asks again.

New events are looked at in one go, and those who wait are answered in one go; then the log does
something else for a while, so that subscribers get a bounded share of its time, however many they
are and however much comes.  The busier they are the longer their answers are.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import count, islice
from typing import Final

import msgspec

from holdfast.actors.delivery import LATER, Delivery, Later
from holdfast.actors.interests import Interest, Interests
from holdfast.actors.messages.log import Fetch, Fetched
from holdfast.actors.pages import Page, Pages
from holdfast.actors.patience import Patience
from holdfast.actors.ring import Ring
from holdfast.actors.wire import array_head
from holdfast.errors import DeliveryError, InvalidInputError

__all__ = ["Expire", "Fetches", "Serve"]

MOST: Final = 20_000  # that wait; some 20 MB
MOST_EVENTS: Final = 1_000  # in an answer
MOST_WAIT: Final = 60.0  # seconds; bounds how long the fetch of a dead process is kept
SLICE: Final = 0.003  # seconds of answering in a row
# The log pauses so many times as long as it has looked and answered: subscribers get a fifth.
PAUSE: Final = 4.0
COST: Final = 30e-6  # seconds for what each answer costs besides: reading the ask, sending

_Key = tuple[str, str, int]  # sender, its incarnation, its number for the subscription


class Serve(msgspec.Struct, frozen=True):
    """It is time to look at new events."""


class Expire(msgspec.Struct, frozen=True):
    """Somebody may have waited long enough."""


class _Waiting:
    """One fetch."""

    __slots__ = ("after", "deadline", "delivery", "fetch", "interest", "is_over", "key", "limit")

    def __init__(self, key: _Key, fetch: Fetch, delivery: Delivery, deadline: float) -> None:
        self.key = key
        self.fetch = fetch
        self.delivery = delivery
        self.deadline = deadline  # monotonic
        self.limit = min(fetch.limit, MOST_EVENTS)
        self.after = fetch.filter.after or 0  # nothing up to there is asked for, or there
        self.interest: Interest[_Waiting] | None = None  # None: has to look at the ring
        self.is_over = False


class Fetches:
    """``after`` delivers a message to the log later; that is when ``serve`` and ``expire`` run."""

    def __init__(
        self,
        *,
        ring: Ring,
        daemon: str,
        monotonic: Callable[[], float],
        after: Callable[[float, object], object],
    ) -> None:
        self._ring = ring
        self._daemon = daemon
        self._monotonic = monotonic
        self._after = after
        self._all: dict[_Key, _Waiting] = {}
        self._arrived: deque[_Waiting] = deque()  # have to look at the ring
        self._interests: Interests[_Waiting] = Interests()
        self._called: deque[Interest[_Waiting]] = deque()  # have something for who waits
        self._next = 0.0  # no serving before this (monotonic)
        self._is_due = False  # a Serve is on its way
        self._patience: Patience[_Key, _Waiting] = Patience()
        self._expires = math.inf  # when the next Expire comes (monotonic)
        self._pages = Pages(ring)

    def __len__(self) -> int:
        return len(self._all)

    def take(self, fetch: Fetch, delivery: Delivery) -> Later | Fetched:
        """Answer soon, or when there is something.  Raises InvalidInputError, DeliveryError."""
        fetch.filter.check()
        if fetch.limit < 1:
            raise InvalidInputError(f"limit = {fetch.limit}: expected at least 1")
        if fetch.filter.after is None:
            return self._fetched(Page(), upto=self._ring.last_seq)
        key = delivery.sender, delivery.incarnation, fetch.id
        self._drop(key)
        if len(self._all) >= MOST:
            raise DeliveryError(f"{MOST} fetches of events wait already: subscribe to fewer")
        wait = min(max(0.0, fetch.wait), MOST_WAIT)  # in this order NaN is no time
        waiting = _Waiting(key, fetch, delivery, self._monotonic() + wait)
        self._all[key] = waiting
        delivery.set_aside()
        self._arrive(waiting)
        return LATER

    def forget(self, sender: str, incarnation: str) -> None:
        """The sender has gone."""
        for key in [key for key in self._all if key[:2] == (sender, incarnation)]:
            self._drop(key)

    def grown(self) -> None:
        """There may be more in the ring."""
        if self._all and self._ring.last_seq > self._interests.looked:
            self._call()

    def serve(self) -> None:
        """Look at what is new, answer whom it concerns."""
        self._is_due = False
        began = self._monotonic()
        end = began + SLICE
        is_done = self._look(end)
        answered = 0
        for turn in count():  # taken in turn, so that neither keeps the other waiting
            if self._called and (turn % 2 or not self._arrived):
                answered += self._answer_all(self._called[0], end)
                if not self._called[0].is_called:
                    self._called.popleft()
            elif self._arrived:
                answered += self._answer_or_wait(self._arrived.popleft())
            else:
                break
            if self._monotonic() > end:
                break
        self._pages.forget()
        now = self._monotonic()
        self._next = now + PAUSE * (now - began + answered * COST)
        if self._called or self._arrived or not is_done:
            self._call()

    def expire(self) -> None:
        """Answer who has waited long enough: there was nothing."""
        self._expires = math.inf
        for waiting in self._patience.over(self._monotonic()):
            if waiting.interest is not None and not waiting.interest.is_called:
                upto = max(waiting.after, self._interests.looked)
                self._end(waiting, self._fetched(Page(), upto=upto))
            # else it is about to be answered
        self._expect(self._patience.next)

    # -- when ---------------------------------------------------------------------------------

    def _call(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._after(max(0.0, self._next - self._monotonic()), Serve())

    def _expect(self, deadline: float) -> None:
        if deadline < self._expires:
            self._expires = deadline
            self._after(max(0.0, deadline - self._monotonic()), Expire())

    # -- what is new --------------------------------------------------------------------------

    def _look(self, end: float) -> bool:
        """Offer what is new to those who wait, until then; whether that was all."""
        ring, interests = self._ring, self._interests
        if not len(interests):
            interests.restart(ring.last_seq)
            return True
        if interests.looked + 1 < ring.first_seq:  # more has come than the ring holds
            for interest in list(interests.waiting()):
                self._answer_all(interest, math.inf)
            interests.restart(ring.first_seq - 1)
        for held in ring.since(interests.looked):
            self._called.extend(interests.look(held.seqs, held.block))
            if self._monotonic() > end:
                return False
        interests.looked = ring.last_seq  # the newest numbers may be of events deleted since
        return True

    def _arrive(self, waiting: _Waiting) -> None:
        """Who comes back in time waits on; all others look for themselves."""
        interest = self._interests.find(waiting.fetch.filter)
        if interest is None or interest.since > waiting.after or interest.behind(waiting.after, 1):
            self._arrived.append(waiting)
            self._call()
        else:
            self._wait(waiting)
            self.grown()

    def _wait(self, waiting: _Waiting) -> None:
        waiting.interest = self._interests.wait(waiting.fetch.filter, waiting.key, waiting)
        self._expect(self._patience.add(waiting.key, waiting, waiting.deadline))

    # -- answers ------------------------------------------------------------------------------

    def _answer_all(self, interest: Interest[_Waiting], end: float) -> int:
        """Those who wait with a filter that has something, until then; how many that were."""
        answered = 0
        for waiting in list(interest.waiting.values()):
            if answered and self._monotonic() > end:
                return answered
            self._end(waiting, self._remembered(interest, waiting))
            answered += 1
        interest.is_called = False
        return answered

    def _answer_or_wait(self, waiting: _Waiting) -> int:
        """One who has just come; whether it was answered."""
        if waiting.is_over:
            return 0
        filter = waiting.fetch.filter
        interest = self._interests.find(filter)
        if interest is not None and interest.since <= waiting.after:
            answer = self._remembered(interest, waiting)
        else:
            answer = self._looked_for(waiting)
        if answer.seqs or not answer.covered or waiting.fetch.wait <= 0:
            self._interests.remember(filter)
            self._end(waiting, answer)
            return 1
        waiting.after = answer.upto
        self._wait(waiting)
        return 0

    def _remembered(self, interest: Interest[_Waiting], waiting: _Waiting) -> Fetched:
        """What the interest has noted for one."""
        if interest.since > waiting.after:
            return self._looked_for(waiting)
        found = interest.behind(waiting.after, waiting.limit + 1)
        return self._found(found, waiting, max(waiting.after, self._interests.looked))

    def _looked_for(self, waiting: _Waiting) -> Fetched:
        """What the ring has for one."""
        if waiting.after + 1 < self._ring.first_seq:
            return self._not_covered()
        wanted = msgspec.structs.replace(waiting.fetch.filter, after=waiting.after)
        found = list(islice(self._ring.numbers(wanted), waiting.limit + 1))
        return self._found(found, waiting, max(waiting.after, self._ring.last_seq))

    def _found(self, seqs: list[int], waiting: _Waiting, upto: int) -> Fetched:
        """The first of ``seqs``, as many as fit; ``upto`` if that is all of them."""
        if seqs and seqs[0] < self._ring.first_seq:
            return self._not_covered()  # the ring has moved on meanwhile
        page = self._pages.page(seqs[: waiting.limit])
        is_all = not seqs or (page.upto >= seqs[-1] and len(seqs) <= waiting.limit)
        return self._fetched(page, upto=upto if is_all else page.upto)

    def _fetched(self, page: Page, *, upto: int) -> Fetched:
        raw = msgspec.Raw(b"".join((array_head(len(page.events)), *page.events)))
        epoch, payloads = self._ring.epoch, page.payloads
        return Fetched(page.seqs, raw, self._daemon, upto, True, epoch, payloads)

    def _not_covered(self) -> Fetched:
        nothing = msgspec.Raw(array_head(0))
        return Fetched([], nothing, self._daemon, self._ring.last_seq, False, self._ring.epoch)

    def _end(self, waiting: _Waiting, answer: Fetched) -> None:
        self._drop(waiting.key)
        waiting.delivery.set(answer)

    def _drop(self, key: _Key) -> None:
        waiting = self._all.pop(key, None)
        if waiting is not None:
            waiting.is_over = True
            if waiting.interest is not None:
                self._patience.remove(key, waiting.deadline)
                self._interests.leave(waiting.interest, key)
