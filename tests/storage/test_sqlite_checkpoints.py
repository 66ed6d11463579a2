"""Checkpoints in the file: parts kept once, and pruning that breaks nothing."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.errors import InvalidInputError
from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    CheckpointPinned,
    CheckpointsPruned,
    CheckpointStored,
    CheckpointUnpinned,
    ForkCheckpoint,
    PartsMissing,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    UnpinCheckpoint,
)
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.storage.checkpoint_making import put, rows, state_of
from tests.storage.conftest import Opener, ReaderOpener, StillClock
from tests.storage.making import apply_one

HOUR_US = 3_600_000_000


def test_a_thousand_checkpoints_of_a_growing_conversation_take_what_it_grows_by(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    """Scenario D11, FACTS 46: O(n), not O(n^2)."""
    system = "".join(map(str, range(2_000)))
    turns: list[dict[str, str]] = []

    def grow(until: int) -> tuple[int, int]:
        while len(turns) < until:
            turns.append({"role": "user", "content": f"{len(turns)}:" + "word " * 190})
            state = {"system": system, "messages": turns, "step": len(turns)}
            put(database, "planner", state, reader=reader)
        sql = "SELECT (SELECT count(*) FROM checkpoint_parts), (SELECT sum(length(data)) FROM"
        sql += " checkpoint_data) + (SELECT sum(length(state) + length(pieces)) FROM checkpoints)"
        ((count, size),) = rows(path, sql)
        assert isinstance(count, int)
        assert isinstance(size, int)
        return count, size

    half_count, half_size = grow(500)
    count, size = grow(1_000)
    whole = sum(len(str(turns[:n])) for n in range(1, 1_001, 100)) * 100  # all states in full
    assert count < 2.5 * half_count
    assert size < 2.6 * half_size
    assert size < whole / 100
    assert state_of(reader, "planner", 700) == {
        "system": system,
        "messages": turns[:700],
        "step": 700,
    }


def test_identical_parts_are_kept_once_whoever_puts_them(
    database: SqliteDatabase, path: Path
) -> None:
    """Scenario D11."""
    for agent in ("a", "b", "c"):
        put(database, agent, {"who": agent, "text": "same " * 4_000})
    assert rows(path, "SELECT refs FROM checkpoint_parts") == [(3,)] * 3
    assert len(rows(path, "SELECT 1 FROM checkpoint_data")) == 3


def test_parts_that_neither_came_nor_are_there_are_asked_for(
    database: SqliteDatabase, reader: SqliteReader
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
    open_database: Opener, path: Path
) -> None:
    clock = StillClock()
    database = open_database(clock=clock)
    apply_one(database, StoreParts(None, parts.pack(parts.lay_out("lost " * 5_000).parts)))
    put(database, "a", "kept " * 5_000)
    before = len(rows(path, "SELECT 1 FROM checkpoint_data"))
    apply_one(database, PruneCheckpoints(None, "a", 1))
    assert len(rows(path, "SELECT 1 FROM checkpoint_data")) == before
    clock.now_us += HOUR_US + 1
    pruned = apply_one(database, PruneCheckpoints(None, "a", 1))
    assert isinstance(pruned, CheckpointsPruned)
    assert pruned.freed > 0
    refs = rows(path, "SELECT refs FROM checkpoint_parts")
    assert refs
    assert all(count == (1,) for count in refs)


def test_a_fork_begins_a_thread_of_its_own_and_copies_nothing(
    database: SqliteDatabase, reader: SqliteReader, path: Path
) -> None:
    for n in range(3):
        put(database, "a", {"n": n, "text": "same " * 4_000})
    assert apply_one(database, ForkCheckpoint(None, "a", 2, "b")) == CheckpointStored(1)
    assert put(database, "b", {"n": 10}) == 2
    assert state_of(reader, "b", 1) == {"n": 1, "text": "same " * 4_000}
    assert len(rows(path, "SELECT 1 FROM checkpoint_data")) == 3
    history = reader.checkpoint_history("b", 2, 10)
    assert [(info.agent, info.id) for info in history] == [("b", 2), ("b", 1), ("a", 2), ("a", 1)]
    for wrong in (ForkCheckpoint(None, "a", 2, "b"), ForkCheckpoint(None, "a", 9, "c")):
        with pytest.raises(InvalidInputError):
            apply_one(database, wrong)


def test_a_pin_names_one_checkpoint_and_keeps_it(
    database: SqliteDatabase, reader: SqliteReader
) -> None:
    for n in range(5):
        put(database, "a", n)
    assert apply_one(database, PinCheckpoint(None, "a", 2, "good")) == CheckpointPinned(0)
    assert apply_one(database, PinCheckpoint(None, "a", 3, "good")) == CheckpointPinned(2)
    assert apply_one(database, PruneCheckpoints(None, "a", 1)) == CheckpointsPruned(
        [1, 2, 4], 0, False
    )
    assert state_of(reader, "a", pin="good") == 2
    found = reader.checkpoint("a", pin="good")
    assert found is not None
    assert found.pins == ["good"]
    assert apply_one(database, UnpinCheckpoint(None, "a", "good")) == CheckpointUnpinned(True)
    assert apply_one(database, UnpinCheckpoint(None, "a", "good")) == CheckpointUnpinned(False)
    with pytest.raises(InvalidInputError, match="no checkpoint 4"):
        apply_one(database, PinCheckpoint(None, "a", 4, "good"))


def test_pruning_goes_on_where_a_slice_ended(database: SqliteDatabase) -> None:
    for n in range(10):
        put(database, "a", n)
    first = apply_one(database, PruneCheckpoints(None, "a", 2, limit=5, dry_run=True))
    assert first == CheckpointsPruned([1, 2, 3, 4, 5], 0, True)
    assert apply_one(database, PruneCheckpoints(None, "a", 2, after=5)) == CheckpointsPruned(
        [6, 7, 8], 0, False
    )
    with pytest.raises(InvalidInputError, match="keep_last"):
        apply_one(database, PruneCheckpoints(None, "a", 0))


# -- pruning against a model -------------------------------------------------------------------

AGENTS = ("a", "b")
TEXTS = tuple(f"{n} " * 9_000 for n in range(4))  # shared by the states, several parts each


class Pruning(RuleBasedStateMachine):
    """Scenario D11: what remains is whole, what has gone was to go, no part is there for nobody."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.clock = StillClock()
        self.path = folder / "p.db"
        self.database = SqliteDatabase(
            self.path, daemon="d", durability="committed", clock=self.clock
        )
        self.reader = SqliteReader(self.path)
        self.kept: dict[tuple[str, int], tuple[object, int]] = {}
        self.pins: dict[tuple[str, str], int] = {}
        self.newest = dict.fromkeys((*AGENTS, "f0", "f1", "f2"), 0)

    def teardown(self) -> None:
        self.reader.close()
        self.database.close()

    @rule(agent=st.sampled_from(AGENTS), which=st.lists(st.integers(0, 3), max_size=3))
    def put(self, agent: str, which: list[int]) -> None:
        state = {f"key{n}": text for n, text in enumerate(map(TEXTS.__getitem__, which))} | {
            "n": len(self.kept)
        }
        self.newest[agent] += 1
        assert put(self.database, agent, state) == self.newest[agent]
        self.kept[agent, self.newest[agent]] = (state, self.clock.now_us)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.clock.now_us += seconds * 1_000_000

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), name=st.sampled_from(["x", "y"]))
    def pin(self, data: st.DataObject, name: str) -> None:
        agent, id = data.draw(st.sampled_from(sorted(self.kept)))
        apply_one(self.database, PinCheckpoint(None, agent, id, name))
        self.pins[agent, name] = id

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), to=st.sampled_from(["f0", "f1", "f2"]))
    def fork(self, data: st.DataObject, to: str) -> None:
        if self.newest[to]:
            return
        agent, id = data.draw(st.sampled_from(sorted(self.kept)))
        apply_one(self.database, ForkCheckpoint(None, agent, id, to))
        self.newest[to] = 1
        self.kept[to, 1] = (self.kept[agent, id][0], self.clock.now_us)

    @rule(
        agent=st.sampled_from(AGENTS),
        keep_last=st.integers(1, 4),
        age=st.none() | st.integers(0, 30),
        keep_pinned=st.booleans(),
        dry_run=st.booleans(),
    )
    def prune(
        self, agent: str, keep_last: int, age: int | None, keep_pinned: bool, dry_run: bool
    ) -> None:
        ids = sorted(id for name, id in self.kept if name == agent)
        pinned = {id for (name, _), id in self.pins.items() if name == agent}
        doomed = [
            id
            for id in ids[:-keep_last]
            if (age is None or self.kept[agent, id][1] < self.clock.now_us - age * 1_000_000)
            and not (keep_pinned and id in pinned)
        ]
        age_us = -1 if age is None else age * 1_000_000
        command = PruneCheckpoints(
            None, agent, keep_last, age_us, keep_pinned, dry_run=dry_run, limit=1_000
        )
        outcome = apply_one(self.database, command)
        assert isinstance(outcome, CheckpointsPruned)
        assert outcome.ids == doomed
        if not dry_run:
            for id in doomed:
                del self.kept[agent, id]
            self.pins = {key: id for key, id in self.pins.items() if (key[0], id) in self.kept}

    @invariant()
    def all_that_remains_is_whole(self) -> None:
        for (agent, id), (state, _) in self.kept.items():
            assert state_of(self.reader, agent, id) == state
        found = rows(self.path, "SELECT agent, id FROM checkpoints")
        assert set(found) == set(self.kept)
        pins = rows(self.path, "SELECT agent, name, id FROM checkpoint_pins")
        assert {(agent, name): id for agent, name, id in pins} == self.pins

    @invariant()
    def every_part_is_counted(self) -> None:
        names: dict[bytes, int] = {}
        for agent, id in self.kept:
            found = self.reader.checkpoint(agent, id)
            assert found is not None
            for name in {name for piece in found.pieces for name in piece.parts}:
                names[name] = names.get(name, 0) + 1
        counted = rows(self.path, "SELECT hash, refs FROM checkpoint_parts")
        assert {name: refs for name, refs in counted} == names
        data = rows(self.path, "SELECT count(*) FROM checkpoint_data")
        assert data == [(len(names),)]


