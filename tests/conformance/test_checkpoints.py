"""Checkpoints as rows: parts, forks, names and pruning, the same of every backend."""

from __future__ import annotations

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    Checkpoint,
    CheckpointPinned,
    CheckpointsPruned,
    CheckpointStored,
    CheckpointUnpinned,
    ClaimThread,
    EnrolParticipant,
    ForkCheckpoint,
    Info,
    Owner,
    Part,
    ParticipantEnrolled,
    PartsMissing,
    Piece,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    UnpinCheckpoint,
)
from holdfast.storage.ports import Database, Reader
from tests.conformance.conftest import StillClock
from tests.storage.checkpoint_making import put, state_of
from tests.storage.making import apply_one, origin

NOW = 1_700_000_000_000_000  # of the clock that stands
HOUR_US = 3_600_000_000
TEXT = "same " * 4_000


def prune(database: Database, agent: str, keep_last: int, **more: object) -> CheckpointsPruned:
    outcome = apply_one(database, PruneCheckpoints(None, agent, keep_last, **more))  # type: ignore[arg-type]  # tests vary one
    assert isinstance(outcome, CheckpointsPruned)
    return outcome


def part(n: int, *, size: int = 10) -> Part:
    data = bytes([n]) * size
    return Part(parts.name_of(data), size, 0, data)


def test_a_checkpoint_comes_back_as_it_was_put(database: Database, reader: Reader) -> None:
    piece = Piece(["a", "\0", "ä"], [part(1).name, part(2).name, part(1).name], "tail \0")
    state = '{"n": 1e20, "a": {"\\u0000": {"ä": null}}}'
    command = StoreCheckpoint(origin(1), "a", 5, state, [piece], [part(1), part(2)], 99)
    assert apply_one(database, command) == CheckpointStored(1)
    assert apply_one(database, command) == CheckpointStored(1)  # a repeat
    first = Checkpoint("a", 1, 5, state, [piece], 99, None, [])
    assert reader.checkpoint("a") == first
    assert apply_one(database, StoreCheckpoint(None, "a", 0, '"ä"')) == CheckpointStored(2)
    second = Checkpoint("a", 2, NOW, '"ä"', [], 4, ("a", 1), [])
    assert reader.checkpoint("a") == second
    assert reader.checkpoint("a", 1) == first
    assert reader.checkpoints("a", 10) == [second, first]
    assert reader.checkpoints("a", 10, before=2) == [first]
    assert reader.checkpoint_infos("a", 1) == [Info("a", 2, NOW, 4, ("a", 1), [])]
    assert [reader.checkpoint("b"), reader.checkpoint("a", 3), reader.checkpoint("A")] == [None] * 3


def test_what_was_put_is_what_is_restored(database: Database, reader: Reader) -> None:
    states = [
        None,
        {"n": 1, "text": TEXT},
        {"n": 2, "text": TEXT, "bytes": b"\0\xff" * 9_000, "deep": {"list": [TEXT] * 9, "x": 1.5}},
        "".join(map(chr, range(1, 0xD800))),
    ]
    for id, state in enumerate(states, 1):
        assert put(database, "a", state, reader=reader) == id
    for id, state in enumerate(states, 1):
        assert state_of(reader, "a", id) == state


def test_parts_are_kept_once_whoever_puts_them(database: Database, reader: Reader) -> None:
    """Scenario D11."""
    one = Piece([], [part(1).name], "")
    for agent in ("a", "b"):
        command = StoreCheckpoint(None, agent, 0, "null", [one], [part(1), part(1)], 10)
        assert apply_one(database, command) == CheckpointStored(1)
    apply_one(database, StoreCheckpoint(None, "a", 0, "1"))
    apply_one(database, StoreCheckpoint(None, "b", 0, "1"))
    assert prune(database, "a", 1) == CheckpointsPruned([1], 0, False)
    assert reader.missing_checkpoint_parts([part(1).name]) == []
    assert prune(database, "b", 1) == CheckpointsPruned([1], 10, False)
    assert reader.missing_checkpoint_parts([part(1).name]) == [part(1).name]


def test_a_part_that_two_pruned_checkpoints_name_goes_with_the_second(
    database: Database, reader: Reader
) -> None:
    one = Piece([], [part(1).name, part(1).name], "")
    for _ in range(2):
        apply_one(database, StoreCheckpoint(None, "a", 0, "null", [one], [part(1)], 20))
    apply_one(database, StoreCheckpoint(None, "a", 0, "1"))
    assert prune(database, "a", 1) == CheckpointsPruned([1, 2], 10, False)


