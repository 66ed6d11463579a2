"""Positions across restores, against a model that knows which event each number ever was."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import CursorError
from holdfast.storage.cursors import Cursor
from holdfast.storage.records import Position
from holdfast.storage.timelines import (
    UNKNOWN,
    Fork,
    decode_forks,
    encode_forks,
    has_lost,
    joined,
    next_epoch,
)


@dataclass
class Database:
    """What it holds is a list of names that no two events share."""

    epoch: int = 0
    events: list[int] = field(default_factory=list)
    forks: tuple[Fork, ...] = ()

    def copy(self) -> Database:
        return Database(self.epoch, list(self.events), self.forks)


@settings(max_examples=500)
@given(st.data())
def test_a_position_passes_only_if_all_up_to_it_is_as_it_was_when_it_was_read(
    data: st.DataObject,
) -> None:
    """Backups are made and restored in any order, also of what was restored itself."""
    database, backups, names = Database(1), [Database(1)], 0
    positions: list[tuple[Cursor, list[int]]] = []
    for step in data.draw(st.lists(st.sampled_from("aaabcorp"), max_size=40)):
        match step:
            case "a":
                names += 1
                database.events.append(names)
            case "o":  # the writer opens it again
                database.epoch += 1
            case "b":
                backups.append(database.copy())
            case "p" | "c":
                at = data.draw(st.integers(0, len(database.events)))
                positions.append((Cursor(database.epoch, at), database.events[:at]))
            case "r":
                copy = data.draw(st.sampled_from(backups)).copy()
                epoch = next_epoch(copy.epoch, database.epoch)
                end = (copy.epoch, len(copy.events))
                forks = joined(copy.forks, database.forks, end=end, epoch=epoch)
                database = Database(epoch, copy.events, decode_forks(encode_forks(forks)))
    here = Position(len(database.events), database.epoch, database.forks)
    for cursor, behind in positions:
        if database.events[: cursor.seq] == behind:
            cursor.check(here)
        else:
            with pytest.raises(CursorError):
                cursor.check(here)


def test_a_line_that_was_left_twice_passes_for_no_other() -> None:
    """The empty database, restored twice, then one with an event, was taken for that of epoch 2."""
    forks: tuple[Fork, ...] = ()
    for epoch, end in ((2, (1, 0)), (3, (1, 0)), (4, (1, 1))):
        forks = joined((), forks, end=end, epoch=epoch)
    assert has_lost(forks, 2, 1)
    assert not has_lost(forks, 1, 1)
    assert not has_lost(forks, 4, 7)


def test_where_nobody_can_say_how_often_the_database_was_opened_the_epoch_goes_far_ahead() -> None:
    assert next_epoch(7, None) == UNKNOWN
    assert next_epoch(UNKNOWN + 3, None) == 2 * UNKNOWN
    assert next_epoch(7, 9) == next_epoch(9, 7) == 10
