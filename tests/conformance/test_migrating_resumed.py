"""A migration that was cut off is taken up where it was, and nothing is copied twice."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import psycopg
import pytest

from holdfast.storage.migrating import migration as module
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import AnewError, Place
from holdfast.storage.ports import Database
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import ChangeState, CreateEntity, DeleteEntity
from tests.conformance.moving import (
    SWAP,
    Opens,
    contents,
    migration,
    moved,
    postgresql_place,
    sqlite_place,
)
from tests.storage.making import append, events

RANGE = 7  # rows


@pytest.fixture(
    params=[
        "sqlite to postgresql",
        pytest.param("postgresql to sqlite", marks=pytest.mark.slow),
        pytest.param("sqlite to sqlite", marks=pytest.mark.slow),
    ]
)
def places(
    request: pytest.FixtureRequest, postgresql_dsn: str, tmp_path: Path
) -> tuple[Place, Place]:
    """Source and target."""
    daemon = f"d{secrets.token_hex(4)}"
    made = []
    for each in request.param.split(" to "):
        if each == "sqlite":
            made.append(sqlite_place(tmp_path, daemon))
        else:
            made.append(postgresql_place(postgresql_dsn, daemon))
    source, target = made
    return source, target


def entity(n: int, **more: int) -> CreateEntity:
    properties = ", ".join(f'"{name}": {value}' for name, value in {"n": n, **more}.items())
    return CreateEntity(f"e{n}", "t", f"{{{properties}}}")


class Load:
    """Adds events, creates entities and deletes earlier ones: of what is copied and what is not."""

    def __init__(self, writer: Database, seed: int) -> None:
        self.writer = writer
        self._random = random.Random(seed)
        self._ids: list[int] = []
        self._next, self._seq = 0, 0

    def __call__(self) -> None:
        append(self.writer, events(3, first=self._seq))
        self._seq += 3
        made = [entity(self._next + n, x=self._random.randrange(9)) for n in range(3)]
        self._ids += range(self._next, self._next + 3)
        self._next += 3
        gone = self._ids.pop(self._random.randrange(len(self._ids)))
        self.writer.apply([ChangeState(None, [*made, DeleteEntity(f"e{gone}")])])


def until(moving: Migration, slices: int, load: Load) -> int:
    """So many slices of whatever comes next; the rows that were written."""
    moving.prepare()
    progress = moving.check(9.0)
    is_copied = False
    for _ in range(slices):
        load()
        progress = moving.follow(0.0) if is_copied else moving.copy(0.0)
        is_copied = is_copied or progress.is_done
    return progress.written


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_cut_off_again_and_again_it_ends_equal_and_copies_nothing_twice(
    places: tuple[Place, Place], opens: Opens, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is started again meanwhile, and writes all the time."""
    monkeypatch.setattr(module, "RANGE", RANGE)
    source, target = places
    load = Load(opens(source), seed)
    for _ in range(12):
        load()
    load.writer.begin_capture(SWAP)
    draw, written, resumes = random.Random(seed), 0, False
    for _ in range(4):
        moving = migration(source, target, resumes=resumes)
        written += until(moving, draw.randrange(2, 30), load)
        moving.abandon()
        resumes = True
        load.writer.close()
        load.writer = opens(source)
        load()
    moving = migration(source, target, resumes=True)
    moving.prepare()
    assert moving.resumed == written > 0
    while not moving.check(0.0).is_done:
        load()
    while not moving.copy(0.0).is_done:
        load()
    load.writer.close()
    proof = moving.finish()
    assert contents(target) == contents(source)
    moving.commit()
    assert moving.verify_old().tables == proof.tables


def cut_off(writer: Database, source: Place, target: Place) -> None:
    """In the middle of the events."""
    append(writer, events(20))
    writer.apply([ChangeState(None, [entity(1)])])
    writer.begin_capture(SWAP)
    moving = migration(source, target)
    moving.prepare()
    while moving.copy(0.0).table != "streams":
        pass
    moving.abandon()


def refused(source: Place, target: Place) -> str:
    moving = migration(source, target, resumes=True)
    try:
        moving.prepare()
        while not moving.check(1.0).is_done:
            pass
    except AnewError as error:
        return str(error)
    else:
        pytest.fail("it was gone on with")
    finally:
        moving.abandon()


@pytest.fixture
def pair(postgresql_dsn: str, tmp_path: Path) -> tuple[Place, Place]:
    daemon = f"d{secrets.token_hex(4)}"
    return sqlite_place(tmp_path, daemon), postgresql_place(postgresql_dsn, daemon)


def test_what_was_copied_and_is_not_there_any_more_begins_anew(
    pair: tuple[Place, Place], opens: Opens
) -> None:
    """Somebody has changed a row of the target, or taken one away."""
    source, target = pair
    writer = opens(source)
    cut_off(writer, source, target)
    with psycopg.connect(target.dsn) as other:
        other.execute("SET search_path = holdfast")
        other.execute(
            "UPDATE entities SET properties = '{\"n\": 2}' WHERE daemon = %s", (target.daemon,)
        )
    assert "table entities of the target is not what was copied" in refused(source, target)
    moved(writer, source, target, swap="swap-2")


def test_a_target_that_was_filled_by_another_swap_begins_anew(
    pair: tuple[Place, Place], opens: Opens
) -> None:
    source, target = pair
    writer = opens(source)
    cut_off(writer, source, target)
    writer.begin_capture("swap-2")
    other = migration(source, target, swap="swap-2")
    other.prepare()
    other.abandon()
    assert "filling by swap swap-2" in refused(source, target)


def test_a_source_whose_log_was_ended_or_that_may_have_lost_something_begins_anew(
    pair: tuple[Place, Place], opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, source = sqlite_place(Path(pair[0].path).parent, pair[0].daemon), pair[0]
    writer = opens(source)
    cut_off(writer, source, target)
    from holdfast.storage.migrating.sqlite_source import SqliteSource

    with monkeypatch.context() as patch:
        patch.setattr(SqliteSource, "lineage", lambda _: "after a power loss")
        assert "may have lost what was copied" in refused(source, target)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteSource, "log_end", lambda _: -1)
        assert "has gone back" in refused(source, target)
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.storage.migrating.standing.shape", lambda: "of tomorrow")
        assert "another version of holdfast" in refused(source, target)
    assert isinstance(writer, SqliteDatabase)
    writer.end_capture()
    assert "the log of what has changed since was ended" in refused(source, target)
    Path(target.path).unlink()
    assert "the target is not there any more" in refused(source, target)
    moved(writer, source, target, swap="swap-2")