def test_parts_are_read_in_the_order_asked_for_as_many_as_fit(
    database: Database, reader: Reader
) -> None:
    all = [part(n, size=10 * n) for n in (1, 2, 3)]
    names = [part.name for part in all]
    apply_one(database, StoreParts(None, all))
    unknown = b"?" * 16
    assert reader.checkpoint_parts([names[2], unknown, names[0]], 10**9) == [all[2], all[0]]
    assert reader.checkpoint_parts(names, 30) == all[:2]
    assert reader.checkpoint_parts(names, 29) == all[:1]
    assert reader.checkpoint_parts(names, 0) == all[:1]
    assert reader.checkpoint_parts([names[0], names[0]], 99) == [all[0], all[0]]
    assert reader.checkpoint_parts([], 10) == []
    assert reader.missing_checkpoint_parts([unknown, names[1], unknown]) == [unknown, unknown]


def test_parts_that_neither_came_nor_are_there_are_asked_for(
    database: Database, reader: Reader
) -> None:
    layout = parts.lay_out({"text": "new " * 5_000})
    without = StoreCheckpoint(None, "a", 0, layout.state, layout.pieces, [], layout.size)
    outcome = apply_one(database, without)
    assert isinstance(outcome, PartsMissing)
    assert set(outcome.names) == set(layout.parts)
    assert reader.checkpoint("a") is None
    apply_one(database, StoreParts(None, parts.pack(layout.parts)))
    assert apply_one(database, without) == CheckpointStored(1)


