"""The ring against a plain list: whatever blocks events came in, queries find the same."""

from __future__ import annotations

import random

import pytest

from holdfast.actors.blocks import Block
from holdfast.actors.ring import Ring
from holdfast.storage.records import EventFilter, RawEvent

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
