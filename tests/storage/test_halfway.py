"""A command that is refused after it has changed something leaves nothing of that."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import changes
from holdfast.errors import Conflict
from holdfast.storage import once
from holdfast.storage.commands import Command
from holdfast.storage.records import AppendEvents, EventFilter, Origin
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import ChangeState
from tests.storage.conftest import ReaderOpener
from tests.storage.making import events


def origin(sender: str, number: int) -> Origin:
    return Origin(sender, "1", "writer", number)


def create(sender: str, number: int, *ids: str) -> ChangeState:
    return ChangeState(origin(sender, number), [changes.create("job", {}, id=id) for id in ids])


def test_the_commands_around_one_that_is_refused_halfway_are_carried_out_once(
    database: SqliteDatabase, open_reader: ReaderOpener
) -> None:
    group: list[Command] = [
        create("a", 1, "first"),
        AppendEvents(Origin("a", "1", "log", 1), events(2)),
        create("b", 1, "new", "first"),
        create("b", 2, "last"),
    ]
    outcomes: list[Any] = database.apply(group)
    assert isinstance(outcomes[2], Conflict)
    reader = open_reader()
    ids = ["first", "new", "last"]
    assert [row[0] for row in reader.entities_of(ids, 2**20)[0]] == ["first", "last"]
    assert [event.seq for event in reader.events(EventFilter(), 10)] == [1, 2, 3, 4]
    again: list[Any] = database.apply(group)
    assert (again[0], again[3]) == (outcomes[0], outcomes[3])
    assert isinstance(again[2], Conflict)
    assert database.last_seq == 4


def test_a_group_of_nothing_but_halves_is_begun_again_only_once(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "CAUTIOUS", 10)
    database.apply([create("a", 1, "there")])
    group = [create("b", number, f"new {number}", "there") for number in range(1, 30)]
    outcomes = database.apply(group)
    assert len(outcomes) == len(group)
    assert all(isinstance(outcome, Conflict) for outcome in outcomes)
    assert database.last_seq == 1
