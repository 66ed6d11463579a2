"""Rate limiters by key, and who waits at each, in order.

Lost with the process, unless a checkpoint has it: a limiter that begins anew is full, so once it
may let through what the last one would not have.  Time is nanoseconds from a clock that only goes
on.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

import msgspec

from holdfast.actors.limiters import SECOND, Bucket, Window, limiter_of
from holdfast.actors.messages.tracker import LimiterIs, Permit, RateLimit
from holdfast.errors import CapacityError, InvalidInputError

__all__ = ["HeldLimiter", "RateLimits"]

LEFT: Final = 1_000  # times of waiters that are no more, which the heap may hold

Ticket = TypeVar("Ticket")


class HeldLimiter(msgspec.Struct, frozen=True):
    """A limiter as a checkpoint keeps it; times are nanoseconds since 1970."""

    key: str
    limit: RateLimit
    held: list[tuple[int, int]]


class _Waiter(Generic[Ticket]):
    """Who waits for how much, until when."""

    __slots__ = ("cost", "ticket", "until")

    def __init__(self, ticket: Ticket, cost: int, until: int) -> None:
        self.ticket, self.cost, self.until = ticket, cost, until


class _Keyed(Generic[Ticket]):
    """A limiter and its queue."""

    __slots__ = ("granted", "limit", "limiter", "refused", "waiting")

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.limiter: Bucket | Window = limiter_of(limit)
        self.waiting: deque[_Waiter[Ticket]] = deque()  # first come, first served
        self.granted = self.refused = 0


class RateLimits(Generic[Ticket]):
    """All limiters.  ``is_there`` says whether who has a ticket still waits for its answer."""

    def __init__(
        self,
        configured: dict[str, RateLimit],
        *,
        max_limiters: int,
        max_waiting: int,
        is_there: Callable[[Ticket], bool],
    ) -> None:
        self._configured = {key: _Keyed[Ticket](limit) for key, limit in configured.items()}
        self._keyed: OrderedDict[str, _Keyed[Ticket]] = OrderedDict()  # least recent first
        self._max_limiters = max_limiters
        self._max_waiting = max_waiting
        self._is_there = is_there
        self._due: list[tuple[int, str]] = []  # a heap: when to look at a key again
        self.waiting = 0

    def acquire(
        self, key: str, cost: int, limit: RateLimit | None, until: int, ticket: Ticket, now: int
    ) -> Permit | None:
        """The answer, or None when it comes from ``advance``.

        Raises InvalidInputError, CapacityError; nothing is taken then.
        """
        keyed = self._found(key, limit, now)
        limiter = keyed.limiter
        if not 1 <= cost <= limiter.capacity:
            raise InvalidInputError(
                f"cost = {cost}: expected 1 to {limiter.capacity}, all that {key!r} ever allows"
            )
        wait = limiter.wait(cost, now)
        if keyed.waiting:
            wait = max(wait, limiter.wait(keyed.waiting[0].cost, now), 1)
        if not wait:
            return self._grant(keyed, cost, now)
        if now + wait > until:
            keyed.refused += 1
            return Permit(False, wait / SECOND, limiter.available(now))
        if self.waiting >= self._max_waiting:
            raise CapacityError(
                f"{self.waiting} wait for rate limits already, [actors.tracker] max_waiting: "
                "nothing is taken; try again later"
            )
        keyed.waiting.append(_Waiter(ticket, cost, until))
        self.waiting += 1
        heapq.heappush(self._due, (now + wait, key))
        heapq.heappush(self._due, (until, key))
        if len(self._due) > 4 * self.waiting + LEFT:
            self._tidy(now)
        return None

    @property
    def next_due(self) -> int | None:
        """When ``advance`` has something to do."""
        return self._due[0][0] if self._due else None

    def advance(self, now: int) -> Iterator[tuple[Ticket, Permit]]:
        """Who is answered now, and with what: each key in the order of asking."""
        keys: dict[str, None] = {}
        while self._due and self._due[0][0] <= now:
            keys[heapq.heappop(self._due)[1]] = None
        for key in keys:
            keyed = self._configured.get(key) or self._keyed.get(key)
            if keyed is not None and keyed.waiting:
                yield from self._serve(key, keyed, now)

    def describe(self, now: int) -> list[LimiterIs]:
        """Every limiter, those of the configuration first."""
        return [
            LimiterIs(
                key,
                keyed.limit,
                key in self._configured,
                keyed.limiter.available(now),
                len(keyed.waiting),
                keyed.granted,
                keyed.refused,
            )
            for key, keyed in (*self._configured.items(), *self._keyed.items())
        ]

    def held(self, now: int) -> list[HeldLimiter]:
        """What is not as a new one would be."""
        return [
            HeldLimiter(key, keyed.limit, keyed.limiter.held())
            for key, keyed in (*self._configured.items(), *self._keyed.items())
            if not keyed.limiter.is_full(now)
        ]

    def hold(self, held: list[HeldLimiter], now: int) -> None:
        """Take over what a checkpoint kept, where nothing newer is."""
        for one in held:
            keyed = self._configured.get(one.key)
            if keyed is not None:
                if keyed.limit == one.limit and not keyed.granted:
                    keyed.limiter.hold(one.held, now)
            elif one.key not in self._keyed and len(self._keyed) < self._max_limiters:
                keyed = self._keyed[one.key] = _Keyed(one.limit)
                keyed.limiter.hold(one.held, now)

    def reconfigure(
        self, configured: dict[str, RateLimit], *, max_limiters: int, max_waiting: int
    ) -> None:
        """Other limits from now on; one that has changed begins full, and who waits stays.

        One that is configured no more lasts as long as somebody uses it.
        """
        self._max_limiters, self._max_waiting = max_limiters, max_waiting
        before, self._configured = self._configured, {}
        for key, limit in configured.items():
            known = before.pop(key, None) or self._keyed.pop(key, None)
            keyed = self._configured[key] = _Keyed(limit)
            if known is not None and known.limit == limit:
                self._configured[key] = keyed = known
            elif known is not None:
                keyed.waiting = known.waiting
                for waiter in keyed.waiting:
                    if waiter.cost > keyed.limiter.capacity:
                        # It would wait for ever: it is refused at once.
                        waiter.cost, waiter.until = keyed.limiter.capacity, 0
            heapq.heappush(self._due, (0, key))
        self._keyed.update(before)

    # -- inside -------------------------------------------------------------------------------

    def _found(self, key: str, limit: RateLimit | None, now: int) -> _Keyed[Ticket]:
        keyed = self._configured.get(key) or self._keyed.get(key)
        if keyed is not None and limit in (None, keyed.limit):
            if key in self._keyed:
                self._keyed.move_to_end(key)
            return keyed
        if limit is None:
            raise InvalidInputError(
                f"key = {key[:80]!r}: there is no such rate limit: give limit=, or name it in "
                "[actors.tracker] limits"
            )
        is_in_use = keyed is not None and (keyed.waiting or not keyed.limiter.is_full(now))
        if key in self._configured or is_in_use:
            assert keyed is not None
            raise InvalidInputError(
                f"limit = {limit}: {key[:80]!r} is {keyed.limit} already, and in use"
            )
        if key not in self._keyed and len(self._keyed) >= self._max_limiters:
            self._evict(now)
        made = self._keyed[key] = _Keyed(limit)
        self._keyed.move_to_end(key)
        return made

    def _evict(self, now: int) -> None:
        """Forget one that is as a new one would be.  Raises CapacityError when none is."""
        for key, keyed in self._keyed.items():
            if not keyed.waiting and keyed.limiter.is_full(now):
                del self._keyed[key]
                return
        raise CapacityError(
            f"all {len(self._keyed)} rate limiters are in use, [actors.tracker] max_limiters: "
            "nothing is taken; use fewer keys, or raise it"
        )

    def _serve(self, key: str, keyed: _Keyed[Ticket], now: int) -> Iterator[tuple[Ticket, Permit]]:
        for waiter in [one for one in keyed.waiting if one.until <= now]:
            keyed.waiting.remove(waiter)
            self.waiting -= 1
            keyed.refused += 1
            wait = keyed.limiter.wait(waiter.cost, now)
            yield waiter.ticket, Permit(False, wait / SECOND, keyed.limiter.available(now))
        while keyed.waiting:
            first = keyed.waiting[0]
            is_there = self._is_there(first.ticket)
            if is_there and (wait := keyed.limiter.wait(first.cost, now)):
                heapq.heappush(self._due, (now + wait, key))
                return
            keyed.waiting.popleft()
            self.waiting -= 1
            if is_there:
                yield first.ticket, self._grant(keyed, first.cost, now)

    def _tidy(self, now: int) -> None:
        """Who was granted long before the end of its patience has left its time in the heap."""
        self._due = []
        for key, keyed in (*self._configured.items(), *self._keyed.items()):
            if keyed.waiting:
                self._due += [(now, key), *((one.until, key) for one in keyed.waiting)]
        heapq.heapify(self._due)

    def _grant(self, keyed: _Keyed[Ticket], cost: int, now: int) -> Permit:
        keyed.limiter.take(cost, now)
        keyed.granted += 1
        return Permit(True, 0.0, keyed.limiter.available(now))
