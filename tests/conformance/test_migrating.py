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
from holdfast.storage.verifying import verify_database
from tests.clock import ManualClock
from tests.conformance.moving import moved, opened, postgresql_place, sqlite_place
from tests.conformance.random_life import KEPT, PAYLOAD, Life


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


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_written_while_it_moves_there_and_back_is_there(
    postgresql_dsn: str, small_steps: None, tmp_path: Path, seed: int
) -> None:
    round_trip(postgresql_dsn, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 100))
def test_whatever_is_written_while_it_moves_is_there_for_many_seeds(
    postgresql_dsn: str, small_steps: None, tmp_path: Path, seed: int
) -> None:
    round_trip(postgresql_dsn, tmp_path, seed)
