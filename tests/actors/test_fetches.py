"""Fetches against a plain list: every subscriber gets what it asked for, once and in order."""

from __future__ import annotations

import random
from itertools import pairwise

import msgspec
import pytest

from holdfast.actors.blocks import Block
from holdfast.actors.delivery import LATER
from holdfast.actors.fetches import PAUSE, SLICE, Expire, Fetches, Serve
from holdfast.actors.interests import KEPT, MOST_IDLE
from holdfast.actors.messages.log import Fetch, Fetched
from holdfast.actors.pages import MOST_BYTES
from holdfast.actors.ring import Ring
from holdfast.errors import InvalidInputError
from holdfast.storage.records import EventFilter, RawEvent
from tests.clock import ManualClock

CAPACITY = 300
LIMIT, WAIT = 50, 5.0

FILTERS = [
    EventFilter(),
    EventFilter(types=("a",)),
    EventFilter(types=("a", "b:*")),
    EventFilter(types=("b:*",), session="s1"),
    EventFilter(session="s1"),
    EventFilter(session="s2"),
    EventFilter(source="x"),
    EventFilter(source="x", types=("*2",)),
    EventFilter(subject="x"),
    EventFilter(correlation="y", types=("a",)),
    EventFilter(subject="z", correlation="x", session="s3"),
    EventFilter(since_us=1_200),
    EventFilter(types=("never",)),
]


def event(n: int, chance: random.Random) -> RawEvent:
    type = chance.choice(["a", "b:1", "b:2", "c"])
    source, session = chance.choice("xyz"), chance.choice([None, "s1", "s2", "s3"])
    subject, correlation = chance.choice([None, *"xyz"]), chance.choice([None, *"xyz"])
    time_us = 1_000 + n
    return (time_us, type, source, subject, session, correlation, None, None, 0, None, str(n))


class Ask:
    """What a fetch of a subscriber comes as; keeps its answer."""

    def __init__(self, sender: str) -> None:
        self.sender = sender
        self.incarnation = "1"
        self.is_aside = False
        self.answers: list[Fetched] = []

    def set_aside(self) -> None:
        self.is_aside = True

    def set(self, answer: Fetched) -> None:
        self.answers.append(answer)


class World:
    """A ring, what waits at it, time, and all events there have ever been."""

    def __init__(self, *, capacity: int = CAPACITY, cost: float = 0.0) -> None:
        self.clock = ManualClock()
        self.ring = Ring(capacity=capacity, daemon="d")
        self.every: list[RawEvent] = []
        self.timers: list[tuple[float, object]] = []
        self.served = 0.0  # seconds
        self._cost = cost  # seconds that each look at the clock takes
        self.fetches = Fetches(
            ring=self.ring, daemon="d", monotonic=self._monotonic, after=self._after
        )

    def _monotonic(self) -> float:
        self.clock.advance(self._cost)
        return self.clock.monotonic()

    def _after(self, delay: float, message: object) -> None:
        assert delay >= 0
        self.timers.append((self.clock.monotonic() + delay, message))

    def commit(self, block: list[RawEvent]) -> None:
        self.ring.append(len(self.every) + 1, Block.of(block))
        self.every += block
        self.fetches.grown()

    def pass_time(self, seconds: float = 0.0) -> None:
        """Until then, and what is due by then."""
        until = self.clock.monotonic() + seconds
        while self.timers and min(when for when, _ in self.timers) <= until:
            self.pass_one()
        self.clock.advance(max(0.0, until - self.clock.monotonic()))

    def pass_one(self) -> None:
        """Until the next thing that is due, and that."""
        due = min(self.timers, key=lambda timer: timer[0])
        self.timers.remove(due)
        self.clock.advance(max(0.0, due[0] - self.clock.monotonic()))
        began = self.clock.monotonic()
        match due[1]:
            case Serve():
                self.fetches.serve()
            case Expire():
                self.fetches.expire()
        self.served += self.clock.monotonic() - began

    def ask(
        self, filter: EventFilter, after: int | None = 0, *, id: int = 1, wait: float = WAIT
    ) -> Ask:
        ask = Ask("s")
        wanted = msgspec.structs.replace(filter, after=after)
        answer = self.fetches.take(Fetch(id, wanted, LIMIT, wait), ask)  # type: ignore[arg-type]  # all of a Delivery that it uses
        if answer is not LATER:
            assert isinstance(answer, Fetched)
            ask.answers.append(answer)
        return ask


