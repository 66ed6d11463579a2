"""What is saved of a damaged database: all that can be read, and nothing that was not there."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import DamagedError, StorageError
from holdfast.storage.database_file import PAGE_SIZE
from holdfast.storage.repairing import Repaired, repair_database
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from holdfast.storage.sqlite_schema import APPLICATION_ID, MIGRATIONS
from holdfast.storage.verifying import verify_database
from tests.storage.conftest import StillClock
from tests.storage.damaging import EVENTS, fill, flip, pages_of, rows_of, wipe

# Made anew by a repair, or moved on by it.
OWN = ("meta", "session_totals", "retained", "properties", "checkpoint_parts", "streams", "senders")


def opened(path: Path) -> SqliteDatabase:
    return SqliteDatabase(path, daemon="d", durability="committed", clock=StillClock())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "holdfast.db"
    database = opened(path)
    fill(database)
    database.close()
    return path


@pytest.fixture(scope="module")
def rows(whole: Path) -> dict[str, set[tuple[Any, ...]]]:
    return rows_of(whole)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "holdfast.db"))


def repaired(path: Path) -> Repaired:
    done = repair_database(str(path), lambda _: None)
    assert done.findings == []
    assert [
        one for one in verify_database(str(path), watch=lambda _: None) if one.level == "error"
    ] == []
    return done


def check_nothing_is_made_up(
    path: Path, rows: dict[str, set[tuple[Any, ...]]], *, altered: int = 0
) -> None:
    """``altered``: flips, each of which may have hit the text of one row."""
    strange = sum(
        len(found - rows[name]) for name, found in rows_of(path).items() if name not in OWN
    )
    assert strange <= altered


def test_a_whole_database_comes_out_as_it_was(
    path: Path, rows: dict[str, set[tuple[Any, ...]]]
) -> None:
    done = repaired(path)
    found = rows_of(path)
    assert {name: found[name] for name in rows if name != "meta"} == {
        name: rows[name] for name in rows if name != "meta"
    }
    assert all(saved.is_whole for saved in done.tables.values())


@pytest.mark.parametrize(
    ("name", "kind"), [("sqlite_schema", "internal"), ("events", "internal"), ("meta", "leaf")]
)
def test_what_hangs_below_a_page_that_is_gone_is_found_all_the_same(
    path: Path, rows: dict[str, set[tuple[Any, ...]]], name: str, kind: str
) -> None:
    """The head of the file, the root of the events."""
    wipe(path, next(page for page, is_ in pages_of(path, name) if is_ == kind))
    done = repaired(path)
    assert done.tables["events"].saved == len(rows["events"])
    check_nothing_is_made_up(path, rows)


def test_a_leaf_that_is_gone_costs_its_rows_and_says_how_many(
    path: Path, rows: dict[str, set[tuple[Any, ...]]]
) -> None:
    leaf = [page for page, kind in pages_of(path, "events") if kind == "leaf"][3]
    wipe(path, leaf)
    done = repaired(path)
    events = done.tables["events"]
    assert events.lost
    assert events.lost == len(rows["events"]) - events.saved
    assert events.unreadable == 1
    check_nothing_is_made_up(path, rows)
    reader = SqliteReader(path)
    assert reader.last_seq() == max(row[0] for row in rows["events"])
    reader.close()


def test_numbers_of_lost_events_are_never_given_again(path: Path) -> None:
    wipe(path, [page for page, kind in pages_of(path, "events") if kind == "leaf"][-1])
    done = repaired(path)
    database = opened(path)
    assert database.last_seq == done.last_seq >= EVENTS
    assert database.position().epoch > 1
    database.close()


def test_what_the_log_holds_is_read_too_though_the_file_is_damaged(
    whole: Path, tmp_path: Path, rows: dict[str, set[tuple[Any, ...]]]
) -> None:
    path = tmp_path / "holdfast.db"
    database = opened(path)
    fill(database)
    for suffix in ("", "-wal"):  # as a SIGKILL leaves them
        shutil.copy(f"{path}{suffix}", f"{path}.killed{suffix}")
    database.close()
    killed = Path(f"{path}.killed")
    assert os.stat(f"{killed}-wal").st_size > 10 * PAGE_SIZE
    wipe(killed, 1)
    done = repaired(killed)
    assert done.tables["events"].saved == len(rows["events"])
    assert done.aside
    assert Path(f"{done.aside}-wal").exists()


def test_a_damaged_payload_or_part_takes_what_is_made_of_it_along(
    path: Path, rows: dict[str, set[tuple[Any, ...]]]
) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE payloads SET body = CAST(x'01' || body AS BLOB) WHERE rowid = 3")
    connection.execute("UPDATE checkpoint_data SET data = CAST(x'01' || data AS BLOB) WHERE id = 2")
    connection.close()
    done = repaired(path)
    assert done.tables["payloads"].removed == done.tables["checkpoint_parts"].removed == 1
    assert done.tables["checkpoints"].removed > 0
    found = {one.check: one for one in verify_database(str(path), watch=lambda _: None)}
    assert (found["payloads"].level, found["payloads"].text.split(" events")[0]) == (
        "note",
        "a repair lost the data of 1",
    )
    check_nothing_is_made_up(path, rows)


def test_a_sender_whose_mark_is_lost_goes_on(path: Path) -> None:
    from tests.storage.making import append, event, origin

    for page, _ in pages_of(path, "senders"):
        wipe(path, page)
    done = repaired(path)
    assert done.tables["senders"].saved == 0
    database = opened(path)
    outcome = append(database, [event(9_999)], origin(EVENTS + 6))
    assert outcome.mark == EVENTS + 6
    database.close()


def test_the_damaged_database_is_kept_as_it_was(path: Path) -> None:
    flip(path, [50_000, 90_000])
    before = path.read_bytes()
    done = repaired(path)
    assert done.aside.startswith(f"{path}.damaged-2")
    assert Path(done.aside).read_bytes() == before
    assert not path.with_name(path.name + ".moving").exists()
    assert not list(path.parent.glob("*.part*"))


@pytest.mark.parametrize("version", [1, 4, 200])
def test_a_version_that_is_not_the_files_costs_nothing(
    path: Path, rows: dict[str, set[tuple[Any, ...]]], version: int
) -> None:
    with path.open("r+b") as file:
        file.seek(60)
        file.write(version.to_bytes(4, "big"))
    repaired(path)
    found = rows_of(path)
    assert {name: len(found[name]) for name in rows if name != "meta"} == {
        name: len(rows[name]) for name in rows if name != "meta"
    }


def test_a_database_of_an_older_schema_is_saved_with_it_and_migrated(tmp_path: Path) -> None:
    path = tmp_path / "holdfast.db"
    connection = apsw.Connection(str(path))
    connection.pragma("page_size", 16_384)  # as they were then
    connection.pragma("auto_vacuum", "INCREMENTAL")
    for step in MIGRATIONS[:2]:
        connection.execute(step)
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 2)
    connection.execute(
        "INSERT INTO checkpoints (agent, id, created_us, state) VALUES ('a', 1, 5, '{}')"
    )
    connection.execute("INSERT INTO senders VALUES ('s', '1.1', 'log', 0, 0, 0, 1, 0)")
    connection.close()
    done = repaired(path)
    assert done.tables["checkpoints"].saved == done.tables["senders"].saved == 1
    reader = SqliteReader(path)
    found = reader.checkpoint("a")
    assert found is not None
    assert found.size == 2
    reader.close()


def test_of_nothing_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "holdfast.db"
    path.write_bytes(os.urandom(5 * PAGE_SIZE))
    before = path.read_bytes()
    with pytest.raises(DamagedError, match="nothing in it can be read"):
        repair_database(str(path), lambda _: None)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@st.composite
def flips(draw: st.DrawFn, size: int) -> list[int]:
    """Places in the file, many of them where a byte says what the others mean."""
    anywhere = st.integers(0, size - 1)
    early = st.integers(0, 5 * PAGE_SIZE - 1)  # head, pointer map, roots
    heads = st.builds(
        lambda page, at: page * PAGE_SIZE + at,
        st.integers(1, size // PAGE_SIZE - 1),
        st.integers(0, 40),
    )
    return draw(st.lists(anywhere | early | heads, min_size=1, max_size=8))


def refusal_of(path: Path) -> StorageError | None:
    """What a start says; None where it works."""
    try:
        opened(path).close()
    except StorageError as error:
        return error
    return None


def check_flips(
    whole: Path, rows: dict[str, set[tuple[Any, ...]]], path: Path, places: list[int]
) -> None:
    shutil.copy(whole, path)
    flip(path, places)
    damaged = path.read_bytes()
    refusal = refusal_of(path)
    assert refusal is None or str(path) in str(refusal)
    assert refusal is None or path.read_bytes() == damaged, "what is refused is not changed"
    assert refusal is None or not Path(f"{path}-wal").exists()
    path.write_bytes(damaged)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    repaired(path)
    check_nothing_is_made_up(path, rows, altered=len(places))
    lost = len(rows["events"]) - len(rows_of(path)["events"])
    assert lost <= 120 * len(places), "a bit costs no more than a page"
    assert refusal_of(path) is None


@given(data=st.data())
@settings(max_examples=8)
def test_whatever_bits_flip_a_start_works_or_is_refused_and_a_repair_makes_nothing_up(
    whole: Path,
    rows: dict[str, set[tuple[Any, ...]]],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("flips") / "holdfast.db"
    check_flips(whole, rows, path, data.draw(flips(whole.stat().st_size)))


@pytest.mark.slow  # a second each
@pytest.mark.parametrize("seed", range(500))
def test_the_same_of_five_hundred_seeds(
    whole: Path, rows: dict[str, set[tuple[Any, ...]]], tmp_path: Path, seed: int
) -> None:
    chosen, size = random.Random(seed), whole.stat().st_size
    places = [
        chosen.choice(
            [
                chosen.randrange(size),
                chosen.randrange(5 * PAGE_SIZE),
                chosen.randrange(size // PAGE_SIZE) * PAGE_SIZE + chosen.randrange(40),
            ]
        )
        for _ in range(chosen.randint(1, 8))
    ]
    check_flips(whole, rows, tmp_path / "holdfast.db", places)
