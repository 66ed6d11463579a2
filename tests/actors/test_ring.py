"""The ring against a plain list: whatever blocks events came in, queries find the same."""

from __future__ import annotations

import random

import pytest

from holdfast.actors.blocks import Block
from holdfast.actors.ring import Ring
from holdfast.storage.records import EventFilter, RawEvent, Row

CAPACITY = 400


def event(n: int, chance: random.Random) -> RawEvent:
    kind = chance.choices(["tool:call", "tool:result", "rare"], [50, 50, 1])[0]
    session = chance.choice([None, "s1", "s2"])
    subject, correlation = chance.choice([None, "u"]), chance.choice([None, "c1", "c2"])
    return (1_000 + n, kind, "agent", subject, session, correlation, None, None, 0, None, str(n))


@pytest.mark.parametrize("seed", range(8))
def test_a_query_of_the_ring_finds_what_a_plain_list_has(seed: int) -> None:
    """Few matches in a block are decoded one by one, many together: it makes no difference."""
    chance = random.Random(seed)
    ring = Ring(capacity=CAPACITY, daemon="d")
    every: list[RawEvent] = []
    while len(every) < 1_500:
        block = [event(len(every) + n, chance) for n in range(chance.choice([1, 7, 100, 256]))]
        ring.append(len(every) + 1, Block.of(block))
        every += block
    first = len(every) - CAPACITY + 1
    assert (ring.first_seq, ring.last_seq, len(ring)) == (first, len(every), CAPACITY)
    held = list(enumerate(every, 1))[-CAPACITY:]
    assert [(e.seq, e.data) for e in ring.newest(50)] == [(seq, e[-1]) for seq, e in held[-50:]]
    for wanted in (
        EventFilter(),
        EventFilter(types=("rare",)),
        EventFilter(types=("tool:*",), session="s1"),
        EventFilter(subject="u", types=("rare",)),
        EventFilter(correlation="c1", session="s2"),
        EventFilter(after=first + 200),
        EventFilter(types=("rare",), after=first + 10, before=first + 390),
        EventFilter(since_us=1_000 + first + 100, until_us=1_000 + first + 110),
    ):
        matches = wanted.compile()
        expected = [(seq, e[-1]) for seq, e in held if matches(e[:6], seq)]
        found = [(e.seq, e.data) for e in ring.matching(wanted, reverse=False)]
        assert found == expected
        assert [(e.seq, e.data) for e in ring.matching(wanted, reverse=True)] == expected[::-1]
        assert ring.count(wanted) == len(expected)


def rows_of(seqs: list[int], chance: random.Random) -> list[Row]:
    """Rows as the database has them; every fifth with its data apart."""
    found: list[Row] = []
    for seq in seqs:
        ref = f"{seq}/1" if seq % 5 == 0 else None
        found.append((seq, "d", *event(seq, chance), ref))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_holes_that_retention_left_change_no_number_and_hide_no_event(seed: int) -> None:
    """Refilled, added to and told of deletions in any order: it holds what a plain list has."""
    chance = random.Random(seed)
    there = [seq for seq in range(1, 1_001) if chance.random() < 0.6]
    ring = Ring(capacity=CAPACITY, daemon="d")
    database = rows_of(there, chance)
    ring.refill(database[-50:], 1_000, is_all=False)
    while ring.room:
        older = [row for row in database if row[0] < ring.first_seq][-min(60, ring.room) :]
        ring.prepend(older, is_all=len(older) < min(60, ring.room))
    more = rows_of([seq for seq in range(1_001, 1_041) if chance.random() < 0.5], chance)
    ring.add_rows(more, 1_040)
    ring.append(1_041, Block.of([event(seq, chance) for seq in range(1_041, 1_061)]))
    held = [(row[0], row[12], row[13]) for row in (*database, *more)]
    there_are = [*held, *((seq, str(seq), None) for seq in range(1_041, 1_061))]
    assert len(ring) == CAPACITY
    for _ in range(30):
        first = chance.randrange(1, 1_061)
        last = first + 20 + chance.randrange(40)
        ring.forget([(first, last - 20), (last - 10, last)])
        gone = {*range(first, last - 19), *range(last - 10, last + 1)}
        there_are = [each for each in there_are if each[0] not in gone]
        held = [each for each in there_are if each[0] >= ring.first_seq]
        assert len(held) == len(ring) <= CAPACITY
        found = ring.matching(EventFilter(), reverse=False)
        assert [(e.seq, e.data, e.payload) for e in found] == held
        assert [e.seq for e in ring.newest(30)] == [seq for seq, _, _ in held[-30:]]
        assert ring.count(EventFilter(after=500)) == sum(seq > 500 for seq, _, _ in held)
    assert ring.last_seq == 1_060
    ring.append(1_061, Block.of([event(1_061, chance)]))
    assert ring.newest(1)[0].seq == 1_061


def test_a_ring_that_holds_all_there_is_says_so() -> None:
    chance = random.Random(0)
    ring = Ring(capacity=CAPACITY, daemon="d")
    ring.refill(rows_of([500, 700], chance), 900, is_all=True)
    assert (ring.first_seq, ring.last_seq, ring.room) == (500, 900, 0)
    ring.refill([], 900, is_all=True)
    assert (ring.first_seq, ring.last_seq, len(ring), ring.room) == (901, 900, 0, 0)
