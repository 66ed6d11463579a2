"""Full-text search: the same events in the same order, and the same refusals, on every backend."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidInputError
from holdfast.storage.filters import EventFilter
from holdfast.storage.ports import Database, Reader
from holdfast.storage.postgresql.reader import PostgresqlReader
from holdfast.storage.records import AppendEvents, Event
from holdfast.storage.retention_records import Retention, Rule
from holdfast.storage.sqlite import SqliteReader
from tests.actors.test_search import wait_until_indexed
from tests.clock import ManualClock
from tests.conformance.conftest import Backend
from tests.conformance.moving import moved, opened, postgresql_place, sqlite_place
from tests.conformance.servers import PostgresqlServer, running_postgresql
from tests.conformance.sides import Asked, answer, both_sides
from tests.daemon import CONFIG, Daemon
from tests.supervisors.swap_rig import configured

ALL: Final = EventFilter()
LONG: Final = "z" * 125  # as long as a word is in PostgreSQL's index
# What folding, splitting and listing of words may go wrong with.
WORDS: Final = [
    "a", "b", "ab", "Ab", "A\u0308b", "\u00e4b", "caf\u00e9", "CAFE", "stra\u00dfe", "\u0130", "i",
    "\u65e5\u672c", "\u65e5\u672c\u8a9e", "\u0e01\u0e34", "\U0001f600", "\U00020000", "\ue000",
    "\u1e9e", "\u01c5", "\ufb01", "\uac00", "1", "1.5", "a_b", "a-b", "it's", "a:1", "'a'", "\\",
    "\0", "a\0b", "\1", "\u2028", "\u00a0", "AND", "NEAR", "a\x1ab", "a\u0301\u0308", "\ufffd",
    LONG, LONG + "y", LONG + "yy", "\u00e9" * 126, "\U00020000" * 130, "x" * 3_000,
]  # fmt: skip


def raw(data: str, **fields: Any) -> Event:
    return Event(time_us=1, type="t", source="s", data=data, **fields)


def told(data: object, **fields: Any) -> Event:
    return raw(json.dumps(data), **fields)


def found(reader: Reader, text: str, filter: EventFilter = ALL, **options: Any) -> list[int]:
    return [event.seq for event in reader.search(text, filter, 100, **options)]


def work_off(database: Database, seconds: float = 0.001) -> int:
    slices = 0
    while database.has_chores:
        database.work_off(seconds)
        slices += 1
    return slices


few = st.sampled_from(["a", "b", "ab", "caf\u00e9"])
some_odd = st.deferred(lambda: st.sampled_from(WORDS))
words = st.one_of(
    few, few, few, st.sampled_from(WORDS), st.sampled_from(WORDS), st.text(max_size=4)
)
texts = st.lists(words, max_size=6).map(" ".join)
scalars = st.one_of(texts, texts, st.integers(), st.floats(allow_nan=False), st.booleans())
data = st.one_of(texts, st.lists(scalars, max_size=4), st.dictionaries(words, scalars, max_size=3))
encoded = st.builds(lambda each, plain: json.dumps(each, ensure_ascii=plain), data, st.booleans())
quoted = st.lists(words, max_size=2).map(lambda some: '"' + " ".join(some).replace('"', '""') + '"')
strings = st.deferred(lambda: st.one_of(few, few, few, few, quoted, quoted, st.sampled_from(WORDS)))
phrases = st.builds(
    lambda some, star: " + ".join(some) + star,
    st.lists(strings, min_size=1, max_size=2),
    st.sampled_from(["", "", "", "*"]),
)
nears = st.builds(
    lambda some, end: f"NEAR({' '.join(some)}{end})",
    st.lists(phrases, min_size=1, max_size=3),
    st.sampled_from(["", ", 1", ", 2"]),
)
leaves = st.deferred(
    lambda: st.one_of(phrases, phrases, phrases, phrases, nears, phrases.map("^ {}".format))
)
sides_by_side = st.lists(leaves, min_size=2, max_size=3).map(" ".join)
joining = st.sampled_from(["AND", "OR", "OR", "OR", "NOT", "NOT"])
columns = st.sampled_from(["text", "text", "-text", "{text}", "- {text}", '"text"', "no"])
asked = st.recursive(
    st.one_of(leaves, leaves, sides_by_side),
    lambda some: st.one_of(
        st.builds("{} {} {}".format, some, joining, some),
        st.builds("{} {} {}".format, some, joining, some),
        some.map("({})".format),
        st.builds("{}: ({})".format, columns, some),
        st.builds("{} : {}".format, columns, leaves),
        st.builds("{} {}".format, some, some),
    ),
    max_leaves=5,
)


@pytest.mark.slow  # 2,000 searches of each; a few examples of what they find are below
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    some=st.lists(encoded, min_size=1, max_size=12),
    texts=st.lists(asked, min_size=10),
    up=st.booleans(),
)
def test_nobody_can_tell_the_backends_apart_postgresql(
    postgresql_dsn: str, some: list[str], texts: list[str], up: bool
) -> None:
    with both_sides(postgresql_dsn, ManualClock(), full_text=True, payload_bytes=500) as sides:
        for side in sides:
            side.database.apply([AppendEvents(None, [raw(text) for text in some])])
        for text in texts:
            question: Asked = ("search", text, ALL, 5, not up)
            ours, theirs = (answer(side.reader, question) for side in sides)
            assert ours == theirs, text


@pytest.fixture
def database(backend: Backend) -> Database:
    """With an index, and large data apart."""
    return backend.database(full_text=True, payload_bytes=1_000)


def append(database: Database, *events: Event) -> None:
    database.apply([AppendEvents(None, events)])


def test_words_phrases_and_their_neighbours_are_found_in_order(
    database: Database, reader: Reader
) -> None:
    append(database, told({"command": "ls -la"}), told({"a": [{"b": "the Caf\u00e9\nof ls"}]}))
    append(database, told({"ls": "field"}), told("bare", session="s"), told({"n": 4711, "t": True}))
    append(database, told({"$bytes": "bHMK"}), told("of ls " + "x " * 1_000))
    assert found(reader, "ls") == [7, 2, 1]
    assert found(reader, "ls", reverse=False) == [1, 2, 7]
    assert [event.seq for event in reader.search("ls", ALL, 2, False)] == [1, 2]
    assert found(reader, "ls", EventFilter(after=1, before=7)) == [2]
    assert found(reader, "bar* OR 4711", EventFilter(session="s")) == [4]
    assert found(reader, "cafe") == [2]
    assert found(reader, '"of ls"') == [7, 2]
    assert found(reader, '"ls of"') == []
    assert found(reader, "NEAR(ls cafe, 1)") == [2]
    assert found(reader, "^of + ls") == [7]
    assert found(reader, "ls NOT la") == [7, 2]
    assert found(reader, "ls NOT (of ls)") == [1]
    assert found(reader, "bHMK") == found(reader, '""') == found(reader, 'ls AND ""') == []
    assert not database.has_chores


chances = Random(1)


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("w " * 300, "w"),  # more places of one word than PostgreSQL keeps
        ("".join(f"w{n} " for n in range(16_390)), "w9"),  # places further behind than it keeps
        (
            "".join(f"{chances.getrandbits(320):x} " for _ in range(13_500)),
            "x*",
        ),  # more bytes of words
        ("v" * 3_000 + " ", "v*"),  # a longer word
        ("\u00e9" * 40_000 + " ", "\u00e9*"),  # longer than FTS5 keeps
    ],
    ids=["one-word", "places", "bytes", "word", "longest"],
)
def test_large_texts_are_searched_as_small_ones(
    database: Database, reader: Reader, before: str, kept: str
) -> None:
    append(database, told(before + "x y z"), told("x z y"), told(before), told("x"))
    assert found(reader, "x") == [4, 2, 1]
    assert found(reader, '"x y"') == [1]
    assert found(reader, 'x NOT "x y"') == [4, 2]
    assert found(reader, f"x AND {kept}") == ([4, 2, 1] if kept == "x*" else [1])
    (first, *_) = before.split()
    assert found(reader, f"{first} NOT x") == [3]
    assert found(reader, f"{first[:2_000]}* NOT x") == [3]
    if len(first) > len(LONG):
        assert found(reader, first[: len(LONG)]) == []
    assert found(reader, f"{first}q") == ([3, 1] if len(first) == 40_000 else [])


def test_what_nobody_can_take_apart_has_no_words(database: Database, reader: Reader) -> None:
    """PostgreSQL stores JSON that is nested deeper than SQLite reads."""
    append(database, raw("[" * 1_500 + '"deep"' + "]" * 1_500), raw('"\\ud800 shallow \\u0000"'))
    assert found(reader, "deep OR shallow") == [reader.last_seq()]


def test_what_is_refused_or_repeated_leaves_no_words(database: Database, reader: Reader) -> None:
    append(database, told("first", key="k"))
    append(database, told("second"), told("repeated", key="k"), raw("no json {"), told("third"))
    append(database, raw("[" + '"refused"' * 500), told("fourth"))
    assert found(reader, "second OR third OR fourth") == [4, 3, 2]
    assert found(reader, "repeated OR refused OR json") == []


def test_a_deleted_event_is_not_found_and_its_words_are_gone(backend: Backend) -> None:
    rules = Retention((Rule("*", max_count=2),))
    database = backend.database(full_text=True, retention=rules)
    append(database, *(told(f"word number{n}") for n in range(5)))
    while not database.retain(10.0).is_done:
        pass
    assert found(backend.reader(), "word") == [5, 4]
    assert indexed(backend) == [4, 5]


def indexed(backend: Backend) -> list[int]:
    """Numbers of the rows that are there, as others see it."""
    if backend.name == "sqlite":
        with closing(sqlite3.connect(backend.where)) as viewer:
            rows = viewer.execute("SELECT id FROM events_text_docsize").fetchall()
    else:
        with psycopg.connect(backend.where) as connection:
            sql = "SELECT seq FROM holdfast.events_text WHERE daemon = %s"
            rows = connection.execute(sql, (backend.daemon,)).fetchall()
    return sorted(row[0] for row in rows)


def test_the_index_is_built_behind_the_writer_and_given_back(backend: Backend) -> None:
    first = backend.database(payload_bytes=1_000)
    for n in range(20):
        append(first, *(told(f"number{n * 10 + m} {'x ' * (600 * (m == 5))}") for m in range(10)))
    first.close()
    second = backend.database(full_text=True)
    reader = backend.reader()
    assert (reader.text_from(), second.has_chores) == (201, True)
    append(second, told("new"))
    second.work_off(0.0001)
    second.work_off(0.0001)
    half = reader.text_from()
    assert half is not None
    assert 1 < half < 201
    assert found(reader, "new OR number0") == [201]
    second.close()
    third = backend.database(full_text=True)
    assert reader.text_from() == half
    assert work_off(third) > 1
    assert reader.text_from() == 1
    assert [found(reader, f"number{n}") for n in (0, 5, 199)] == [[1], [6], [200]]
    third.close()
    fourth = backend.database()
    assert reader.text_from() is None
    append(fourth, told("not noted"))
    fourth.work_off(0.0001)
    fourth.close()
    fifth = backend.database(full_text=True)
    work_off(fifth)
    assert found(reader, "noted OR number0", reverse=False) == [1, 202]
    fifth.close()
    assert work_off(backend.database(), 1.0) > 0


@pytest.mark.parametrize(
    "text", ["", '"', "AND", "a-b", "nosuch: x", "*", "*reads", "NEAR(", "x" * 100_000, "a\ud800"]
)
def test_a_text_that_is_no_search_is_refused(database: Database, reader: Reader, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"text = |cannot look for"):
        reader.search(text, ALL, 1)
    if text.startswith("x"):
        assert found(reader, " OR ".join(["x" * 100] * 500)) == []


def test_a_search_of_thousands_of_words_goes_no_deeper_than_a_server_does(
    postgresql_dsn: str,
) -> None:
    """As little as that may be; at its default, twenty times that, a longer one would be needed."""
    shallow = f"{postgresql_dsn} options='-c max_stack_depth=100kB'"
    with both_sides(shallow, ManualClock(), full_text=True) as sides:
        for side in sides:
            append(side.database, told("a b"), told("b"), told("a " * 2_000))
        for sign, words, wanted in (
            (" AND ", ["a", "b*"], [1]),
            (" OR ", ["no", "b"], [2, 1]),
            (" ", ["a"], [3, 1]),
            (" + ", ["a"], [3]),
            (" + ", ["b", "a"], []),
        ):
            text = sign.join(words * (2_000 // len(words)))
            assert [found(side.reader, text) for side in sides] == [wanted, wanted], (sign, words)


def test_a_search_that_looks_at_many_texts_ends_in_time(postgresql_dsn: str) -> None:
    """FTS5 looks at a text in no time, but they are all to be read."""
    backend = Backend("postgresql", postgresql_dsn, daemon=f"d{secrets.token_hex(4)}")
    append(backend.database(full_text=True), *(told("a " * 3_000 + "b") for _ in range(300)))
    reader = backend.reader(statement_timeout=0.02)
    with pytest.raises(InvalidInputError, match="takes longer than"):
        reader.search('NEAR("b a" a)', ALL, 1)
    backend.close()


def test_each_search_is_planned_for_its_own_words(postgresql_dsn: str) -> None:
    """The eleventh of a kind had one plan for all: a rare word was looked for in all events."""
    backend = Backend("postgresql", postgresql_dsn, daemon=f"d{secrets.token_hex(4)}")
    append(backend.database(full_text=True), told("word"))
    with closing(PostgresqlReader(postgresql_dsn, daemon=backend.daemon)) as reader:
        assert [found(reader, "word") for _ in range(12)] == [[1]] * 12
        kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%events_text%'"
        assert reader._read(kept)[0][0] == 0
    backend.close()


def test_what_moves_is_found_on_the_other_side(
    postgresql_server: PostgresqlServer, postgresql_dsn: str, tmp_path: Path
) -> None:
    """The index does not move: the next writer builds it, whatever was there before."""
    clock, daemon = ManualClock(), f"d{secrets.token_hex(4)}"
    places = [
        sqlite_place(tmp_path, daemon),
        postgresql_place(postgresql_dsn, daemon),
        sqlite_place(tmp_path, daemon),
    ]
    opened(places[1], clock, full_text=True).close()  # it says that there is nothing to index
    writer = opened(places[0], clock, full_text=True)
    append(writer, *(told(f"word number{n}") for n in range(150)))
    for n, (source, target) in enumerate(pairwise(places)):
        moved(writer, source, target, swap=f"swap-{n}")
        writer = opened(target, clock, full_text=True)
        append(writer, told("word after"))
        assert writer.has_chores
        work_off(writer, 1.0)
        reader = (
            PostgresqlReader(target.dsn, daemon=daemon)
            if target.backend == "postgresql"
            else SqliteReader(target.path)
        )
        assert len(reader.search("word", ALL, 1_000)) == 151 + n
        assert [event.seq for event in reader.search("number0 OR after", ALL, 9, False)] == [
            1, *range(151, 152 + n)
        ]  # fmt: skip
        reader.close()
    writer.close()


def test_tables_from_before_there_was_an_index_get_it(postgresql_server: PostgresqlServer) -> None:
    backend = Backend("postgresql", postgresql_server.new_database())
    first = backend.database()
    append(first, told("word"))
    first.close()
    with psycopg.connect(backend.where) as connection:
        connection.execute(
            "DROP TABLE holdfast.events_text;"
            " DROP FUNCTION holdfast.forget_words_of_deleted_events CASCADE;"
            " UPDATE holdfast.schema_version SET version = 1"
        )
    work_off(backend.database(full_text=True))
    assert found(backend.reader(), "word") == [1]
    backend.close()


@pytest.mark.slow  # a server of its own and a daemon, twice
def test_an_index_is_whole_although_the_server_was_lost_while_it_was_built(tmp_path: Path) -> None:
    with running_postgresql() as server:
        storage = f'backend = "postgresql"\ndsn = "{server.new_database()}"'
        with Daemon(tmp_path, configured(CONFIG, storage)) as daemon:
            for n in range(3_000):
                daemon.hub.events.emit("note", f"word number{n}")
            daemon.hub.flush()
        with Daemon(tmp_path, configured(CONFIG, f"{storage}\nfull_text = true")) as daemon:
            pid = daemon.pid("writer")
            assert len(daemon.hub.events.search("word", limit=9_999, partial=True)) < 3_000
            server.kill()
            server.start()
            wait_until_indexed(daemon)
            assert daemon.pid("writer") == pid
            assert len(daemon.hub.events.search("word", limit=9_999)) == 3_000