def test_pruning_never_breaks_what_remains(tmp_path_factory: pytest.TempPathFactory) -> None:
    class InFolders(Pruning):
        def __init__(self) -> None:
            super().__init__(tmp_path_factory.mktemp("pruning"))

    run_state_machine_as_test(
        InFolders, settings=settings(max_examples=15, stateful_step_count=25, deadline=None)
    )


# -- the older file -----------------------------------------------------------------------------


def test_checkpoints_of_an_older_file_are_there_with_their_parents(
    path: Path, open_database: Opener, open_reader: ReaderOpener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario D13."""
    from holdfast.storage import schema_checkpoints, sqlite_schema

    before = sqlite_schema.MIGRATIONS.index(schema_checkpoints.MIGRATION)
    monkeypatch.setattr(sqlite_schema, "VERSION", before)
    old = apsw.Connection(str(path))
    sqlite_schema.migrate(old, 0)
    for id in (1, 2):
        old.execute("INSERT INTO checkpoints VALUES ('a', ?, 5, '{\"ä\": 1}')", (id,))
    old.close()
    monkeypatch.undo()
    database = open_database()
    reader = open_reader()
    assert state_of(reader, "a", 2) == {"ä": 1}
    infos = reader.checkpoint_infos("a", 10)
    assert [(info.id, info.size, info.parent) for info in infos] == [
        (2, 9, ("a", 1)),
        (1, 9, None),
    ]
    assert put(database, "a", 3) == 3
    ((created, size, text),) = rows(
        path, "SELECT created, bytes, state FROM checkpoints_readable WHERE id = 3"
    )
    assert (created, size, text) == ("2023-11-14T22:13:20.000000Z", 1, "3")