def test_parts_that_nobody_came_to_use_are_swept_after_an_hour(
    database: Database, reader: Reader, clock: StillClock
) -> None:
    apply_one(database, StoreParts(None, [part(1), part(2)]))
    clock.now_us += HOUR_US // 2
    apply_one(database, StoreParts(None, [part(2), part(3)]))
    names = [part(n).name for n in (1, 2, 3)]
    put(database, "a", 1)
    for after, left in ((HOUR_US // 2, names), (1, names[1:]), (HOUR_US // 2, [])):
        clock.now_us += after
        prune(database, "a", 1)
        assert [part.name for part in reader.checkpoint_parts(names, 99)] == left


def test_a_part_that_is_held_outlives_its_last_checkpoint(
    database: Database, reader: Reader, clock: StillClock
) -> None:
    apply_one(database, StoreParts(None, [part(1)]))
    one = Piece([], [part(1).name], "")
    apply_one(database, StoreCheckpoint(None, "a", 0, "null", [one], [], 10))
    apply_one(database, StoreCheckpoint(None, "a", 0, "1"))
    assert prune(database, "a", 1) == CheckpointsPruned([1], 0, False)
    assert reader.missing_checkpoint_parts([part(1).name]) == []
    clock.now_us += HOUR_US + 1
    assert prune(database, "a", 1) == CheckpointsPruned([], 10, False)


def test_a_fork_begins_a_thread_of_its_own(database: Database, reader: Reader) -> None:
    for n in range(3):
        put(database, "a", {"n": n, "text": TEXT})
    assert apply_one(database, ForkCheckpoint(None, "a", 2, "b")) == CheckpointStored(1)
    assert put(database, "b", {"n": 10}) == 2
    assert state_of(reader, "b", 1) == {"n": 1, "text": TEXT}
    history = [(info.agent, info.id) for info in reader.checkpoint_history("b", 2, 10)]
    assert history == [("b", 2), ("b", 1), ("a", 2), ("a", 1)]
    assert len(reader.checkpoint_history("b", 2, 3)) == 3
    assert reader.checkpoint_history("b", 9, 3) == []
    prune(database, "a", 1)
    assert [info.agent for info in reader.checkpoint_history("b", 2, 10)] == ["b", "b"]
    assert state_of(reader, "b", 1) == {"n": 1, "text": TEXT}
    for wrong, named in (
        (ForkCheckpoint(None, "a", 3, "b"), "thread 'b' has checkpoints"),
        (ForkCheckpoint(None, "a", 9, "c"), "no checkpoint 9"),
        (ForkCheckpoint(None, "a", 3, ""), "new thread"),
    ):
        with pytest.raises(InvalidInputError, match=named):
            apply_one(database, wrong)


def test_a_pin_names_one_checkpoint_and_keeps_it(database: Database, reader: Reader) -> None:
    for n in range(5):
        put(database, "a", n)
    assert apply_one(database, PinCheckpoint(None, "a", 2, "good")) == CheckpointPinned(0)
    assert apply_one(database, PinCheckpoint(None, "a", 3, "good")) == CheckpointPinned(2)
    for name in ("ä", "\1 x", "A"):
        apply_one(database, PinCheckpoint(None, "a", 3, name))
    assert prune(database, "a", 1) == CheckpointsPruned([1, 2, 4], 0, False)
    assert state_of(reader, "a", pin="good") == 2
    for found in (reader.checkpoint("a", 3), reader.checkpoint_infos("a", 9)[1]):
        assert found is not None
        assert found.pins == ["\1 x", "A", "good", "ä"]
    assert reader.checkpoint("a", pin="none") is None
    assert apply_one(database, UnpinCheckpoint(None, "a", "good")) == CheckpointUnpinned(True)
    assert apply_one(database, UnpinCheckpoint(None, "a", "good")) == CheckpointUnpinned(False)
    for wrong, named in (
        (PinCheckpoint(None, "a", 4, "good"), "no checkpoint 4"),
        (PinCheckpoint(None, "a", 3, "\0"), "without NUL"),
        (PinCheckpoint(None, "a", 3, "x" * 257), "1 to 256"),
    ):
        with pytest.raises(InvalidInputError, match=named):
            apply_one(database, wrong)
    assert prune(database, "a", 1, keep_pinned=False) == CheckpointsPruned([3], 0, False)
    assert reader.checkpoint("a", pin="ä") is None


def test_pruning_goes_on_where_a_slice_ended(database: Database, clock: StillClock) -> None:
    for n in range(10):
        put(database, "a", n)
        clock.now_us += 1_000
    first = CheckpointsPruned([1, 2, 3, 4, 5], 0, True)
    assert prune(database, "a", 2, limit=5, dry_run=True) == first
    assert prune(database, "a", 2, after=5) == CheckpointsPruned([6, 7, 8], 0, False)
    assert prune(database, "a", 1, age_us=8_000) == CheckpointsPruned([1, 2], 0, False)
    assert prune(database, "b", 1) == CheckpointsPruned([], 0, False)
    with pytest.raises(InvalidInputError, match="keep_last"):
        prune(database, "a", 0)


def test_threads_are_listed_in_the_order_of_their_characters(
    database: Database, reader: Reader
) -> None:
    names = ["A", "Z", "a", "a\1", "aa", "ä", "\uffff", "\U0001f600"]
    for name in reversed(names):
        put(database, name, 1)
        put(database, name, 2)
    assert reader.checkpoint_threads(100) == names
    assert reader.checkpoint_threads(3, after="Z") == ["a", "a\1", "aa"]
    assert reader.checkpoint_threads(0) == []
    assert reader.checkpoint_threads(3, after="\U0001f600") == []


def test_an_owner_is_there_until_it_says_goodbye(database: Database, reader: Reader) -> None:
    assert reader.checkpoint_owner("a") is None
    apply_one(database, ClaimThread(origin(1, sender="one"), "a"))
    assert reader.checkpoint_owner("a") == Owner("one", "1.1", 1, True)
    database.forget("one", "1.1")
    assert reader.checkpoint_owner("a") == Owner("one", "1.1", 1, False)


def test_participants_are_those_of_a_boot(database: Database, reader: Reader) -> None:
    for name, boot in (("b", 1), ("B", 2), ("a", 2), ("b", 2)):
        assert apply_one(database, EnrolParticipant(None, name, boot)) == ParticipantEnrolled()
    assert reader.checkpoint_participants(1) == []
    assert reader.checkpoint_participants(2) == ["B", "a", "b"]
    apply_one(database, EnrolParticipant(None, "a", 2, is_in=False))
    apply_one(database, EnrolParticipant(None, "none", 2, is_in=False))
    assert reader.checkpoint_participants(2) == ["B", "b"]


@pytest.mark.parametrize(
    "bad",
    [
        StoreCheckpoint(None, "", 0, "1"),
        StoreCheckpoint(None, "a", 0, "no JSON", [], [part(1)]),
        StoreCheckpoint(None, "a", 2**63, "1"),
        StoreCheckpoint(None, "a", 0, "1", [], [Part(b"short", 1, 0, b"x")]),
        EnrolParticipant(None, "\0", 1),
    ],
)
def test_what_cannot_be_stored_is_refused_as_a_whole(
    database: Database, reader: Reader, bad: StoreCheckpoint | EnrolParticipant
) -> None:
    with pytest.raises(InvalidInputError):
        apply_one(database, bad)
    assert reader.checkpoint_threads(9) == []
    assert reader.missing_checkpoint_parts([part(1).name]) == [part(1).name]
