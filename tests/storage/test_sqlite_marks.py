"""Exactly once: what a sender repeats is stored once, and a repeated command is answered alike."""

from __future__ import annotations

import pytest

from holdfast.errors import ExpiredError, GapError, InvalidInputError
from holdfast.storage.checkpoint_records import CheckpointStored, StoreCheckpoint
from holdfast.storage.commands import Command
from holdfast.storage.records import (
    AnswerKept,
    Appended,
    AppendEvents,
    KeepAnswer,
    Mark,
    Origin,
)
from holdfast.storage.session_records import SessionsStored, StoreSessions
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.conftest import Opener
from tests.storage.making import append, apply_one, as_event, event, events, origin, session


def test_a_frame_sent_again_is_stored_once(database: SqliteDatabase, reader: SqliteReader) -> None:
    assert append(database, events(5), origin(1)) == Appended(5, 0, 1, 5)
    assert append(database, events(5), origin(1)) == Appended(5, 0, 6, 0, skipped=5)
    assert reader.last_seq() == 5


def test_the_part_above_the_mark_is_stored(database: SqliteDatabase, reader: SqliteReader) -> None:
    append(database, events(3), origin(1))
    assert append(database, events(5), origin(1)) == Appended(5, 0, 4, 2, skipped=3)
    assert [row[2] - 1_000_000 for row in reader.newest(9)] == [0, 1, 2, 3, 4]


def test_what_is_behind_the_mark_moves_nothing_back(database: SqliteDatabase) -> None:
    append(database, events(5), origin(1))
    assert append(database, events(2), origin(2)).mark == 5
    assert append(database, [], origin(6)).mark == 5


def test_indexes_count_from_the_frames_first_event(database: SqliteDatabase) -> None:
    append(database, [event(key="a")], origin(1))
    frame = [event(key="a"), event(data="{"), event(key="a"), event()]
    outcome = append(database, frame, origin(1))
    assert (outcome.skipped, outcome.stored, outcome.mark) == (1, 1, 4)
    assert [index for index, _ in outcome.refused] == [1]
    assert outcome.repeated == [(2, 1)]


def test_a_gap_is_refused_and_named(database: SqliteDatabase, reader: SqliteReader) -> None:
    append(database, events(3), origin(1))
    with pytest.raises(GapError, match="number 5, but the next one is 4") as raised:
        append(database, events(1), origin(5))
    assert (raised.value.expected, raised.value.got) == (4, 5)
    assert reader.last_seq() == 3
    with pytest.raises(InvalidInputError, match="start at 1"):
        append(database, events(1), origin(0))


def test_an_unknown_sender_in_mid_sequence_is_expired(database: SqliteDatabase) -> None:
    with pytest.raises(ExpiredError, match="number 2 of a sender that is not known"):
        append(database, events(1), origin(2))


def test_streams_of_one_sender_are_numbered_apart(database: SqliteDatabase) -> None:
    append(database, events(3), origin(1))
    assert append(database, events(1), origin(1, stream="writer")).stored == 1
    assert database.mark("planner", "1.1", "log") == Mark(3, 0)
    assert database.mark("planner", "1.1", "writer") == Mark(1, 0)
    assert database.mark("planner", "1.2", "log") == Mark(0, 0)


def test_marks_survive_a_restart(open_database: Opener) -> None:
    database = open_database()
    append(database, events(3), origin(1))
    database.close()
    database = open_database()
    assert database.mark("planner", "1.1", "log") == Mark(3, 0)
    assert append(database, events(4), origin(1)) == Appended(4, 0, 4, 1, skipped=3)


def test_the_sender_unused_for_longest_is_forgotten_and_then_expired(
    open_database: Opener,
) -> None:
    database = open_database(max_senders=2)
    for sender in ("a", "b"):
        append(database, events(1), origin(1, sender=sender))
    append(database, events(1), origin(2, sender="a"))
    append(database, events(1), origin(1, sender="c"))
    database.close()
    database = open_database(max_senders=2)
    append(database, events(1), origin(3, sender="a"))
    with pytest.raises(ExpiredError):
        append(database, events(1), origin(2, sender="b"))


