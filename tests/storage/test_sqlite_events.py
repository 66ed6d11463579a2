"""Events, sessions and checkpoints in the file, and read back."""

from __future__ import annotations

import apsw
import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage.checkpoint_records import Checkpoint, CheckpointStored, StoreCheckpoint
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    EventFilter,
    StoredEvent,
)
from holdfast.storage.session_records import SessionsStored, StoreSessions
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.conftest import Opener, StillClock
from tests.storage.making import append, apply_one, as_event, event, events, origin, session


def sequence(reader: SqliteReader) -> list[int]:
    return [row[0] for row in reader.newest(1000)]


def test_an_event_comes_back_field_by_field(database: SqliteDatabase, reader: SqliteReader) -> None:
    raw = (7, "t", "src", "sub", "ses", "cor", "cau", "roo", 3, "k", '{"a": "\\u0000"}')
    assert append(database, [raw]).first_seq == 1
    assert reader.events(EventFilter(), 10) == [StoredEvent(1, "d", *raw)]
    assert reader.newest(10) == reader.range(0, 1) == [(1, "d", *raw, None)]


def test_structs_and_rows_are_stored_alike(database: SqliteDatabase, reader: SqliteReader) -> None:
    apply_one(database, AppendEvents(None, [as_event(event(1)), as_event(event(2))]))
    append(database, [event(1), event(2)])
    rows = [row[1:] for row in reader.newest(4)]
    assert rows[:2] == rows[2:]


