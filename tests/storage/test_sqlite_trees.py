"""Causes, effects and counts, from a real file."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import event_groups
from holdfast.storage.records import EventFilter, StoredEvent
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.making import append, event


def seqs(events: list[StoredEvent]) -> list[int]:
    return [event.seq for event in events]


def test_a_chain_leads_from_an_event_to_its_first_cause(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(
        database,
        [
            event(1, key="a"),
            event(2, key="other"),
            event(3, key="b", cause="a", root="a", depth=1),
            event(4, cause="b", root="a", depth=2),
            event(5, cause="d/4", root="a", depth=3),
        ],
    )
    assert seqs(reader.causes(5, 10)) == [5, 4, 3, 1]
    assert seqs(reader.causes(5, 2)) == [5, 4]
    assert seqs(reader.causes("b", 10)) == seqs(reader.causes(3, 10)) == [3, 1]
    assert seqs(reader.causes("d/4", 10)) == [4, 3, 1]
    for nowhere in (99, "c", "d/99", "other daemon/4", "d/x"):
        assert reader.causes(nowhere, 10) == []


def test_a_chain_ends_where_its_cause_is_missing_or_in_it_already(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(
        database,
        [
            event(1, key="lost cause", cause="never emitted"),
            event(2, key="hen", cause="egg"),
            event(3, key="egg", cause="hen"),
            event(4, key="itself", cause="itself"),
        ],
    )
    assert seqs(reader.causes(1, 10)) == [1]
    assert seqs(reader.causes(2, 10)) == [2, 3]
    assert seqs(reader.causes(4, 10)) == [4]


def test_the_cause_is_the_event_of_that_key_that_stands_nearest(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    """Keys are unique per source: "1" is the key of four events here."""
    append(
        database,
        [
            event(1, source="of the root", key="1", root="r"),
            event(2, source="of the correlation", key="1", correlation="c"),
            event(3, source="of the source", key="1"),
            event(4, source="x", cause="1", root="r"),
            event(5, source="x", cause="1", correlation="c"),
            event(6, source="of the source", cause="1"),
            event(7, source="last", key="1"),
            event(8, source="x", cause="1"),
        ],
    )
    assert [seqs(reader.causes(seq, 9))[1] for seq in (4, 5, 6, 8)] == [1, 2, 3, 7]
    assert seqs(reader.causes("1", 9)) == [7]


def test_what_is_around_a_name_is_its_key_its_root_and_its_correlation(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(
        database,
        [
            event(1, key="n"),
            event(2, root="n"),
            event(3, correlation="n"),
            event(4, key="n2", root="n", correlation="n"),
            event(5, session="n", subject="n"),
            event(6, root="other"),
        ],
    )
    assert seqs(reader.around("n", 0, 10)) == [1, 2, 3, 4]
    assert seqs(reader.around("n", 1, 2)) == [2, 3]
    assert seqs(reader.below(["n", "other"], 0, 10)) == [2, 4, 6]
    assert seqs(reader.below(["n", "other"], 2, 1)) == [4]
    assert reader.below([], 0, 10) == []


BUCKETS = [None, 1, 7, 1_000_000]


@pytest.mark.parametrize("bucket_us", BUCKETS)
@pytest.mark.parametrize("by", [(), ("type",), ("source", "type"), ("session",), ("subject",)])
@pytest.mark.parametrize(
    "asked",
    [EventFilter(), EventFilter(types=("a*",), after=10), EventFilter(session="s", until_us=9)],
    ids=["all", "types", "session"],
)
def test_counts_are_those_of_counting_one_by_one(
    database: SqliteDatabase,
    reader: SqliteReader,
    asked: EventFilter,
    by: tuple[str, ...],
    bucket_us: int | None,
) -> None:
    pick = random.Random(2)
    frame = [
        event(
            pick.randrange(-1_000_040, -999_960),  # around 1970
            type=pick.choice(("ab", "ac", "b")),
            source=pick.choice("xy"),
            session=pick.choice((None, "s", "t")),
            subject=pick.choice((None, "u")),
        )
        for _ in range(200)
    ]
    append(database, frame)
    stored = [StoredEvent(*row) for row in reader.newest(1_000)]
    expected = Counter(
        (
            None if bucket_us is None else each.time_us // bucket_us * bucket_us,
            tuple(getattr(each, column) for column in by),
        )
        for each in stored
        if asked.matches(each)
    )
    found = reader.grouped(asked, by, bucket_us)
    assert {(each.start_us, each.values): each.count for each in found} == expected
    starts = [each.start_us or 0 for each in found]
    assert starts == sorted(starts)


def test_nothing_is_counted_in_an_empty_database(reader: SqliteReader) -> None:
    assert reader.grouped(EventFilter(), ("type",), None) == []


@pytest.mark.parametrize(
    ("by", "bucket_us", "named"),
    [
        (("data",), None, "'data'"),
        (("type; DROP TABLE events",), None, "expected one of type"),
        (("type", "type"), None, "once"),
        (("type",), 0, "bucket = 0"),
        (("type",), -5, "bucket"),
        (("type",), 2**62, "bucket"),
    ],
)
def test_what_cannot_be_counted_by_is_refused(
    reader: SqliteReader, by: tuple[str, ...], bucket_us: int | None, named: str
) -> None:
    with pytest.raises(InvalidInputError, match=named):
        reader.grouped(EventFilter(), by, bucket_us)


def test_more_groups_than_fit_in_an_answer_are_refused(
    database: SqliteDatabase, reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(database, [event(n, session=str(n)) for n in range(4)])
    monkeypatch.setattr(event_groups, "MAX_GROUPS", 4)
    assert len(reader.grouped(EventFilter(), ("session",), None)) == 4
    monkeypatch.setattr(event_groups, "MAX_GROUPS", 3)
    with pytest.raises(InvalidInputError, match="more than 3 groups: take a larger bucket"):
        reader.grouped(EventFilter(), ("session",), None)
