"""Rate limits by key: turns, patience, bounds."""

from __future__ import annotations

import pytest

from holdfast.actors.limiters import SECOND
from holdfast.actors.messages.tracker import Permit, RateLimit, SlidingWindow, TokenBucket
from holdfast.actors.rate_limits import RateLimits
from holdfast.errors import CapacityError, InvalidInputError

LIMIT = TokenBucket(rate=1, burst=2)


class Rates:
    """Rate limits with a clock moved by hand, and what was answered."""

    def __init__(self, configured: dict[str, RateLimit] | None = None, **bounds: int) -> None:
        self.now = 0
        self.gone: set[str] = set()
        self.limits: RateLimits[str] = RateLimits(
            configured or {},
            max_limiters=bounds.get("limiters", 10),
            max_waiting=bounds.get("waiting", 10),
            is_there=lambda ticket: ticket not in self.gone,
        )

    def acquire(
        self,
        ticket: str = "?",
        key: str = "k",
        cost: int = 1,
        limit: RateLimit | None = LIMIT,
        wait: float = 0,
    ) -> Permit | None:
        until = self.now + round(wait * SECOND)
        return self.limits.acquire(key, cost, limit, until, ticket, self.now)

    def advance(self, seconds: float) -> list[tuple[str, bool]]:
        """Let time pass as a timer does, from due to due."""
        end = self.now + round(seconds * SECOND)
        answered = []
        while (due := self.limits.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            answered += [(who, one.granted) for who, one in self.limits.advance(self.now)]
        self.now = end
        return answered


def test_what_is_not_granted_says_when_and_costs_nothing() -> None:
    rates = Rates()
    assert rates.acquire(cost=2) == Permit(True, 0.0, 0)
    assert rates.acquire(cost=2) == Permit(False, 2.0, 0)
    assert rates.acquire() == Permit(False, 1.0, 0)
    rates.advance(1)
    assert rates.acquire() == Permit(True, 0.0, 0)


def test_who_waits_is_granted_in_the_order_of_asking() -> None:
    rates = Rates()
    rates.acquire(cost=2)
    assert rates.acquire("a", cost=2, wait=60) is None
    assert rates.acquire("b", cost=1, wait=60) is None
    assert rates.acquire("c", cost=1, wait=60) is None
    assert rates.advance(1.5) == [], "who asks for less does not overtake"
    refused = rates.acquire("d", wait=0)
    assert refused is not None
    assert not refused.granted
    assert rates.advance(0.5) == [("a", True)]
    assert rates.advance(1) == [("b", True)]
    assert rates.advance(1) == [("c", True)]
    assert rates.limits.waiting == 0


def test_who_has_lost_patience_is_told_so_and_costs_nothing() -> None:
    rates = Rates()
    rates.acquire(cost=2)
    assert rates.acquire("a", cost=2, wait=2.5) is None
    assert rates.acquire("b", cost=1, wait=2.6) is None
    assert rates.acquire("impatient", cost=2, wait=1.0) == Permit(False, 2.0, 0), "at once"
    assert rates.advance(2) == [("a", True)]
    assert rates.advance(0.7) == [("b", False)]
    assert rates.advance(10) == []
    assert rates.acquire(cost=2) == Permit(True, 0.0, 0)


def test_who_is_gone_costs_nothing() -> None:
    rates = Rates()
    rates.acquire(cost=2)
    for ticket in ("a", "b", "c"):
        assert rates.acquire(ticket, wait=60) is None
    rates.gone |= {"a", "b"}
    assert rates.advance(1) == [("c", True)]
    assert rates.limits.waiting == 0


def test_only_so_many_wait() -> None:
    rates = Rates(waiting=2)
    rates.acquire(cost=2)
    rates.acquire("a", wait=60)
    rates.acquire("b", wait=60)
    with pytest.raises(CapacityError, match="max_waiting"):
        rates.acquire("c", wait=60)
    assert rates.advance(2) == [("a", True), ("b", True)]
    assert rates.acquire("c", wait=60) is None


def test_a_limiter_that_is_full_again_makes_room_for_another() -> None:
    rates = Rates(limiters=2)
    rates.acquire(key="a", cost=2)
    rates.advance(1)
    rates.acquire(key="b")
    with pytest.raises(CapacityError, match="max_limiters"):
        rates.acquire(key="c")
    rates.advance(1)
    assert rates.acquire(key="c") == Permit(True, 0.0, 1)
    assert {one.key for one in rates.limits.describe(rates.now)} in ({"a", "c"}, {"b", "c"})


def test_limits_of_the_configuration_are_fixed_and_never_forgotten() -> None:
    rates = Rates({"llm": SlidingWindow(limit=2, period=1)}, limiters=1)
    assert rates.acquire(key="llm", limit=None, cost=2) == Permit(True, 0.0, 0)
    rates.advance(5)
    with pytest.raises(InvalidInputError, match="already"):
        rates.acquire(key="llm", limit=LIMIT)
    rates.acquire(key="other")
    assert [one.key for one in rates.limits.describe(rates.now)] == ["llm", "other"]


def test_another_limit_takes_the_place_of_one_that_is_not_in_use() -> None:
    rates = Rates()
    rates.acquire(cost=2)
    with pytest.raises(InvalidInputError, match="in use"):
        rates.acquire(limit=TokenBucket(1, 5), cost=4)
    rates.advance(2)
    assert rates.acquire(limit=TokenBucket(1, 5), cost=4) == Permit(True, 0.0, 1)


@pytest.mark.parametrize(("key", "cost"), [("nobody's", 1), ("k", 0), ("k", 3)])
def test_what_can_never_be_granted_is_refused_by_name(key: str, cost: int) -> None:
    rates = Rates()
    rates.acquire()
    with pytest.raises(InvalidInputError, match=r"(key|cost) = "):
        rates.acquire(key=key, limit=None, cost=cost)


def test_times_of_those_who_were_granted_early_do_not_pile_up() -> None:
    rates = Rates()
    for n in range(5_000):
        limit = TokenBucket(1_000, 1)
        rates.acquire(limit=limit)
        assert rates.acquire(f"a{n}", limit=limit, wait=3_600) is None
        assert rates.advance(0.01) == [(f"a{n}", True)]
    assert len(rates.limits._due) < 2_000
    assert rates.limits.waiting == 0
