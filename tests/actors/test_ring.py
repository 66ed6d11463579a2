"""The ring: loose events stand where they came."""

from __future__ import annotations

from holdfast.actors.blocks import Block
from holdfast.actors.ring import Ring
from holdfast.storage.records import EventFilter, RawEvent


def event(type: str) -> RawEvent:
    return 0, type, "s", None, None, None, None, None, 0, None, "null"


def test_a_loose_event_is_after_the_numbers_before_it() -> None:
    ring = Ring(capacity=10, daemon="test")
    ring.append(1, Block.of([event("1"), event("2")]))
    ring.remember([event("loose")])
    ring.append(3, Block.of([event("3")]))

    def seen(wanted: EventFilter) -> list[str]:
        committed = ring.matching(wanted, reverse=False)
        return [found.type for found in ring.with_loose(committed, wanted, reverse=False)]

    assert seen(EventFilter()) == ["1", "2", "loose", "3"]
    assert seen(EventFilter(after=1)) == ["2", "loose", "3"]
    assert seen(EventFilter(after=2)) == ["loose", "3"]
    assert seen(EventFilter(after=3)) == []
    assert seen(EventFilter(before=3)) == ["1", "2"]
