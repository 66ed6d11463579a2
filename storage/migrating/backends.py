"""Each side of a migration, opened by what its place says it is."""

from __future__ import annotations

from holdfast.storage.migrating.labels import Label
from holdfast.storage.migrating.ports import Place, Source, Target

__all__ = ["open_source", "open_target"]


def open_source(place: Place) -> Source:
    """To be read.  Raises NoDatabaseError, SchemaError, StorageError."""
    if place.backend == "postgresql":
        from holdfast.storage.migrating.postgresql_source import PostgresqlSource

        return PostgresqlSource(place)
    from holdfast.storage.migrating.sqlite_source import SqliteSource

    return SqliteSource(place)


def open_target(place: Place, label: Label) -> Target:
    """To be filled, labelled as being so.  Raises SwapError when it is not empty, StorageError."""
    if place.backend == "postgresql":
        from holdfast.storage.migrating.postgresql_target import PostgresqlTarget

        return PostgresqlTarget(place, label)
    from holdfast.storage.migrating.sqlite_target import SqliteTarget

    return SqliteTarget(place, label)