def answer_of(ask: Ask) -> Fetched:
    assert len(ask.answers) == 1
    return ask.answers[0]


def data_of(answer: Fetched) -> list[str]:
    return [raw[-1] for raw in msgspec.msgpack.decode(answer.events)]


class Subscriber:
    """Asks again when it is answered; reads what is not covered from the whole list."""

    def __init__(self, world: World, id: int, filter: EventFilter, after: int) -> None:
        self.world = world
        self.id = id
        self.filter = filter
        self.joined = self.position = after
        self.got: list[tuple[int, str]] = []
        self.uncovered = 0
        self.ask: Ask | None = None

    def go_on(self) -> None:
        if self.ask is None:
            self.ask = self.world.ask(self.filter, self.position, id=self.id)
            return
        if not self.ask.answers:
            return
        answer, self.ask = answer_of(self.ask), None
        assert answer.upto >= self.position
        assert len(answer.seqs) <= LIMIT
        if answer.covered:
            self.got += zip(answer.seqs, data_of(answer), strict=True)
        else:
            self.uncovered += 1
            self.got += self.between(self.position, answer.upto)
        self.position = answer.upto

    def between(self, after: int, upto: int) -> list[tuple[int, str]]:
        """What it should get of the numbers behind ``after`` up to ``upto``."""
        matches = self.filter.compile()
        rows = enumerate(self.world.every[after:upto], after + 1)
        return [(seq, e[-1]) for seq, e in rows if matches(e[:6], seq)]


@pytest.mark.parametrize("seed", range(10))
def test_every_subscriber_gets_every_event_that_matches_once_and_in_order(seed: int) -> None:
    """Whatever comes together in one look: slow ones, newcomers, more than the ring holds."""
    chance = random.Random(seed)
    world = World(cost=chance.choice([0.0, SLICE / 10, SLICE]))
    subscribers: list[Subscriber] = []
    for step in range(150):
        if step < 100 and chance.random() < 0.2:
            joins_at = chance.choice([0, len(world.every), chance.randint(0, len(world.every))])
            filter = chance.choice(FILTERS)
            subscribers.append(Subscriber(world, step, filter, joins_at))
        if chance.random() < 0.5:
            count = chance.choice([1, 1, 7, 60, 400])
            first = len(world.every)
            world.commit([event(first + n, chance) for n in range(count)])
        for subscriber in subscribers:
            if chance.random() < 0.6:
                subscriber.go_on()
        world.pass_time(chance.choice([0.0, 0.001, 0.02, 1.0]))
    for _ in range(2_000):
        for subscriber in subscribers:
            subscriber.go_on()
        world.pass_time(1.0)
        if all(each.position == len(world.every) for each in subscribers):
            break
    assert len(subscribers) > 5
    for subscriber in subscribers:
        assert subscriber.got == subscriber.between(subscriber.joined, len(world.every))
    assert sum(each.uncovered for each in subscribers) > 0


def test_who_waits_is_answered_when_something_matches_and_not_before() -> None:
    world = World()
    ask = world.ask(EventFilter(session="s"))
    world.pass_time(1.0)
    world.commit([(1, "t", "x", None, "other", None, None, None, 0, None, "1")])
    world.pass_time(1.0)
    assert ask.is_aside
    assert not ask.answers
    world.commit([(1, "t", "x", None, "s", None, None, None, 0, None, "2")])
    world.pass_time(1.0)
    answer = answer_of(ask)
    assert (answer.seqs, data_of(answer), answer.upto, answer.covered) == ([2], ["2"], 2, True)
    assert len(world.fetches) == 0


