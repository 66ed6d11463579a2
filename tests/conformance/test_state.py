"""Relational state in PostgreSQL: what the same tests promise of SQLite in ``tests/storage``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.reader import PostgresqlReader
from tests.clock import ManualClock
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


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
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
