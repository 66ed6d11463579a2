"""Live migration (scenario B2, the part of the storage): what is moved is all there is.

Both sides are read by sqlite3 and psycopg alone (``other_eyes``).
"""

from __future__ import annotations

import secrets
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from holdfast.storage.migrating import migration as module
from holdfast.storage.records import AppendEvents
from holdfast.storage.session_records import Session, SessionItem, StoreSessions
from holdfast.storage.stream_records import AppendStream
from holdfast.storage.verifying import verify_database
from tests.clock import ManualClock
from tests.conformance.moving import (
    contents,
    migration,
    moved,
    opened,
    postgresql_place,
    sqlite_place,
)
from tests.conformance.random_life import KEPT, PAYLOAD, Life
from tests.storage.making import event


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that things happen between any two rows."""
    monkeypatch.setattr(module, "RANGE", 3)
    monkeypatch.setattr(module, "LOG_ROWS", 9)
    monkeypatch.setattr(module, "BROUGHT", 5)


def round_trip(dsn: str, folder: Path, seed: int) -> None:
    """There and back, and to memory, all the while told more."""
    daemon, clock = f"d{secrets.token_hex(4)}", ManualClock()
    options: dict[str, Any] = {"retention": KEPT, "payload_bytes": PAYLOAD}
    places = [
        sqlite_place(folder, daemon),
        postgresql_place(dsn, daemon),
        sqlite_place(folder, daemon),
        sqlite_place(Path("/dev/shm"), daemon, name=f"holdfast-test-{daemon}"),
    ]
    life = Life(seed, clock)
    writer = opened(places[0], clock, **options)
    life.tell(writer, 60)
    try:
        for n, (source, target) in enumerate(pairwise(places)):

            def meanwhile(writer: Any = writer) -> None:
                if life.chances.random() < 0.7:
                    life.tell(writer, life.chances.randint(1, 3))

            moved(writer, source, target, swap=f"swap-{n}", meanwhile=meanwhile)
            writer = opened(target, clock, **options)
            if target.backend != "postgresql":
                found = verify_database(target.path, watch=lambda _: None)
                # The others are about what this life makes up.
                looked = ("pages", "references", "tables", "payloads", "sums")
                assert not [one for one in found if one.level == "error" and one.check in looked]
            life.tell(writer, 5)
        writer.close()
    finally:
        for path in Path("/dev/shm").glob(f"holdfast-test-{daemon}*"):
            path.unlink()


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_written_while_it_moves_there_and_back_is_there(
    postgresql_dsn: str, small_steps: None, tmp_path: Path, seed: int
) -> None:
    round_trip(postgresql_dsn, tmp_path, seed)


@pytest.mark.parametrize("is_back", [False, True], ids=["to postgresql", "to sqlite"])
def test_what_a_backend_deletes_along_with_a_row_is_counted_once(
    postgresql_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_back: bool
) -> None:
    """Payloads with their events, items with their session; each row by itself."""
    monkeypatch.setattr(module, "BROUGHT", 1)
    daemon = f"d{secrets.token_hex(4)}"
    places = [sqlite_place(tmp_path, daemon), postgresql_place(postgresql_dsn, daemon)]
    source, target = reversed(places) if is_back else places
    writer = opened(source, ManualClock(), retention=KEPT, payload_bytes=10)
    for n in range(4):
        writer.apply([AppendEvents(None, [event(n, type="t", data=f'"{n:020}"')])])
        writer.apply([_stored(f"s{n}")])
    gone = StoreSessions(None, [], ["s1", "s2"], [])
    left = [[event(9, type="t"), event(9, type="t")]]

    def meanwhile() -> None:
        if left:
            writer.apply([AppendEvents(None, left.pop()), gone])
            assert writer.retain(1.0).deletions

    writer.begin_capture("swap-0")
    moving = migration(source, target, swap="swap-0")
    moving.prepare()
    while not moving.copy(0.0).is_done:
        pass
    meanwhile()
    while not moving.follow(0.0).is_done:
        pass
    writer.close()
    proof = moving.finish()
    assert contents(target) == contents(source)
    moving.commit()
    assert moving.verify_old().tables == proof.tables


def test_a_row_whose_parent_came_after_its_table_was_copied_waits_for_the_log(
    postgresql_dsn: str, tmp_path: Path
) -> None:
    daemon = f"d{secrets.token_hex(4)}"
    source, target = sqlite_place(tmp_path, daemon), postgresql_place(postgresql_dsn, daemon)
    writer = opened(source, ManualClock())
    writer.apply([_stored("s")])
    seen: list[int] = []

    def meanwhile() -> None:
        """A new session and a new stream, after each table that was copied."""
        number = len(seen)
        seen.append(number)
        writer.apply([_stored(f"s{number}")])
        writer.apply([AppendStream(None, f"stream{number}", None, [event(number)])])

    moved(writer, source, target, meanwhile=meanwhile)


def _stored(id: str) -> StoreSessions:
    session = Session(id, "{}", "1.1:1", 1, 5, 10, 3.5)
    return StoreSessions(None, [session], [], [], items=[SessionItem(1, 5, "k", "{}", id, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 100))
def test_whatever_is_written_while_it_moves_is_there_for_many_seeds(
    postgresql_dsn: str, small_steps: None, tmp_path: Path, seed: int
) -> None:
    round_trip(postgresql_dsn, tmp_path, seed)