def test_a_wait_ends_and_says_how_far_was_looked() -> None:
    world = World()
    ask = world.ask(EventFilter(types=("never",)), wait=2.0)
    other = world.ask(EventFilter(types=("never",)), id=2, wait=1.0)
    world.commit([event(n, random.Random(1)) for n in range(30)])
    world.pass_time(1.5)
    assert not ask.answers
    assert answer_of(other).upto == 30
    world.pass_time(1.0)
    assert (answer_of(ask).seqs, answer_of(ask).upto) == ([], 30)


def test_without_a_position_the_newest_number_comes_at_once() -> None:
    world = World()
    world.commit([event(n, random.Random(1)) for n in range(30)])
    answer = answer_of(world.ask(EventFilter(), after=None))
    assert (answer.seqs, answer.upto, answer.covered) == ([], 30, True)


def test_a_newer_fetch_takes_the_place_of_an_older_one() -> None:
    """So that a program that gives up waiting, again and again, leaves nothing behind."""
    world = World()
    first = world.ask(EventFilter(types=("a",)))
    world.pass_time(0.1)
    second = world.ask(EventFilter(types=("a",)))
    assert len(world.fetches) == 1
    world.commit([(1, "a", "x", None, None, None, None, None, 0, None, "1")])
    world.pass_time(10.0)
    assert not first.answers
    assert answer_of(second).seqs == [1]


def test_a_sender_that_has_gone_is_forgotten() -> None:
    world = World()
    ask = world.ask(EventFilter())
    world.pass_time(0.1)
    world.fetches.forget("s", "2")
    assert len(world.fetches) == 1
    world.fetches.forget("s", "1")
    world.commit([event(1, random.Random(1))])
    world.pass_time(10.0)
    assert not ask.answers
    assert len(world.fetches) == 0


