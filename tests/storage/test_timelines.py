"""Positions across restores, against a model that knows which event each number ever was."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from holdfast.errors import CursorError
from holdfast.storage.cursors import Cursor
from holdfast.storage.records import Position
from holdfast.storage.timelines import (
    UNKNOWN,
    Fork,
    decode_forks,
    encode_forks,
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


def test_a_position_passes_only_if_all_up_to_it_is_as_it_was_when_it_was_read() -> None:
    """Backups are made and restored in any order, also of what was restored itself."""
    for seed in range(500):
        check_history(random.Random(seed))


def check_history(chosen: random.Random) -> None:
    database, backups, names = Database(1), [Database(1)], 0
    positions: list[tuple[Cursor, list[int]]] = []
    for step in chosen.choices("aaabporp", k=chosen.randint(8, 45)):
        match step:
            case "a":
                names += 1
                database.events.append(names)
            case "o":  # the writer opens it again
                database.epoch += 1
            case "b":
                backups.append(database.copy())
            case "p":
                at = chosen.randint(0, len(database.events))
                positions.append((Cursor(database.epoch, at), database.events[:at]))
            case "r":
                copy = chosen.choice(backups).copy()
                epoch = next_epoch(copy.epoch, database.epoch)
                new = Fork(epoch, copy.epoch, len(copy.events))
                forks = joined(copy.forks, database.forks, new)
                database = Database(epoch, copy.events, decode_forks(encode_forks(forks)))
    here = Position(len(database.events), database.epoch, database.forks)
    for cursor, behind in positions:
        if database.events[: cursor.seq] == behind:
            cursor.check(here)
        else:
            with pytest.raises(CursorError):
                cursor.check(here)


def test_where_nobody_can_say_how_often_the_database_was_opened_the_epoch_goes_far_ahead() -> None:
    assert next_epoch(7, None) == UNKNOWN
    assert next_epoch(UNKNOWN + 3, None) == 2 * UNKNOWN
    assert next_epoch(7, 9) == next_epoch(9, 7) == 10
