"""How many events there are, by what and by when: the same of every backend."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import event_groups
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import EventFilter, StoredEvent
from tests.storage.making import append, event

BUCKETS = [None, 1, 7, 1_000_000]
COLUMNS = [(), ("type",), ("source", "type"), ("session",), ("subject",)]
ASKED = [
    EventFilter(),
    EventFilter(types=("a*",), after=10),
    EventFilter(session="s", until_us=9),
]


def test_counts_are_those_of_counting_one_by_one(database: Database, reader: Reader) -> None:
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
    for asked, by, bucket_us in product(ASKED, COLUMNS, BUCKETS):
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
        order = [(each.start_us or 0, [(v is not None, v) for v in each.values]) for each in found]
        assert order == sorted(order)  # what has no value is first


def test_nothing_is_counted_in_an_empty_database(reader: Reader) -> None:
    assert reader.grouped(EventFilter(), ("type",), None) == []


def test_what_cannot_be_counted_by_is_refused(reader: Reader) -> None:
    for by, bucket_us, named in (
        (("data",), None, "'data'"),
        (("type; DROP TABLE events",), None, "expected one of type"),
        (("type", "type"), None, "once"),
        (("type",), 0, "bucket = 0"),
        (("type",), -5, "bucket"),
        (("type",), 2**62, "bucket"),
    ):
        with pytest.raises(InvalidInputError, match=named):
            reader.grouped(EventFilter(), by, bucket_us)


def test_more_groups_than_fit_in_an_answer_are_refused(
    database: Database, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(database, [event(n, session=str(n)) for n in range(4)])
    monkeypatch.setattr(event_groups, "MAX_GROUPS", 4)
    assert len(reader.grouped(EventFilter(), ("session",), None)) == 4
    monkeypatch.setattr(event_groups, "MAX_GROUPS", 3)
    with pytest.raises(InvalidInputError, match="more than 3 groups: take a larger bucket"):
        reader.grouped(EventFilter(), ("session",), None)
