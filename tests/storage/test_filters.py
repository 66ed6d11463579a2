"""The ring's predicate and the database's SQL ask for the same events."""

from __future__ import annotations

import itertools
import random

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import sqlite_event_reader
from holdfast.storage.filters import MAX_GLOB, MAX_TYPES, EventFilter, glob_matches
from holdfast.storage.records import StoredEvent
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.making import append, event

TYPES = ("tool:call", "tool:result", "llm:call", "a[b]c", "a[c", "a]", "é:ü", "TOOL:CALL", "*", "?")

FILTERS = [
    EventFilter(),
    EventFilter(types=("tool:call",)),
    EventFilter(types=("tool:*", "llm:call")),
    EventFilter(types=("*:call",)),
    EventFilter(types=("a[b]*",)),
    EventFilter(types=("a[*", "a]")),
    EventFilter(types=("?:?",)),
    EventFilter(types=("?",)),
    EventFilter(types=("**l*l",)),
    EventFilter(types=("*",)),
    EventFilter(types=("nothing*",)),
    EventFilter(session="s1"),
    EventFilter(session="s1", types=("tool:*",)),
    EventFilter(session="none"),
    EventFilter(source="b"),
    EventFilter(source="b", types=("t*",)),
    EventFilter(since_us=1_000_020),
    EventFilter(until_us=1_000_020),
    EventFilter(since_us=1_000_010, until_us=1_000_030, types=("tool:*",)),
    EventFilter(after=20),
    EventFilter(before=20),
    EventFilter(after=10, before=40, session="s2", source="a"),
    EventFilter(after=10, before=11),
    EventFilter(after=1000),
    EventFilter(after=-5, before=-1),
    EventFilter(subject="u1"),
    EventFilter(subject="u1", session="s1", types=("tool:*",)),
    EventFilter(correlation="c1"),
    EventFilter(correlation="c2", subject="u2", session="s2", source="a"),
    EventFilter(correlation="c1", after=10, before=60),
    EventFilter(correlation="none"),
]


@pytest.fixture
def stored(database: SqliteDatabase, reader: SqliteReader) -> list[StoredEvent]:
    """All events: 100 of all types, in three sessions, with times that are not in order."""
    pick = random.Random(1)
    frame = [
        event(
            pick.randrange(50),
            type=type,
            source=pick.choice("ab"),
            session=pick.choice((None, "s1", "s2")),
            subject=pick.choice((None, "u1", "u2")),
            correlation=pick.choice((None, "c1", "c2")),
        )
        for _, type in zip(range(100), itertools.cycle(TYPES), strict=False)
    ]
    append(database, frame)
    return [StoredEvent(*row) for row in reader.newest(1000)]


@pytest.mark.parametrize("near", [1, 10, 5_000])
@pytest.mark.parametrize("asked", FILTERS, ids=str)
def test_ring_and_database_agree(
    stored: list[StoredEvent],
    reader: SqliteReader,
    asked: EventFilter,
    near: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite_event_reader, "NEAR", near)
    in_memory = [event for event in stored if asked.matches(event)]
    assert reader.count(asked) == len(in_memory)
    for reverse, limit in itertools.product((False, True), (0, 3, 1000)):
        expected = (in_memory[::-1] if reverse else in_memory)[:limit]
        assert reader.events(asked, limit, reverse) == expected, (reverse, limit)


def test_an_uncommitted_event_is_after_every_number_and_before_none() -> None:
    mentioned = (0, "t", "s", None, None, None)
    assert EventFilter(after=10).compile()(mentioned, None)
    assert not EventFilter(before=10).compile()(mentioned, None)
    uncommitted = StoredEvent(0, "d", 0, "t", "s")
    assert EventFilter(after=10).matches(uncommitted)
    assert not EventFilter(before=10).matches(uncommitted)


def test_a_glob_of_many_stars_is_not_exponential() -> None:
    assert not glob_matches("*a" * 100 + "b", "a" * 5_000)


@pytest.mark.parametrize(
    "asked",
    [EventFilter(types=("t",) * (MAX_TYPES + 1)), EventFilter(types=("*" * (MAX_GLOB + 1),))],
    ids=["too many", "too long"],
)
def test_an_oversized_filter_is_refused(asked: EventFilter, reader: SqliteReader) -> None:
    for ask in (asked.compile, lambda: reader.count(asked), lambda: reader.events(asked, 1)):
        with pytest.raises(InvalidInputError, match="types"):
            ask()


@pytest.mark.parametrize("asked", [EventFilter(since_us=2**63), EventFilter(session="\ud800")])
def test_a_value_that_sqlite_cannot_hold_is_refused(
    asked: EventFilter, reader: SqliteReader
) -> None:
    with pytest.raises(InvalidInputError, match="cannot look for"):
        reader.count(asked)
