"""The limiters against brute force: never more than allowed in any span of time, nor much less."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from math import ceil

from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.actors.limiters import SECOND, Bucket, Window
from holdfast.actors.messages.tracker import SlidingWindow, TokenBucket

# Steps of time and costs; many steps of 0, and some exactly a token or a period long.
steps = st.lists(
    st.tuples(
        st.one_of(
            st.just(0),
            st.integers(0, 3 * SECOND),
            st.sampled_from([SECOND, SECOND // 10, SECOND // 100, 2 * SECOND, 1]),
        ),
        st.integers(1, 6),
    ),
    max_size=40,
)
START = 1_700_000_000 * SECOND


class TokenOracle:
    """A bucket counted in fractions of a token."""

    def __init__(self, rate: Fraction, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.tokens, self.at = Fraction(burst), 0

    def allows(self, cost: int, now: int) -> bool:
        self.tokens = min(Fraction(self.burst), self.tokens + self.rate * (now - self.at) / SECOND)
        self.at = now
        return self.tokens >= cost


@given(steps, st.sampled_from([1, 2, 4, 5, 10, 100, 1_000]), st.integers(1, 8))
def test_a_token_bucket_grants_what_counting_tokens_grants(
    steps: list[tuple[int, int]], rate: int, burst: int
) -> None:
    bucket, oracle = Bucket(TokenBucket(rate, burst)), TokenOracle(Fraction(rate), burst)
    now = START
    oracle.at = now
    for step, cost in steps:
        now += step
        cost = min(cost, burst)
        allowed = oracle.allows(cost, now)
        assert (bucket.wait(cost, now) == 0) == allowed
        assert bucket.available(now) == int(oracle.tokens)
        if allowed:
            bucket.take(cost, now)
            oracle.tokens -= cost
        else:
            later = now + bucket.wait(cost, now)
            assert bucket.wait(cost, later) == 0, "it is right about when"
            assert bucket.wait(cost, later - 1) == 1


@settings(max_examples=30)  # of 150 steps each
@given(st.floats(0.01, 1_000_000), st.integers(1, 8), st.lists(st.integers(1, 6), min_size=1))
@example(0.3333333333333333, 1, [1])  # a little under a third: three seconds are not enough
def test_no_span_of_time_gets_more_than_burst_and_rate(
    rate: float, burst: int, costs: list[int]
) -> None:
    """Whoever asks again at the very moment that it was told gets the most there is."""
    bucket = Bucket(TokenBucket(rate, burst))
    now = START
    total = 0
    for n in range(150):
        cost = min(costs[n % len(costs)], burst)
        now += bucket.wait(cost, now)
        bucket.take(cost, now)
        total += cost
        assert total <= burst + Fraction(rate) * (now - START) / SECOND
        # Nor much less: a token may come up to a nanosecond late.
        late = Fraction(rate) * (total + burst) / SECOND
        assert total + burst + 6 + late >= Fraction(rate) * (now - START) / SECOND


# In thousandths of a period: so that grants fall into one hundredth, and close to its ends.
# None: as soon as it is allowed.
moments = st.lists(
    st.tuples(
        st.one_of(
            st.none(), st.integers(0, 12), st.integers(0, 1_200), st.sampled_from([990, 1_000])
        ),
        st.integers(1, 6),
    ),
    max_size=40,
)


@given(moments, st.floats(0.01, 3), st.integers(1, 12))
@example([(0, 1), (9, 1), (991, 1), (0, 1)], 1.0, 2)
def test_no_period_of_a_sliding_window_gets_more_than_the_limit(
    moments: list[tuple[int | None, int]], period: float, limit: int
) -> None:
    window = Window(SlidingWindow(limit, period))
    length = ceil(period * SECOND)
    granted: list[tuple[int, int]] = []
    now = START

    def used(within: int) -> int:
        return sum(cost for time, cost in granted if time > now - within)

    for step, cost in moments:
        cost = min(cost, limit)
        now += window.wait(cost, now) if step is None else step * length // 1_000
        wait = window.wait(cost, now)
        if wait == 0:
            assert used(length) + cost <= limit
            window.take(cost, now)
            granted.append((now, cost))
        else:
            # It may err towards less, by what came within a hundredth of a period more.
            assert used(length + length // 100) + cost > limit
            assert deepcopy(window).wait(cost, now + wait) == 0, "it is right about when"
        assert len(window.held()) <= 102
    for now, _ in granted:
        assert used(length) - sum(cost for time, cost in granted if time > now) <= limit


@given(steps, st.booleans())
def test_what_a_checkpoint_kept_allows_no_more_than_before(
    steps: list[tuple[int, int]], is_bucket: bool
) -> None:
    def new() -> Bucket | Window:
        return Bucket(TokenBucket(2, 6)) if is_bucket else Window(SlidingWindow(6, 1.5))

    limiter = new()
    now = START
    for step, cost in steps:
        now += step
        if limiter.wait(cost, now) == 0:
            limiter.take(cost, now)
        other = new()
        other.hold(limiter.held(), now)
        assert [other.wait(n, now) for n in range(1, 7)] == [
            limiter.wait(n, now) for n in range(1, 7)
        ]
        early = new()  # restored after the wall clock was set back
        early.hold(limiter.held(), now - 3_600 * SECOND)
        assert early.wait(6, now - 3_600 * SECOND) <= 3 * SECOND