def test_numbers_are_contiguous_across_frames_and_commands(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    outcomes = database.apply(
        [
            AppendEvents(None, events(3)),
            StoreSessions(None, [session()], [], [as_event(event())]),
            AppendEvents(None, events(2)),
        ]
    )
    assert [getattr(outcome, "first_seq", None) for outcome in outcomes] == [1, 4, 5]
    assert sequence(reader) == [1, 2, 3, 4, 5, 6]
    assert database.last_seq == reader.last_seq() == 6


def test_a_repeated_key_is_stored_once_and_answers_with_its_first_number(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    append(database, [event(1, key="a"), event(2, key="b")])
    frame = [event(3), event(4, key="b"), event(5, key="c"), event(6, key="c"), event(7)]
    outcome = append(database, frame)
    assert (outcome.first_seq, outcome.stored) == (3, 3)
    assert outcome.repeated == [(1, 2), (3, 4)]
    assert [row[2] - 1_000_000 for row in reader.newest(10)] == [1, 2, 3, 5, 7]
    assert sequence(reader) == [1, 2, 3, 4, 5]


def test_a_key_is_unique_per_source_only(database: SqliteDatabase) -> None:
    frame = [event(key="a", source="one"), event(key="a", source="two")]
    assert append(database, frame).stored == 2


def test_duplicates_add_up_per_sender_and_survive_a_restart(open_database: Opener) -> None:
    database = open_database()
    frame = [event(key="a"), event(key="b")]
    assert append(database, frame, origin(1)).duplicates == 0
    assert append(database, frame, origin(3)).duplicates == 2
    assert append(database, frame, origin(1, sender="other")).duplicates == 2
    database.close()
    database = open_database()
    assert database.mark("planner", "1.1", "log").duplicates == 2
    assert append(database, frame, origin(5)).duplicates == 4


def test_a_number_is_never_used_again_after_a_deletion(open_database: Opener, path: object) -> None:
    database = open_database()
    append(database, events(5))
    database.close()
    with apsw.Connection(str(path)) as other:
        other.execute("DELETE FROM events WHERE seq >= 3")
    other.close()
    database = open_database()
    assert database.last_seq == 5
    assert append(database, events(1)).first_seq == 6
    assert append(database, []).first_seq == 7


@pytest.mark.parametrize(
    "bad",
    [
        event(type=""),
        event(source=""),
        event(data="{"),
        event(data=""),
        (*event()[:8], -1, None, "{}"),
        (2**63, *event()[1:]),
        event(type="\ud800"),
        ("noon", *event()[1:]),
        event()[:10],
        (*event(), "more"),
    ],
    ids=lambda bad: repr(bad)[:40],
)
@pytest.mark.parametrize("single", [True, False])
def test_a_bad_event_fails_alone_and_its_loss_is_a_row(
    database: SqliteDatabase, reader: SqliteReader, path: object, bad: object, single: bool
) -> None:
    frame = [bad] if single else [event(0), bad, event(2)]
    outcome = append(database, frame, origin(1))  # type: ignore[arg-type]  # bad on purpose
    at = 0 if single else 1
    assert [index for index, _ in outcome.refused] == [at]
    assert (outcome.stored, outcome.mark) == (len(frame) - 1, len(frame))
    assert sequence(reader) == list(range(1, len(frame)))
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = viewer.execute("SELECT time_us, sender, first, last, count FROM dropped").fetchall()
    viewer.close()
    assert rows == [(StillClock.now_us, "planner", at + 1, at + 1, 1)]


def test_sessions_are_put_replaced_and_deleted_with_their_events(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    put = [session("a", touched_us=1, expires_us=20), session("b", touched_us=2, expires_us=10)]
    outcome = apply_one(database, StoreSessions(None, put, [], [as_event(event(1))]))
    assert outcome == SessionsStored(1, 1)
    assert reader.session("a") == put[0]
    assert reader.sessions(10) == put[::-1]
    assert [over.id for over in reader.expired_sessions(20, 10)] == ["b", "a"]
    assert [over.id for over in reader.expired_sessions(19, 10)] == ["b"]
    again = session("a", touched_us=9, expires_us=30)
    assert apply_one(database, StoreSessions(None, [again], ["b"], [])) == SessionsStored(2, 0)
    assert reader.sessions(10) == [again]


def test_a_bad_command_fails_alone_and_leaves_nothing(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    bad = session("", touched_us=1)
    outcomes = database.apply(
        [
            AppendEvents(None, events(1)),
            StoreSessions(None, [session("a"), bad], [], [as_event(event())]),
            StoreSessions(None, [session("b")], [], [as_event(event(data="{"))]),
            StoreCheckpoint(None, "planner", 1, "{"),
            StoreCheckpoint(None, "planner", 1, "{}"),
            AppendEvents(None, events(1)),
        ]
    )
    kinds = [type(outcome) for outcome in outcomes]
    refused = [InvalidInputError] * 3
    assert kinds == [Appended, *refused, CheckpointStored, Appended]
    assert reader.sessions(10) == []
    assert sequence(reader) == [1, 2]


def test_checkpoints_count_per_agent_and_come_newest_first(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    for n in range(3):
        for agent in ("a", "b"):
            apply_one(database, StoreCheckpoint(None, agent, n, f"{n}"))
    assert reader.checkpoint("a") == Checkpoint("a", 3, 2, "2", size=1, parent=("a", 2))
    assert [checkpoint.id for checkpoint in reader.checkpoints("b", 2)] == [3, 2]
    assert reader.checkpoint("c") is None


def test_the_readable_views_show_iso_time(database: SqliteDatabase, path: object) -> None:
    for time_us in (0, 1_700_000_000_000_001, -1, -86_400_000_000):
        append(database, [(time_us, *event()[1:])])
    apply_one(database, StoreSessions(None, [session()], [], []))
    apply_one(database, StoreCheckpoint(None, "a", 1, "{}"))
    viewer = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    times = viewer.execute("SELECT time FROM events_readable ORDER BY seq").fetchall()
    expires = viewer.execute("SELECT expires FROM sessions_readable").get
    created = viewer.execute("SELECT created FROM checkpoints_readable").get
    viewer.close()
    assert [time for (time,) in times] == [
        "1970-01-01T00:00:00.000000Z",
        "2023-11-14T22:13:20.000001Z",
        "1969-12-31T23:59:59.999999Z",
        "1969-12-31T00:00:00.000000Z",
    ]
    assert expires == "1970-01-01T00:00:00.000010Z"
    assert created == "1970-01-01T00:00:00.000001Z"


def test_a_negative_limit_is_refused(reader: SqliteReader) -> None:
    for ask in (reader.newest, reader.sessions, lambda n: reader.events(EventFilter(), n)):
        with pytest.raises(InvalidInputError, match="limit"):
            ask(-1)
