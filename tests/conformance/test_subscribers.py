"""Named subscribers as rows, and what subscribers read: the same of every backend."""

from __future__ import annotations

import pytest

from holdfast.errors import Conflict, InvalidInputError
from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Database, Reader
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    EventsAcknowledged,
    RemoveSubscriber,
    StoreSubscriber,
    Subscriber,
    SubscriberRemoved,
    SubscriberStored,
)
from tests.storage.making import append, apply_one, event, events, origin

NOW = 1_700_000_000_000_000  # of the clock that stands


def store(
    name: str,
    start: int | None = None,
    *,
    filter: str = "{}",
    owner: str = "me",
    change_filter: bool = False,
) -> StoreSubscriber:
    return StoreSubscriber(None, name, filter, owner, start, change_filter)


def test_a_new_name_begins_where_it_says_or_behind_the_newest_event(
    database: Database, reader: Reader
) -> None:
    append(database, events(5))
    assert apply_one(database, store("b", 0)) == SubscriberStored(0, 1)
    assert apply_one(database, store("ä", 5)) == SubscriberStored(5, 1)
    assert apply_one(database, store("B\0")) == SubscriberStored(5, 1)
    for wrong in (-1, 6):
        with pytest.raises(InvalidInputError, match="newest event is number 5"):
            apply_one(database, store("c", wrong))
    assert reader.subscribers() == [
        Subscriber("B\0", 5, "{}", 1, "me", NOW, NOW),
        Subscriber("b", 0, "{}", 1, "me", NOW, NOW),
        Subscriber("ä", 5, "{}", 1, "me", NOW, NOW),
    ]


def test_who_comes_with_a_name_takes_it_over_where_it_stands(
    database: Database, reader: Reader
) -> None:
    append(database, events(5))
    apply_one(database, store("a", 2))
    assert apply_one(database, store("a", 4, owner="you")) == SubscriberStored(2, 2)
    with pytest.raises(InvalidInputError, match="exists with the filter"):
        apply_one(database, store("a", filter='{"session":"s"}'))
    changed = store("a", filter='{"session":"s"}', change_filter=True)
    assert apply_one(database, changed) == SubscriberStored(2, 3)
    assert reader.subscribers() == [
        Subscriber("a", 2, '{"session":"s"}', 3, "me", NOW, NOW),
    ]


def test_only_the_last_one_acknowledges_and_never_backwards(
    database: Database, reader: Reader
) -> None:
    append(database, events(5))
    apply_one(database, store("a", 1))
    assert apply_one(database, AcknowledgeEvents(None, "a", 1, 4)) == EventsAcknowledged(4)
    assert apply_one(database, AcknowledgeEvents(None, "a", 1, 3)) == EventsAcknowledged(4)
    with pytest.raises(InvalidInputError, match="seq = 6"):
        apply_one(database, AcknowledgeEvents(None, "a", 1, 6))
    apply_one(database, store("a"))
    with pytest.raises(Conflict, match="taken over") as caught:
        apply_one(database, AcknowledgeEvents(None, "a", 1, 5))
    assert (caught.value.expected, caught.value.current) == (1, 2)
    with pytest.raises(Conflict, match="was removed"):
        apply_one(database, AcknowledgeEvents(None, "none", 1, 5))
    assert [each.acked for each in reader.subscribers()] == [4]


def test_a_removed_name_is_forgotten(database: Database, reader: Reader) -> None:
    apply_one(database, store("a"))
    remove = RemoveSubscriber(origin(1), "a")
    assert apply_one(database, remove) == SubscriberRemoved(True)
    assert apply_one(database, RemoveSubscriber(None, "a")) == SubscriberRemoved(False)
    assert apply_one(database, remove) == SubscriberRemoved(True)  # its first answer
    assert reader.subscribers() == []
    assert apply_one(database, store("a")) == SubscriberStored(0, 1)


@pytest.mark.parametrize("bad", [store("", 0), store("a", 0, filter="no JSON")])
def test_what_is_no_name_or_no_filter_is_refused(
    database: Database, reader: Reader, bad: StoreSubscriber
) -> None:
    with pytest.raises(InvalidInputError):
        apply_one(database, bad)
    assert reader.subscribers() == []


def test_what_is_read_on_says_how_far_back_events_are_kept(
    database: Database, reader: Reader
) -> None:
    assert reader.read_on(EventFilter(), 10) == (1, [])
    append(database, [event(n, session="s" if n % 2 else None) for n in range(6)])
    oldest, found = reader.read_on(EventFilter(session="s", after=2), 10)
    assert (oldest, [each.seq for each in found]) == (1, [4, 6])
    oldest, found = reader.read_on(EventFilter(after=1), 2)
    assert (oldest, [each.seq for each in found]) == (1, [2, 3])
    with pytest.raises(InvalidInputError):
        reader.read_on(EventFilter(types=("x",) * 65), 1)
    assert reader.read_on(EventFilter(), 1)[0] == 1  # the moment is over