def test_an_answer_is_bounded_in_bytes_and_goes_on_where_it_ended() -> None:
    world = World()
    large = '"' + "x" * (MOST_BYTES // 4) + '"'
    world.commit([(1, "t", "x", None, None, None, None, None, 0, None, large) for _ in range(10)])
    position, seqs = 0, []
    for _ in range(10):
        ask = world.ask(EventFilter(), position)
        world.pass_time(1.0)
        answer = answer_of(ask)
        assert len(bytes(answer.events)) < MOST_BYTES + 2 * len(large)
        seqs += answer.seqs
        position = answer.upto
        if position == 10:
            break
    assert seqs == list(range(1, 11))


def test_who_is_further_back_than_the_ring_is_sent_to_the_database() -> None:
    world = World()
    for n in range(0, 2 * CAPACITY, 50):
        world.commit([event(n + m, random.Random(n)) for m in range(50)])
    ask = world.ask(EventFilter(), 3)
    world.pass_time(1.0)
    assert (answer_of(ask).covered, answer_of(ask).upto) == (False, 2 * CAPACITY)


def test_who_waited_while_more_came_than_the_ring_holds_is_sent_there_too() -> None:
    world = World()
    ask = world.ask(EventFilter(types=("never",)))
    world.pass_time(0.1)
    for _ in range(5):  # in one go, before anybody looks
        world.ring.append(
            world.ring.last_seq + 1, Block.of([event(n, random.Random(n)) for n in range(CAPACITY)])
        )
    world.fetches.grown()
    world.pass_time(1.0)
    assert (answer_of(ask).seqs, answer_of(ask).upto) == ([], 0)  # so it asks again
    again = world.ask(EventFilter(types=("never",)))
    world.pass_time(1.0)
    assert not answer_of(again).covered


def test_subscribers_get_a_fifth_of_the_time_however_many_there_are() -> None:
    world = World(cost=SLICE / 50)
    chance = random.Random(7)
    subscribers = [Subscriber(world, n, FILTERS[n % 8], 0) for n in range(100)]
    began = world.clock.monotonic()
    world.served = 0.0
    for step in range(300):
        world.commit([event(step * 20 + n, chance) for n in range(20)])
        for subscriber in subscribers:
            subscriber.go_on()
        world.pass_time(0.001)
    assert world.served / (world.clock.monotonic() - began) < 1.1 / (1 + PAUSE)


def test_many_who_wait_for_the_same_are_answered_slice_by_slice() -> None:
    """So that nobody else waits for the log while a thousand followers hear of an event."""
    world = World(cost=SLICE / 20)
    asks = [world.ask(EventFilter(), id=id) for id in range(300)]
    world.pass_time(1.0)
    world.commit([event(1, random.Random(1))])
    longest = 0.0
    while not all(ask.answers for ask in asks):
        before = world.served
        world.pass_one()
        longest = max(longest, world.served - before)
    assert longest < 2 * SLICE
    assert all(answer_of(ask).seqs == [1] for ask in asks)


def test_who_comes_is_not_kept_waiting_by_those_who_are_called() -> None:
    world = World(cost=SLICE)  # one of them is served at a time
    chance = random.Random(1)
    busy = [Subscriber(world, n, EventFilter(session="s1"), 0) for n in range(20)]
    for subscriber in busy:
        subscriber.go_on()
    world.pass_time(1.0)
    newcomer = world.ask(EventFilter(types=("c",)), id=100)
    for n in range(10):
        world.commit([event(n * 10 + m, chance) for m in range(10)])
        world.pass_one()
    assert newcomer.answers


def test_the_ends_of_many_waits_are_a_few_timers() -> None:
    world = World()
    asks = [world.ask(EventFilter(types=("never",)), id=id, wait=1.0) for id in range(500)]
    world.pass_time(0.5)
    assert len(world.timers) < 10
    world.pass_time(1.0)
    assert all(answer_of(ask).seqs == [] for ask in asks)
    assert world.timers == []


def test_filters_that_come_and_go_leave_no_more_than_a_bounded_number() -> None:
    world = World()
    for n in range(3 * MOST_IDLE):
        ask = world.ask(EventFilter(session=f"s{n}"), wait=0.0)
        once = world.ask(EventFilter(since_us=n), id=2, wait=0.0)
        world.pass_time(1.0)
        assert answer_of(ask).seqs == []
        assert answer_of(once).seqs == []
    assert len(world.fetches._interests) <= MOST_IDLE + 1


def test_a_filter_remembers_its_newest_hits_only() -> None:
    world = World(capacity=10 * KEPT)
    ask = world.ask(EventFilter())
    world.pass_time(1.0)
    world.commit([event(n, random.Random(n)) for n in range(5 * KEPT)])
    world.pass_time(1.0)
    assert answer_of(ask).seqs == list(range(1, LIMIT + 1))  # looked for in the ring instead
    interest = world.fetches._interests.find(EventFilter())
    assert interest is not None
    assert len(interest.hits) <= 2 * KEPT


def test_what_no_query_may_ask_is_refused() -> None:
    world = World()
    with pytest.raises(InvalidInputError, match="patterns"):
        world.ask(EventFilter(types=tuple("abcdefgh" * 9)))
    fetch = Fetch(1, EventFilter(after=0), 0)
    with pytest.raises(InvalidInputError, match="limit"):
        world.fetches.take(fetch, Ask("s"))  # type: ignore[arg-type]  # as above
    assert len(world.fetches) == 0


def test_numbers_in_order_are_found_from_any_position() -> None:
    world = World()
    chance = random.Random(3)
    for _ in range(30):
        first = len(world.every)
        world.commit([event(first + n, chance) for n in range(chance.choice([1, 9, 40]))])
    for filter in FILTERS:
        for after in (world.ring.first_seq, len(world.every) - 70, len(world.every)):
            wanted = msgspec.structs.replace(filter, after=after)
            found = list(world.ring.numbers(wanted))
            assert found == [e.seq for e in world.ring.matching(wanted, reverse=False)]
    assert all(low < high for low, high in pairwise(world.ring.numbers(EventFilter())))
