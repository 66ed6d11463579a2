"""Events and their delivery: the same on every backend."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
import pytest

from holdfast.errors import ExpiredError, FencedError, GapError, InvalidInputError
from holdfast.storage.commands import Command
from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Database, Reader
from holdfast.storage.records import (
    AnswerKept,
    Appended,
    AppendEvents,
    DeadLetter,
    DeleteDeadLetter,
    Discarded,
    Event,
    KeepAnswer,
    Kept,
    Mark,
    Origin,
    SkipEvents,
    StoreDeadLetter,
)
from holdfast.storage.retention_records import Retention, Rule
from tests.conformance.conftest import Backend

ODD: Final = "a\0b\1c\1\1d\1\2 \U0001f600 ' \" \\ %s"


def origin(first: int, sender: str = "a", stream: str = "log", *, fresh: bool = False) -> Origin:
    return Origin(sender, "1", stream, first, fresh=fresh)


def event(number: int = 0, **fields: Any) -> Event:
    return Event(**{"time_us": number, "type": "t:x", "source": "s", **fields})


def append(database: Database, *events: Event, first: int | None = None) -> Appended:
    command = AppendEvents(None if first is None else origin(first), events)
    (outcome,) = database.apply([command])
    assert isinstance(outcome, Appended), outcome
    return outcome


def numbers(reader: Reader, **filter: Any) -> list[int]:
    return [found.seq for found in reader.events(EventFilter(**filter), 100)]


def test_events_come_back_exactly(database: Database, reader: Reader) -> None:
    fields: dict[str, Any] = {
        name: ODD + name for name in ("subject", "session", "correlation", "cause", "root")
    }
    data = '{"a": [1e300, 12345678901234567890123, "\\u0000 \\ud83d\\ude00 \\ud800"], "a" : 1}'
    stored = [
        event(-(2**63), type=ODD, source=ODD, key=ODD, data=data, depth=2**40, **fields),
        event(2**63 - 1),
    ]
    append(database, *stored, first=1)
    found = reader.events(EventFilter(), 10)
    names = Event.__struct_fields__
    assert [Event(*(getattr(each, name) for name in names)) for each in found] == stored
    for name, value in fields.items():
        if name in EventFilter.__struct_fields__:
            assert reader.events(EventFilter(**{name: value}), 10) == found[:1]
    assert reader.events(EventFilter(types=(ODD,)), 10) == found[:1]


def test_a_frame_sent_again_is_stored_once(database: Database, reader: Reader) -> None:
    first = append(database, event(1), event(2), first=1)
    again = append(database, event(1), event(2), event(3), first=1)
    assert (first.first_seq, first.stored, first.skipped) == (1, 2, 0)
    assert (again.mark, again.first_seq, again.stored, again.skipped) == (3, 3, 1, 2)
    assert database.mark("a", "1", "log") == Mark(3, 0, 0)
    assert numbers(reader) == [1, 2, 3]


def test_a_gap_is_refused_and_so_is_a_sender_that_nobody_knows(database: Database) -> None:
    append(database, event(), first=1)
    outcomes = database.apply(
        [AppendEvents(origin(3), [event()]), AppendEvents(origin(2, "b"), [event()])]
    )
    assert [type(outcome) for outcome in outcomes] == [GapError, ExpiredError]
    assert database.last_seq == 1


def test_a_repeated_key_costs_only_that_event(database: Database, reader: Reader) -> None:
    append(database, event(1, key="k"), first=1)
    outcome = append(
        database,
        event(2),
        event(3, key="k"),
        event(4, key="n"),
        event(5, key="n"),
        event(6, key="k", source="other"),
        first=2,
    )
    assert outcome.repeated == [(1, 1), (3, 3)]
    assert (outcome.first_seq, outcome.stored, outcome.duplicates) == (2, 3, 2)
    assert [found.time_us for found in reader.events(EventFilter(), 10)] == [1, 2, 4, 6]


def test_a_refused_event_costs_only_that_event(database: Database, reader: Reader) -> None:
    bad = [
        event(2, data="{"),
        event(3, type=""),
        event(4, data="[NaN]"),
        event(5, data='"' + "x" * 10_000),
        event(6, subject="\ud800"),
        event(2**63),
    ]
    frame = [event(1, key="k"), *bad, event(7, key="k"), event(8, data='"' + "y" * 10_000 + '"')]
    append(database, event(0), first=1)
    outcome = append(database, *frame, first=2)
    assert [index for index, _ in outcome.refused] == [1, 2, 3, 4, 5, 6]
    assert outcome.repeated == [(7, 2)]
    assert [index for index, _ in outcome.payloads] == [8]
    assert (outcome.mark, outcome.first_seq, outcome.stored, outcome.dropped) == (10, 2, 2, 6)
    assert [found.time_us for found in reader.events(EventFilter(), 10)] == [0, 1, 8]
    dropped = reader.dropped(10)
    assert [(each.first, each.count) for each in dropped] == [(n, 1) for n in (8, 7, 6, 5, 4, 3)]
    assert reader.count_dropped() == 6


def test_what_is_refused_beside_others_of_its_group_leaves_them_stored_once(
    database: Database, reader: Reader
) -> None:
    group: list[Command] = [
        AppendEvents(origin(1), [event(1), event(2)]),
        AppendEvents(origin(3), [event(3), event(4, data="no")]),
        KeepAnswer(origin(1, stream="writer"), "yes"),
        AppendEvents(origin(5), [event(5)]),
    ]
    outcomes: list[Any] = database.apply(group)
    assert [getattr(outcome, "stored", None) for outcome in outcomes] == [2, 1, None, 1]
    assert [found.time_us for found in reader.events(EventFilter(), 10)] == [1, 2, 3, 5]
    again: list[Any] = database.apply(group)
    assert [getattr(outcome, "stored", None) for outcome in again] == [0, 0, None, 0]
    assert again[2] == AnswerKept("yes")
    assert numbers(reader) == [1, 2, 3, 4]


def test_a_tombstone_moves_the_mark_and_leaves_a_row(database: Database, reader: Reader) -> None:
    append(database, event(), first=1)
    (outcome,) = database.apply([SkipEvents(origin(2), 5, "full")])
    assert isinstance(outcome, Appended)
    assert (outcome.mark, outcome.dropped) == (6, 5)
    (row,) = reader.dropped(10)
    assert (row.sender, row.first, row.last, row.count, row.reason) == ("a", 2, 6, 5, "full")
    assert append(database, event(), first=7).first_seq == 2


def test_marks_and_answers_are_those_of_the_transaction(backend: Backend) -> None:
    database = backend.database()
    command = KeepAnswer(origin(1, stream="writer"), ODD)
    assert database.apply([command]) == [AnswerKept(ODD)]
    append(database, event(), event(key="k"), event(key="k"), first=1)
    database.close()
    database = backend.database()
    assert database.mark("a", "1", "log") == Mark(3, 1, 0)
    assert database.apply([command]) == [AnswerKept(ODD)]
    database.apply([KeepAnswer(msgspec.structs.replace(command.origin, first=2, acked=1), "2")])
    (outcome,) = database.apply([command])
    assert isinstance(outcome, ExpiredError)
    database.forget("a", "1")
    assert database.mark("a", "1", "log") == Mark(0, 0, 0)
    assert append(database, event(), first=1).first_seq == 3


def test_the_sender_unused_for_longest_is_forgotten_first(backend: Backend) -> None:
    database = backend.database(max_senders=2)
    for sender in ("a", "b", "a", "c"):
        number = database.mark(sender, "1", "log").number + 1
        database.apply([AppendEvents(origin(number, sender), [event()])])
    assert [database.mark(sender, "1", "log").number for sender in "abc"] == [2, 0, 1]


def test_dead_letters_are_kept_once_and_their_ids_are_not_used_again(
    database: Database, reader: Reader
) -> None:
    body = msgspec.msgpack.encode({"a": [1, "x\0"]})
    letter = DeadLetter(0, "actor", "a", "1", "log", 7, "tell", "poison", 2, 5, body)
    other = msgspec.structs.replace(letter, number=8, body=b"\xff")
    assert database.apply([StoreDeadLetter(letter), StoreDeadLetter(letter)]) == [Kept(1), Kept(1)]
    database.apply([StoreDeadLetter(other)])
    assert reader.dead_letters(10, 10_000) == [
        msgspec.structs.replace(other, id=2),
        msgspec.structs.replace(letter, id=1),
    ]
    assert [found.id for found in reader.dead_letters(10, 0)] == [2]
    assert database.apply([DeleteDeadLetter(2), DeleteDeadLetter(2)]) == [
        Discarded(True),
        Discarded(False),
    ]
    assert database.apply([StoreDeadLetter(other)]) == [Kept(3)]
    assert (reader.dead_letter(2), reader.count_dead_letters()) == (None, 2)


def test_large_data_is_stored_once_and_goes_with_its_last_event(backend: Backend) -> None:
    rules = Retention((Rule("*", max_count=1),))
    database = backend.database(payload_bytes=100, retention=rules)
    text = '"' + "a" * 200 + '"'
    ref = f"{hashlib.sha256(text.encode()).hexdigest()}/202"
    outcome = append(database, event(1, data=text), event(2, data=text), event(3), first=1)
    assert outcome.payloads == [(0, ref), (1, ref)]
    reader = backend.reader()
    found = reader.events(EventFilter(), 10)
    assert [(each.data, each.payload) for each in found] == [
        ("null", ref),
        ("null", ref),
        ("null", None),
    ]
    assert reader.payloads([ref, "none", ref], 203) == [text, None, text]
    assert reader.payloads([ref, "none", ref], 202) == [text]  # that is enough
    while not database.retain(10.0).is_done:
        pass
    assert numbers(reader) == [3]
    assert reader.payloads([ref], 1_000) == [None]


def test_filters_find_the_same_events(database: Database, reader: Reader) -> None:
    types = ["a:b", "a:c", "A:b", "a_b", "a%b", "a[b", "a\nb", "aé", "a\\b", "b", "*", "a:"]
    append(database, *(event(n, type=each, session=str(n % 2)) for n, each in enumerate(types)))
    for globs in (("a*",), ("a?b",), ("*b",), ("a[b",), ("a_b",), ("a%b",), ("a\\b",), ("?",)):
        wanted = EventFilter(types=globs).compile()
        expected = [
            number
            for number, each in enumerate(types, 1)
            if wanted((number - 1, each, "s", None, None, None), number)
        ]
        assert numbers(reader, types=globs) == expected, globs
        assert reader.count(EventFilter(types=globs)) == len(expected)
    assert numbers(reader, session="1", after=2, before=9) == [4, 6, 8]
    assert numbers(reader, since_us=3, until_us=6) == [4, 5, 6]
    newest = reader.events(EventFilter(types=("a*",), session="0"), 2, reverse=True)
    assert [found.seq for found in newest] == [9, 7]
    assert [row[0] for row in reader.newest(2)] == [11, 12]
    assert [row[0] for row in reader.before(3, 5)] == [1, 2]
    assert [row[0] for row in reader.range(10, 12)] == [11, 12]
    assert reader.last_seq() == database.last_seq == 12


def test_retention_deletes_what_its_rules_say_and_no_number_is_used_again(
    backend: Backend,
) -> None:
    rules = Retention((Rule("keep:*"), Rule("old:*", max_age=10.0), Rule("*", max_count=2)))
    database = backend.database(retention=rules)
    now = backend.clock.now_us
    types = ["keep:a", "old:a", "old:b", "x", "y", "old:c", "z", "x"]
    times = [0, 0, now, now, now, 0, now, now]
    append(database, *(event(time, type=each) for time, each in zip(times, types, strict=True)))
    plan = database.plan_retention(10.0)
    assert plan is not None
    assert sorted((each.rule, each.reason, each.count) for each in plan) == [
        ("*", "count", 2),
        ("old:*", "age", 2),
    ]
    slice = database.retain(10.0)
    assert slice.is_done
    assert slice.deletions == plan
    assert slice.gone == [(2, 2), (4, 6)]
    reader = backend.reader()
    assert numbers(reader) == [1, 3, 7, 8]
    sizes = reader.sizes(now)
    assert (sizes.events, sizes.deleted) == (4, 4)
    append(database, event(type="old:d"))
    backend.clock.now_us += 1
    assert database.retain(10.0).gone == [(9, 9)]  # the newest
    assert database.last_seq == 9
    database.close()
    assert backend.database(retention=rules).last_seq == 9


def test_a_writer_that_was_replaced_commits_nothing(backend: Backend) -> None:
    if backend.name == "sqlite":
        return  # its lock keeps a second one out: test_sqlite_files
    first = backend.database()
    append(first, event(), first=1)
    epoch = first.position().epoch
    second = backend.database()
    assert second.position().epoch == epoch + 1
    with pytest.raises(FencedError, match=f"as epoch {epoch}, but a writer of epoch {epoch + 1} "):
        first.apply([AppendEvents(origin(2), [event()])])
    assert append(second, event(), first=2).first_seq == 2


def test_what_cannot_be_looked_for_is_refused(database: Database, reader: Reader) -> None:
    for filter in (EventFilter(after=2**70), EventFilter(session="\ud800")):
        with pytest.raises(InvalidInputError):
            reader.events(filter, 10)
