"""What PostgreSQL says of an error goes to callers and logs: no stored value is in it."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from holdfast.errors import HoldfastError, InvalidInputError, StorageError
from holdfast.storage.commands import Command
from holdfast.storage.postgresql.database import PostgresqlDatabase
from holdfast.storage.postgresql.reader import PostgresqlReader
from holdfast.storage.records import AppendEvents, Event
from holdfast.storage.state_records import ChangeState, CreateEntity
from tests.conformance.conftest import StillClock
from tests.conformance.servers import PostgresqlServer

SECRET = "secret-4711"


@pytest.fixture(scope="module")
def dsn(postgresql_server: PostgresqlServer) -> str:
    return postgresql_server.new_database()


@pytest.fixture
def database(dsn: str) -> Iterator[PostgresqlDatabase]:
    daemon = f"d{secrets.token_hex(4)}"
    database = PostgresqlDatabase(
        dsn, daemon=daemon, home="here", durability="committed", clock=StillClock()
    )
    yield database
    database.close()


def printed(error: BaseException) -> str:
    """With everything that a log would show."""
    return "".join(traceback.format_exception(error))


def create(id: str) -> ChangeState:
    return ChangeState(None, [CreateEntity(id=id, type="job")])


def refused(database: PostgresqlDatabase, command: Command) -> HoldfastError:
    (outcome,) = database.apply([command])
    assert isinstance(outcome, HoldfastError)
    return outcome


def test_a_refused_row_is_named_by_its_constraint_only(
    database: PostgresqlDatabase, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            f"ALTER TABLE holdfast.entities ADD CONSTRAINT no_secrets CHECK (id <> '{SECRET}')"
        )
    error = refused(database, create(SECRET))
    assert isinstance(error, InvalidInputError)
    assert 'violates check constraint "no_secrets"' in str(error)
    assert SECRET not in printed(error)


def test_a_refused_event_is_not_quoted(database: PostgresqlDatabase) -> None:
    command = AppendEvents(None, [Event(1, "t:x", "s", data=f'"{SECRET}')])
    (outcome,) = database.apply([command])
    ((_, reason),) = outcome.refused  # type: ignore[union-attr]  # Appended
    assert "json" in reason
    assert SECRET not in reason


def test_a_value_in_the_message_itself_is_cut(database: PostgresqlDatabase) -> None:
    connection: Any = database._connected().connection
    with pytest.raises(psycopg.errors.InvalidTextRepresentation) as raised:
        connection.run(f"SELECT 'it is \"{SECRET}\"'::bigint")
    assert str(raised.value) == 'invalid input syntax for type bigint: "..."'
    with pytest.raises(psycopg.errors.UndefinedColumn) as undefined:
        connection.run(f"SELECT other, '{SECRET}' FROM holdfast.events")
    assert SECRET not in printed(undefined.value)


FAILS = f"""
CREATE FUNCTION holdfast.fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'io_error', DETAIL = '{SECRET}'; END $$;
CREATE TRIGGER fail BEFORE INSERT ON holdfast.entities FOR EACH ROW
WHEN (new.id = 'broken') EXECUTE FUNCTION holdfast.fail();
"""


def test_a_fault_of_the_server_is_told_without_its_detail(
    database: PostgresqlDatabase, dsn: str
) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(FAILS)
    error = refused(database, create("broken"))
    assert isinstance(error, StorageError)
    assert "broken" in str(error)
    assert SECRET not in printed(error)


def test_a_reader_tells_no_detail_either(database: PostgresqlDatabase, dsn: str) -> None:
    reader = PostgresqlReader(dsn, daemon="d")
    sql = f"SELECT ('{{\"a\": {SECRET}}}'::json)::text"
    with pytest.raises(InvalidInputError) as raised:
        reader._read(sql)
    assert SECRET not in printed(raised.value)
    reader.close()
