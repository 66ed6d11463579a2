"""Relational state in PostgreSQL: what the same tests promise of SQLite in ``tests/storage``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.errors import InvalidInputError, UnreachableError
from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.reader import PostgresqlReader
from holdfast.storage.state_questions import Condition, EntityFilter, Order
from holdfast.storage.state_records import (
    Change,
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    ExpireItems,
    Pop,
    Push,
    Relate,
    StateChanged,
    UpdateEntity,
)
from tests.clock import ManualClock
from tests.conformance.servers import PostgresqlServer
from tests.storage.ksi_gateway import KsiGateway
from tests.storage.local_state import local_state
from tests.storage.state_machine import Machine, beginnings, journeys
from tests.storage.test_state_as_ksi import (  # noqa: F401  # with the fixtures of this module
    test_a_filter_tells_kinds_apart_and_finds_null,
    test_a_walk_meets_each_relationship_once,
    test_deleting_an_entity_takes_its_relationships_and_queues_along,
    test_each_async_state_event_of_ksi_has_its_answer,
    test_each_item_of_a_queue_has_its_own_time_to_live,
    test_each_state_event_of_ksi_has_its_answer,
    test_orders_limits_and_groups_are_no_sql,
    test_values_come_back_as_they_went,
    test_walks_bulks_and_counts_of_ksi_have_their_answers,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ksi(postgresql_dsn: str, clock: ManualClock) -> Iterator[KsiGateway]:
    with opened(postgresql_dsn, clock) as (database, reader):
        yield KsiGateway(local_state(database, reader, clock))


@contextmanager
def opened(dsn: str, clock: ManualClock) -> Iterator[tuple[PostgresqlDatabase, PostgresqlReader]]:
    """Of a daemon that nobody else has."""
    daemon = f"d{secrets.token_hex(4)}"
    database = PostgresqlDatabase(
        dsn, daemon=daemon, durability="committed", clock=clock, home="here"
    )
    reader = PostgresqlReader(dsn, daemon=daemon)
    try:
        yield database, reader
    finally:
        reader.close()
        database.close()


def both_say_the_same(
    dsn: str, beginning: list[dict[str, Any]], taken: list[tuple[str, dict[str, Any]]]
) -> None:
    clock = ManualClock()
    with opened(dsn, clock) as (database, reader):
        machine = Machine(database, reader, clock, strays=lambda: strays(reader))
        machine.both_say_the_same(beginning, taken)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(beginning=beginnings, taken=journeys)
def test_both_say_the_same_whatever_is_done(
    postgresql_dsn: str, beginning: list[dict[str, Any]], taken: list[tuple[str, dict[str, Any]]]
) -> None:
    both_say_the_same(postgresql_dsn, beginning, taken)


@pytest.mark.slow  # some minutes
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(beginning=beginnings, taken=journeys)
def test_both_say_the_same_whatever_is_done_for_long(
    postgresql_dsn: str, beginning: list[dict[str, Any]], taken: list[tuple[str, dict[str, Any]]]
) -> None:
    both_say_the_same(postgresql_dsn, beginning, taken)


_STRAYS = """
SELECT 'property', e.id FROM entities AS e CROSS JOIN json_each(e.properties::json) AS j
LEFT JOIN properties AS p ON p.daemon = %(daemon)s AND p.entity = e.number AND p.name = j.key
WHERE e.daemon = %(daemon)s AND (p.name IS NULL OR p.type <> e.type)
UNION ALL SELECT 'more properties', p.name FROM properties AS p
WHERE p.daemon = %(daemon)s AND NOT EXISTS (
    SELECT FROM entities AS e, json_each(e.properties::json) AS j
    WHERE e.daemon = %(daemon)s AND e.number = p.entity AND j.key = p.name)
UNION ALL SELECT 'type', type FROM entities AS e
WHERE daemon = %(daemon)s AND NOT EXISTS (
    SELECT FROM entity_types AS t WHERE t.daemon = %(daemon)s AND t.name = e.type)
UNION ALL SELECT 'relationship', from_id FROM relationships AS r
WHERE daemon = %(daemon)s AND 2 > (
    SELECT count(*) FROM entities
    WHERE daemon = %(daemon)s AND id IN (r.from_id, r.to_id)) + (r.from_id = r.to_id)::int
UNION ALL SELECT 'queue', key FROM queues AS q
WHERE daemon = %(daemon)s AND length <> (
    SELECT count(*) FROM queue_items WHERE daemon = %(daemon)s AND queue = q.number)
UNION ALL SELECT 'item', number::text FROM queue_items AS i
WHERE daemon = %(daemon)s AND NOT EXISTS (
    SELECT FROM queues WHERE daemon = %(daemon)s AND number = i.queue)
