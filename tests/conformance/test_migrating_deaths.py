"""The copier is killed at every phase (scenarios B3 and B4, the part of the storage).

It is a process of its own that kills itself with SIGKILL where the test says.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from holdfast.errors import StorageError
from holdfast.storage.migrating import old
from holdfast.storage.migrating.migration import Migration
from holdfast.storage.migrating.ports import AnewError, Place
from holdfast.storage.migrating.postgresql_target import PostgresqlTarget
from holdfast.storage.migrating.sqlite_target import SqliteTarget
from holdfast.storage.ports import Database
from tests.clock import ManualClock
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

# What it is about to do, how often it has done it before, and whether it has done it by then.
BEFORE: Final = (
    ("insert", 0, "before"),
    ("insert", 1, "after"),  # of two tables: in the middle of the copy
    ("replace", 0, "after"),  # what changed meanwhile
    ("settle", 0, "before"),  # the source is locked
    ("complete", 0, "before"),
    ("complete", 0, "after"),  # and the commit point is not written
)
DIRECTIONS: Final = (
    "sqlite to postgresql",
    pytest.param("postgresql to sqlite", marks=pytest.mark.slow),
)


@pytest.fixture(params=DIRECTIONS)
def places(
    request: pytest.FixtureRequest, postgresql_dsn: str, tmp_path: Path
) -> tuple[Place, Place]:
    """Source and target."""
    daemon = f"d{secrets.token_hex(4)}"
    made = {
        "sqlite": sqlite_place(tmp_path, daemon),
        "postgresql": postgresql_place(postgresql_dsn, daemon),
    }
    source, _, target = request.param.split(" ")
    return made[source], made[target]


class Copier:
    """A process that migrates; it stops between the phases until it is told to go on.

    It is made before there is a writer, whose lock it would hold else.
    """

    def __init__(self, source: Place, target: Place, fatal: Callable[[], None]) -> None:
        self._ready, ready = os.pipe()
        go_on, self._go_on = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._run(source, target, fatal, go_on, ready)
        os.close(ready)
        os.close(go_on)

    def _run(
        self, source: Place, target: Place, fatal: Callable[[], None], go_on: int, ready: int
    ) -> NoReturn:
        try:
            fatal()
            os.read(go_on, 1)
            moving = migration(source, target)
            moving.prepare()
            while not moving.copy(1.0).is_done:
                pass
            os.write(ready, b"c")
            os.read(go_on, 1)
            moving.follow(1.0)
            os.write(ready, b"f")
            os.read(go_on, 1)
            moving.finish()
            moving.commit()
        finally:
            os._exit(1)

    def is_there_after(self, phase: bytes) -> bool:
        """Once it has got so far, or is dead."""
        return os.read(self._ready, 1) == phase

    def go_on(self) -> None:
        os.write(self._go_on, b"!")

    def killed(self) -> bool:
        """Wait for it."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self._ready)
        os.close(self._go_on)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def killing(method: str, times: int, when: str) -> Callable[[], None]:
    """What makes a process die at that call of a target."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def fatal() -> None:
        left = [times]
        for each in (SqliteTarget, PostgresqlTarget):
            whole = getattr(each, method)

            def broken(*arguments: Any, whole: Any = whole) -> Any:
                left[0] -= 1
                if left[0] < 0 and when == "before":
                    kill()
                found = whole(*arguments)
                if left[0] < 0:
                    kill()
                return found

            setattr(each, method, broken)

    return fatal


@pytest.mark.parametrize("point", BEFORE, ids=lambda point: " ".join(map(str, point)))
def test_a_copier_that_is_killed_leaves_the_source_as_it_is_and_a_second_one_goes_on(
    places: tuple[Place, Place], opens: Opens, point: tuple[str, int, str]
) -> None:
    source, target = places
    copier = Copier(source, target, killing(*point))
    writer = opens(source)
    append(writer, events(40))
    _change(writer)
    writer.begin_capture(SWAP)
    copier.go_on()
    if copier.is_there_after(b"c"):
        append(writer, events(5, first=40))
        _change(writer)
        copier.go_on()
        if copier.is_there_after(b"f"):
            append(writer, events(5, first=45))
            _change(writer)
            writer.close()
            copier.go_on()
    assert copier.killed()
    writer.close()
    before = contents(source)
    again = opens(source)
    append(again, events(1, first=60))
    if point != ("complete", 0, "after"):
        with pytest.raises(StorageError, match="half filled"):
            opens(target)
    if point == ("insert", 0, "before"):
        with pytest.raises(AnewError, match="nothing was copied yet"):
            migration(source, target, resumes=True).prepare()
        moved(again, source, target, swap="swap-2")
    else:
        moved(again, source, target, resumes=True)
    assert len(contents(target)["events"]) == len(before["events"]) + 1


def test_a_copier_that_is_killed_behind_the_commit_point_is_finished_by_others(
    places: tuple[Place, Place], opens: Opens
) -> None:
    source, target = places
    copier = Copier(source, target, lambda: _die_in(Migration, "commit"))
    writer = opens(source)
    append(writer, events(20))
    writer.begin_capture(SWAP)
    copier.go_on()
    assert copier.is_there_after(b"c")
    copier.go_on()
    assert copier.is_there_after(b"f")
    writer.close()
    copier.go_on()
    assert copier.killed()
    new = opens(target)  # as the commit point says
    append(new, events(1, first=20))
    where = old.retire(source, swap=SWAP, other=target.where, clock=ManualClock())
    assert old.retire(source, swap=SWAP, other=target.where, clock=ManualClock())
    assert where
    assert len(old.old_data(source)) == 1
    if source.backend == "postgresql":
        with pytest.raises(StorageError, match="is old data"):
            opens(source)
    while not old.forget(source, 1.0):
        pass
    assert old.old_data(source) == []
    assert opens(source).last_seq == 0


def _die_in(owner: type, method: str) -> None:
    setattr(owner, method, lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def _change(writer: Database) -> None:
    """Something that is in the log."""
    from holdfast.storage.state_records import ChangeState, CreateEntity

    entity = CreateEntity(secrets.token_hex(4), "agent", '{"n": 1}')
    writer.apply([ChangeState(None, [entity])])