def test_a_forgotten_sender_is_expired(open_database: Opener) -> None:
    database = open_database()
    append(database, events(1), origin(1))
    append(database, events(1), origin(1, sender="other"))
    database.forget("planner", "1.1")
    assert database.mark("planner", "1.1", "log") == Mark(0, 0)
    database.close()
    database = open_database()
    with pytest.raises(ExpiredError):
        append(database, events(1), origin(2))
    assert append(database, events(1), origin(2, sender="other")).stored == 1


def checkpoint(first: int, *, acked: int = 0, state: str = "{}") -> StoreCheckpoint:
    return StoreCheckpoint(origin(first, acked=acked, stream="checkpoints"), "planner", 1, state)


def test_a_repeated_command_gets_its_first_answer_also_after_a_restart(
    open_database: Opener,
) -> None:
    database = open_database()
    put = StoreSessions(origin(3, stream="checkpoints"), [session()], [], [as_event(event())])
    commands: list[Command] = [checkpoint(1), checkpoint(2), put]
    first = [apply_one(database, command) for command in commands]
    assert first == [CheckpointStored(1), CheckpointStored(2), SessionsStored(1, 1)]
    append(database, events(5))
    database.close()
    database = open_database()
    assert [apply_one(database, command) for command in commands] == first
    assert apply_one(database, checkpoint(4)) == CheckpointStored(3)
    assert database.last_seq == 6


def test_a_refusal_is_an_answer_too_and_does_not_jam_the_sender(open_database: Opener) -> None:
    database = open_database()
    with pytest.raises(InvalidInputError) as first:
        apply_one(database, checkpoint(1, state="{"))
    assert apply_one(database, checkpoint(2)) == CheckpointStored(1)
    database.close()
    database = open_database()
    with pytest.raises(InvalidInputError) as again:
        apply_one(database, checkpoint(1, state="{}"))
    assert str(again.value) == str(first.value)


def test_an_answer_the_sender_has_is_not_kept(database: SqliteDatabase) -> None:
    for n in range(1, 4):
        apply_one(database, checkpoint(n))
    apply_one(database, checkpoint(4, acked=2))
    for n in (1, 2):
        with pytest.raises(ExpiredError, match=f"number {n} was answered"):
            apply_one(database, checkpoint(n))
    assert apply_one(database, checkpoint(3)) == CheckpointStored(3)


def test_an_answer_of_the_caller_is_kept_like_any_other(database: SqliteDatabase) -> None:
    keep = KeepAnswer(origin(1, stream="checkpoints"), "first")
    assert apply_one(database, keep) == AnswerKept("first")
    again = KeepAnswer(origin(1, stream="checkpoints"), "second")
    assert apply_one(database, again) == AnswerKept("first")
    assert apply_one(database, checkpoint(1)) == AnswerKept("first")
    told = StoreSessions(origin(2, stream="checkpoints"), [session()], [], [], "version 1")
    assert apply_one(database, told) == SessionsStored(1, 0, "version 1")
    assert apply_one(database, told) == SessionsStored(1, 0, "version 1")


def test_a_command_that_the_disk_refused_does_not_block_the_next(
    database: SqliteDatabase,
) -> None:
    """Its number was answered with an error and never comes again."""
    apply_one(database, checkpoint(1))
    assert apply_one(database, checkpoint(3)) == CheckpointStored(2)
    with pytest.raises(ExpiredError):
        apply_one(database, checkpoint(2))


def test_a_repeat_of_an_unknown_sender_is_refused_and_a_first_try_is_not(
    database: SqliteDatabase,
) -> None:
    with pytest.raises(ExpiredError):
        apply_one(database, checkpoint(5))
    fresh = Origin("planner", "1.1", "checkpoints", 5, fresh=True)
    assert apply_one(database, StoreCheckpoint(fresh, "a", 1, "null")) == CheckpointStored(1)


def test_repeats_inside_one_group_are_seen(database: SqliteDatabase) -> None:
    outcomes = database.apply(
        [
            AppendEvents(origin(1), events(2)),
            AppendEvents(origin(1), events(2)),
            checkpoint(1),
            checkpoint(1),
        ]
    )
    assert outcomes == [
        Appended(2, 0, 1, 2),
        Appended(2, 0, 3, 0, skipped=2),
        CheckpointStored(1),
        CheckpointStored(1),
    ]
