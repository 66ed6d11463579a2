"""Queries of a large database from another process, beside the plain SQL of each in this one.

What subject, correlation, cause and full text cost the writer is measured at the storage: there is
no queue in between that could hide it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import apsw
import msgspec

import holdfast
from benchmarks.daemon import running_daemon
from benchmarks.material import DATA, SOURCE, TYPE, trace_texts
from benchmarks.measure import Budget, Figure, Round, absolute, compare, interleave, timed
from holdfast.clock import SystemClock
from holdfast.storage import jsontext
from holdfast.storage.records import AppendEvents, RawEvent
from holdfast.storage.sqlite import SqliteDatabase

__all__ = ["run"]

LIMIT: Final = 100
CALLS: Final = 20  # a round
BULK: Final = 1_000  # events in one transaction
FRAMES: Final = 5  # of them in a round of what the writer pays
SESSIONS: Final = 1_000
RARE: Final = 1_000  # one event in so many is of the type looked for
CHAIN: Final = 100  # events of one correlation
START: Final = 1_700_000_000_000_000  # microseconds; then one event a millisecond
COLUMNS: Final = (
    "seq, daemon, time_us, type, source, subject, session, correlation, cause, root, depth, key,"
    " data, payload"
)


def run(budget: Budget) -> list[Figure]:
    """The median of each query, then what the writer pays for indexes."""
    count = budget.database
    middle = START + count // 2 * 1_000
    span = {"since": middle, "until": middle + LIMIT * 1_000}
    questions: list[tuple[str, str, dict[str, Any]]] = [
        ("newest 100", "true ORDER BY seq DESC", {"reverse": True}),
        ("by session", "session = 's7' ORDER BY seq", {"session": "s7"}),
        ("by type", "type = 'rare' ORDER BY seq DESC", {"types": "rare", "reverse": True}),
        ("by time", f"time_us >= {span['since']} AND time_us < {span['until']} ORDER BY seq", span),
        ("by correlation", "correlation = 'c9' ORDER BY seq", {"correlation": "c9"}),
    ]
    figures: list[Figure] = []
    with (
        filled_folder(count) as folder,
        running_daemon(data_dir=folder) as daemon,
        daemon.connect() as hub,
    ):
        viewer = apsw.Connection(str(folder / "holdfast.db"), flags=apsw.SQLITE_OPEN_READONLY)
        for name, where, asked in questions:
            ours, floor = interleave(
                budget.seconds / 5, _asking(hub, asked), _reading(viewer, where)
            )
            figures.append(compare(f"{count:,} events: {name}", "ms", ours, floor))
        groups = "SELECT type, time_us / 3600000000, count(*) FROM events GROUP BY 1, 2"
        ours, floor = interleave(
            budget.seconds / 5,
            lambda: _once(lambda: hub.events.aggregate("type", bucket=3600)),
            lambda: _once(lambda: viewer.execute(groups).fetchall()),
        )
        figures.append(compare(f"{count:,} events: by type and hour", "ms", ours, floor))
        viewer.close()
    return figures + _costs(budget)


def _asking(hub: holdfast.Hub, asked: dict[str, Any]) -> Callable[[], Round]:
    def ask() -> None:
        assert len(hub.events.query(**asked, limit=LIMIT)) == LIMIT

    return lambda: [microseconds / 1000 for microseconds in timed(CALLS, ask)]


def _reading(viewer: apsw.Connection, where: str) -> Callable[[], Round]:
    """The rows and their data decoded, as a program that has the file would have them."""
    sql = f"SELECT {COLUMNS} FROM events WHERE {where} LIMIT {LIMIT}"

    def read() -> None:
        rows: list[Any] = viewer.execute(sql).fetchall()
        assert len([msgspec.json.decode(row[12]) for row in rows]) == LIMIT

    return lambda: [microseconds / 1000 for microseconds in timed(CALLS, read)]


def _once(work: Callable[[], object]) -> Round:
    began = perf_counter()
    work()
    return [(perf_counter() - began) * 1000]


@contextmanager
def filled_folder(count: int) -> Iterator[Path]:
    """A data directory whose database holds as many, of many sessions and correlations."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        with _opened(folder) as database:
            for first in range(0, count, BULK):
                _append(database, [_event(number) for number in range(first, first + BULK)])
        yield folder


_TEXT: Final = jsontext.encode(DATA)


def _event(number: int) -> RawEvent:
    kind = "rare" if number % RARE == 0 else TYPE
    correlation = f"c{number // CHAIN}"
    session = f"s{number % SESSIONS}"
    rest = (correlation, None, None, 0, None, _TEXT)
    return (START + number * 1_000, kind, SOURCE, None, session, *rest)


@contextmanager
def _opened(folder: Path, *, full_text: bool = False) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(
        folder / "holdfast.db",
        daemon="bench",
        durability="committed",
        clock=SystemClock(),
        full_text=full_text,
    )
    try:
        yield database
    finally:
        database.close()


def _append(database: SqliteDatabase, events: list[RawEvent]) -> None:
    outcomes: list[Any] = database.apply([AppendEvents(None, events)])
    assert outcomes[0].stored == len(events), outcomes
    database.checkpoint()


def _costs(budget: Budget) -> list[Figure]:
    """Rates of the writer with and without what an event may have, and with full text."""
    texts = trace_texts()

    def plain(number: int) -> RawEvent:
        return _made(number, texts, None, None, None)

    def placed(number: int) -> RawEvent:
        names = (f"subject {number % 100}", f"c{number // 20}", f"r{number // 5}")
        return _made(number, texts, *names)

    with (
        tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name,
        _opened(_made_folder(name, "plain")) as bare,
        _opened(_made_folder(name, "placed")) as with_places,
        _opened(_made_folder(name, "text"), full_text=True) as with_text,
    ):
        floor, ours, text = interleave(
            budget.seconds,
            _writing(bare, plain),
            _writing(with_places, placed),
            _writing(with_text, plain),
        )
        names = ("plain", "text")
        for database in (bare, with_text):
            database.close()  # which leaves all of it in the file
        sizes = [Path(name, each, "holdfast.db").stat().st_size for each in names]
    grown = [[sizes[1] / sizes[0]]]
    return [
        compare("writer: with subject, correlation, root", "1/s", ours, floor, better="higher"),
        compare("writer: with full text", "1/s", text, floor, better="higher"),
        absolute("database with full text: times as large", "x", grown),
    ]


def _made_folder(*parts: str) -> Path:
    folder = Path(*parts)
    folder.mkdir()
    return folder


def _made(
    number: int, texts: list[str], subject: str | None, correlation: str | None, root: str | None
) -> RawEvent:
    cause = None if root is None else f"cause {number}"
    text = texts[number % len(texts)]
    session = f"s{number % SESSIONS}"
    rest = (correlation, cause, root, 0 if root is None else 1, None, text)
    return (START + number, TYPE, SOURCE, subject, session, *rest)


def _writing(database: SqliteDatabase, make: Callable[[int], RawEvent]) -> Callable[[], Round]:
    numbers = iter(range(10**9))

    def write() -> Round:
        frames = [[make(number) for number in islice(numbers, BULK)] for _ in range(FRAMES)]
        began = perf_counter()
        for frame in frames:
            _append(database, frame)
        return [FRAMES * BULK / (perf_counter() - began)]

    return write