"""


def strays(reader: PostgresqlReader) -> list[object]:
    """There are no foreign keys: the writer itself sees to it."""
    return list(reader._read(_STRAYS, {"daemon": reader._daemon}))


def made(database: PostgresqlDatabase, *changes: Change) -> None:
    (outcome,) = database.apply([ChangeState(None, list(changes))])
    assert isinstance(outcome, StateChanged), outcome


def test_daemons_in_one_database_have_nothing_to_do_with_each_other(postgresql_dsn: str) -> None:
    with (
        opened(postgresql_dsn, ManualClock()) as (one, its_reader),
        opened(postgresql_dsn, ManualClock()) as (other, others_reader),
    ):
        for database in (one, other):
            made(
                database,
                DefineType("agent", True),
                CreateEntity("a", "agent", '{"n": 1}'),
                UpdateEntity("a", '{"n": 2}'),
                Relate("a", "knows", "a"),
                Push("a", "in", "1", 1.0),
            )
        before = answers(others_reader)
        assert before == answers(its_reader)
        made(one, DeleteEntity("a"), CreateEntity("b", "job", '{"n": 1}'), ExpireItems(10))
        assert answers(others_reader) == before
        made(other, UpdateEntity("a", '{"n": 3}'), Pop("a", "in"))
        assert its_reader.entity("a") is None


def answers(reader: PostgresqlReader) -> list[object]:
    ends = (None, None, None)
    return [
        reader.entities(EntityFilter(None, [Condition("n", ">", "0")]), Order(), 9, 10_000),
        reader.count_entities_by(EntityFilter(), "n", 9),
        reader.history("a", 9, 10_000),
        reader.entity_at_version("a", 1),
        reader.entity_types(9),
        reader.relationships(ends, 9, 10_000),
        reader.count_relationships_by_type(ends, 9),
        reader.traverse("a", "both", [], 3, 9, 10_000),
        reader.queues(None, 9),
        reader.queue_items("a", "in", 0, 9, 10_000),
    ]


def test_names_too_long_for_an_index_are_refused_and_nothing_is_changed(
    postgresql_dsn: str,
) -> None:
    name = "\U0001f600" * 256
    with opened(postgresql_dsn, ManualClock()) as (database, reader):
        made(database, CreateEntity(name, name, '{"n": 1}'), CreateEntity("a", name))
        made(database, Relate(name, "knows", name), Push(name, name, "1"))
        long: list[Change] = [
            Relate(name, name, name),
            CreateEntity("b", name, f'{{"{name}": "{name}"}}'),
            UpdateEntity("a", f'{{"{name}": 1{"3" * 4_000}}}'),
        ]
        for change in long:
            (outcome,) = database.apply([ChangeState(None, [change])])
            assert isinstance(outcome, InvalidInputError)
            assert "2,600" in str(outcome), outcome
        assert reader.count_entities(EntityFilter()) == 2
        assert reader.count_relationships((None, None, None)) == 1


def test_questions_of_one_moment_fail_when_the_connection_is_lost_between_them(
    postgresql_dsn: str, postgresql_server: PostgresqlServer
) -> None:
    with opened(postgresql_dsn, ManualClock()) as (database, reader):
        made(database, CreateEntity("a", "agent"))

        def lose() -> None:
            pid = reader._connection.info.backend_pid
            postgresql_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")

        lose()
        with reader.snapshot():  # is begun anew
            assert reader.entity("a")
        with pytest.raises(UnreachableError), reader.snapshot():  # noqa: PT012  # its end raises
            lose()
            reader.entity("a")
        assert reader.entity("a")


def test_what_is_looked_for_is_found_by_an_index(
    postgresql_dsn: str, postgresql_server: PostgresqlServer
) -> None:
    equal = EntityFilter("agent", [Condition("n", "=", "1"), Condition("m", "like", '"a%"')])
    above = EntityFilter("agent", [Condition("n", ">", "190")])
    asked: list[tuple[str, Callable[[PostgresqlReader], object]]] = [
        ("entities_daemon_id_key", lambda reader: reader.entity("1")),
        ("entities_daemon_id_key", lambda reader: reader.entities_of(["1"], 10_000)),
        ("properties_by_value", lambda reader: reader.entities(equal, Order(), 9, 10_000)),
        ("properties_by_value", lambda reader: reader.entities(above, Order(), 9, 10_000)),
        ("properties_by_value", lambda reader: reader.count_entities(equal)),
        ("relationships_pkey", lambda reader: reader.relationships(("1", None, None), 9, 10_000)),
        ("relationships_by_target", lambda reader: reader.count_relationships((None, None, "1"))),
        ("relationships_by_target", lambda reader: reader.traverse("1", "in", [], 1, 9, 10_000)),
    ]
    with opened(postgresql_dsn, ManualClock()) as (database, reader):
        made(
            database,
            *(CreateEntity(f"{n}", "agent", f'{{"n": {n}, "m": "ab"}}') for n in range(200)),
            *(Relate("1", f"{n}", f"{n}") for n in range(200)),
        )
        # Some rows would be read all: what is asked is whether the index fits.
        reader._connection.run("SET enable_seqscan = off")
        postgresql_server.execute("ANALYZE", postgresql_dsn.rpartition("=")[2])
        for index, ask in asked:
            found = plans(reader, ask)
            assert any(index in line for line in found), (index, found)


def plans(reader: PostgresqlReader, ask: Callable[[PostgresqlReader], object]) -> list[str]:
    """Of all statements that it takes."""
    fetch, statements = reader._fetch, []

    def fetch_and_note(sql: str, values: Any, prepare: bool | None = None) -> Any:
        statements.append((sql, values))
        return fetch(sql, values, prepare)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_fetch", fetch_and_note)
        ask(reader)
    return [
        line
        for sql, values in statements
        for (line,) in fetch(f"EXPLAIN (VERBOSE, COSTS OFF) {sql}", values)
    ]
